# Copyright 2026 The hf_variants authors. MIT licence.
"""A made-up comparison for the tests: three arms, three seeds, two compared budgets, losses that fall with tokens.

Records, timing and trials are the content of their files, so that a test can change them; `built` makes results.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

from hf_variants.experiments.contract import AnyContract
from hf_variants.experiments.records import Floor, NGramFloor, Pair, RunRecord, Timing, Trial
from hf_variants.experiments.results.contracts import Overview, Results
from hf_variants.experiments.results.overview import AboutCell, build_overview
from hf_variants.experiments.results.results import Compared, build_results

BUDGETS = (1_000_000, 4_000_000)
PARAMETERS = {"residual": 350_000, "highway": 400_000, "residual_wide": 402_000}
FLOPS_PER_TOKEN = {"residual": 2.0e6, "highway": 2.4e6, "residual_wide": 2.4e6}
OFFSET = {"residual": 0.0, "highway": 0.2, "residual_wide": -0.03}
NOISE = {0: -0.01, 1: 0.0, 2: 0.012}
TWIST = {"residual": 0.0, "highway": 0.4, "residual_wide": -1.0}


def loss(arm: str, seed: int, tokens: int) -> float:
    plateau = 3.3 - 1.4 * (1 - math.exp(-tokens / 1.2e6))
    return plateau + OFFSET[arm] * min(1.0, tokens / 1e6) + NOISE[seed] * (1 + TWIST[arm])


def mark(arm: str, seed: int, tokens: int) -> dict[str, Any]:
    value = loss(arm, seed, tokens) - 0.05
    splits = {
        name: {"loss": value + shift, "accuracy": 0.6 - value / 10, "perplexity": math.exp(value + shift)}
        for name, shift in (("validation", 0.0), ("test", 0.02))
    }
    return {"tokens": tokens, "steps": tokens // 4096, "flops": tokens * FLOPS_PER_TOKEN[arm], "seconds": tokens / 4e4,
            **splits}  # fmt: skip


def record(arm: str, seed: int) -> dict[str, Any]:
    losses = {t: loss(arm, seed, t) for t in range(100_000, 4_000_001, 100_000)}
    curve = [
        {"tokens": t, "steps": t // 4096, "train_loss": value - 0.02, "validation_loss": value}
        for t, value in losses.items()
    ]
    tokens = BUDGETS[-1]
    split = {"characters": 1_000_000, "tokens": 1_000_000, "blocks": 15_625}
    return {
        "schema": 1, "comparison": "highway_vs_residual", "arm": arm, "seed": seed, "recipe_fingerprint": "sha256:11",
        "recipe": {
            "name": "highway_vs_residual",
            "model": {"model_type": "minbert" if arm.startswith("residual") else "highway_bert", "name_or_path": None,
                      "overrides": {"hidden_size": 96, "num_hidden_layers": 3}},
            "data": {"name": "tiny_shakespeare"}, "tokenizer": {"tokenizer": "character"},
            "objective": {"objective": "masked_lm", "mask_probability": 0.15},
            "training": {"learning_rate": 3e-3, "batch_size": 64, "seed": seed, "max_seconds": None},
        },
        "data": {"name": "tiny_shakespeare", "license": "public domain", "hub_id": None, "language": "en",
                 "fingerprint": "sha256:22", "unigram_entropy": 3.31,
                 "splits": {"train": split, "validation": split, "test": split}},
        "parameters": PARAMETERS[arm], "trainable_parameters": PARAMETERS[arm],
        "flops_per_token": FLOPS_PER_TOKEN[arm], "marks": [mark(arm, seed, t) for t in BUDGETS], "curve": curve,
        "tokens": tokens, "steps": tokens // 4096, "seconds": tokens / 4e4,
        "environment": {"python": "3.12.1", "torch": "2.13.0", "transformers": "5.17.0", "device": "cpu", "threads": 2,
                        "commit": "0123abc"},
        "finished": "2026-01-01T00:00:00",
    }  # fmt: skip


def records() -> list[dict[str, Any]]:
    return [record(arm, seed) for arm in PARAMETERS for seed in NOISE]


def comparison() -> dict[str, Any]:
    arms = {
        "residual": {"description": "the baseline"},
        "highway": {"description": "gated skip connections"},
        "residual_wide": {"description": "the baseline, wider"},
    }
    return {"name": "highway_vs_residual", "question": "Residual or highway?", "baseline": "residual", "arms": arms,
            "metric": "loss", "parameter_matched": {"highway": "residual_wide"}}  # fmt: skip


def timing() -> dict[str, Any]:
    def arm(scale: float) -> dict[str, Any]:
        return {"train_step_ms": 50.0 * scale, "train_step_ms_quartiles": [49.0 * scale, 52.0 * scale],
                "seconds_per_token": 1.2e-5 * scale, "tokens_per_second": 1 / (1.2e-5 * scale),
                "inference_ms": 9.0 * scale, "inference_batch": [8, 64], "peak_memory_mb": 512.0}  # fmt: skip

    scales = {"residual": 1.0, "highway": 1.25, "residual_wide": 1.1}
    return {"arms": {name: arm(scale) for name, scale in scales.items()}, "rounds": 5, "load_average": 0.1,
            "environment": {"device": "cpu"}}  # fmt: skip


def tuning() -> dict[str, Any]:
    return {
        arm: [
            {"trial": i, "settings": {"training.learning_rate": rate}, "seed": 100, "tokens": 1_000_000,
             "validation_loss": value, "chosen": i == 0}
            for i, (rate, value) in enumerate([(3e-3, 2.1), (1e-1, None)])
        ]
        for arm in PARAMETERS
    }  # fmt: skip


def built(
    comparison: dict[str, Any],
    records: list[dict[str, Any]],
    timing: dict[str, Any] | None = None,
    tuning: dict[str, Any] | None = None,
    floor: dict[str, Any] | None = None,
    pairs: list[dict[str, Any]] = (),
    ngrams: NGramFloor | None = None,
) -> Results:
    """The results of a comparison whose arms are mappings with a description, from the content of its files."""
    arms = {arm: about.get("description", "") for arm, about in comparison["arms"].items()}
    return build_results(
        Compared(**comparison | {"arms": arms}),
        [RunRecord.from_json(record) for record in records],
        None if timing is None else Timing.from_json(timing),
        None if tuning is None else {arm: [Trial.from_json(t) for t in trials] for arm, trials in tuning.items()},
        None if floor is None else Floor.from_json(floor),
        ngrams,
        [Pair.from_json(pair) for pair in pairs],
    )


def altered(results: AnyContract, change: Callable[[dict[str, Any]], Any]) -> AnyContract:
    """The same object after `change` of its JSON."""
    content = copy.deepcopy(results.to_json())
    change(content)
    return type(results).from_json(content)


def written(record: dict[str, Any]) -> dict[str, Any]:
    """The record as one of a causal language model, with samples, answers and a remark."""
    record["recipe"]["objective"] = {"objective": "causal_lm"}
    record["recipe"]["model"]["model_type"] = "nanogpt" if record["arm"] == "residual" else "conv_gpt"
    for mark in record["marks"]:
        for split in ("validation", "test"):
            mark[split] |= {"bits_per_byte": mark[split]["loss"] / 2.5}
        mark["test"] |= {"exact_match": 0.5}
    examples = [{"prompt": "1 + 1 =", "expected": "2", "answer": "3"}]
    return record | {
        "samples": [
            {"prompt": "", "text": f"```\n# {record['arm']} {record['seed']}"},
            {"prompt": "To", "text": " be"},
        ],
        "answers": {"split": "test", "questions": 4, "correct": 2, "exact_match": 0.5, "examples": examples},
        "remarks": ["no bits_per_byte: a reason"],
    }


def causal_records() -> list[dict[str, Any]]:
    return [written(record) for record in records()]


def overview_of(**results: Results) -> Overview:
    """The overview of these cells and of one, named `later`, without any run; the n-th has a context of 64 · 4ⁿ."""
    about = {name: AboutCell(f"the cell {name}", 64 * 4**i) for i, name in enumerate(results)}
    about["later"] = AboutCell("", 4096, ["residual-seed0", "highway-seed0"])
    return build_overview("many", "Which?", "compare", about, results)


# ---- arms that grow ------------------------------------------------------------------------------------------------

GROWTH_BUDGETS = (1_000_000, 2_000_000, 4_000_000)
GROWTHS = (500_000, 2_000_000)  # tokens after which the model grows
SIZES = (3, 6, 12)  # blocks, or layers, in each stage
FINAL_LOSS = {"scratch": (3.0, 2.6, 2.2), "diverge": (2.9, 2.4, 2.0), "stack": (3.2, 2.7, 2.3)}
STAGE_FLOPS = {"scratch": (2e6,), "diverge": (2e6, 2e6, 2e6), "stack": (0.5e6, 1e6, 2e6)}
STAGE_SECONDS = {"scratch": (2e-5,), "diverge": (2e-5, 2e-5, 2e-5), "stack": (0.5e-5, 1e-5, 2e-5)}
JUMP = {"diverge": 0.0, "stack": 0.5}
GROWTH_TWIST = {"scratch": 0.0, "diverge": 0.4, "stack": 1.0}


def stage_tokens(arm: str, tokens: int) -> list[int]:
    """Tokens trained in each stage up to a mark."""
    edges = [0, *(GROWTHS if arm in JUMP else ()), math.inf]
    return [min(tokens, end) - start for start, end in zip(edges, edges[1:], strict=False) if tokens > start]


def growth_mark(arm: str, seed: int, index: int) -> dict[str, Any]:
    tokens = GROWTH_BUDGETS[index]
    trained = stage_tokens(arm, tokens)
    value = FINAL_LOSS[arm][index] + NOISE[seed] * (1 + GROWTH_TWIST[arm])
    found = {"tokens": tokens, "steps": tokens // 4096, "flops": growth_flops(arm, tokens), "seconds": tokens / 4e4}
    found |= {split: {"loss": value, "accuracy": 1 - value / 4} for split in ("validation", "test")}
    return found | ({"stage_tokens": trained} if arm in JUMP else {})


def trunk_loss(arm: str, seed: int, tokens: float, grown: bool = True) -> float:
    """Falls with tokens; a jump fades within some 100 000 tokens. `grown`: after a growth at this very moment."""
    value = 2.3 + 3.5 * math.exp(-tokens / 2e5) + 1.4 * math.exp(-tokens / 1.5e6) + NOISE[seed]
    value -= {"scratch": 0.0, "diverge": 0.12, "stack": -0.08}[arm] * min(1.0, tokens / 5e5)
    past = [at for at in GROWTHS if at < tokens or (grown and at == tokens)]
    return value + JUMP.get(arm, 0.0) * sum(math.exp(-(tokens - at) / 1e5) for at in past)


def growth_stage(arm: str, seed: int, number: int) -> dict[str, Any]:
    tokens, before, after = GROWTHS[number - 1], SIZES[number - 1], SIZES[number]
    diverges = arm == "diverge"
    arguments = {"num_blocks": after} if diverges else {"times": 2, "placement": "stack", "init": "copy"}
    sizes = {"layers": [12, 12] if diverges else [before, after], "blocks": [before, after]}
    sizes |= {"parameters": [100_000 + 10_000 * before, 100_000 + 10_000 * after], "added": 10_000 * (after - before)}
    receipt = {"operation": "diverge" if diverges else "deepen", "arguments": arguments, **sizes}
    receipt |= {"max_difference": 0.0 if diverges else 1.5 + 0.25 * seed, "frozen": {}}
    rates = STAGE_FLOPS[arm]
    return {
        "step": tokens // 4096, "tokens": tokens, "flops": growth_flops(arm, tokens), "stage": number,
        "stage_tokens": [*stage_tokens(arm, tokens), 0],
        "loss_before": trunk_loss(arm, seed, tokens, grown=False), "loss_after": trunk_loss(arm, seed, tokens),
        "flops_per_token": [rates[number - 1], rates[number]], "parameters": sizes["parameters"][1],
        "trainable_parameters": sizes["parameters"][1], "receipt": receipt,
    }  # fmt: skip


def growth_flops(arm: str, tokens: int) -> float:
    return sum(c * rate for c, rate in zip(stage_tokens(arm, tokens), STAGE_FLOPS[arm], strict=False))


def layer_norms(arm: str, seed: int, tokens: int) -> list[float]:
    """Rising from the first layer to the last in scratch; all alike in the others but for noise."""
    layers = SIZES[len(stage_tokens(arm, tokens)) - 1] if arm in JUMP else SIZES[-1]
    slope = 1.0 if arm == "scratch" else 0.1
    wave = 1 + 0.1 * math.sin(tokens / 7e4 + seed)
    return [0.05 * wave * math.exp(slope * i / max(1, layers - 1) + 0.3 * tokens / 4e6) for i in range(layers)]


def growth_record(arm: str, seed: int) -> dict[str, Any]:
    found = record("residual", seed)
    found["recipe"] |= {"name": "growing", "objective": {"objective": "causal_lm"}}
    found["recipe"]["model"] |= {"model_type": "progressive_gpt" if arm == "diverge" else "nanogpt"}
    found |= {"comparison": "growing", "arm": arm, "parameters": 220_000, "trainable_parameters": 220_000}
    found["flops_per_token"] = STAGE_FLOPS[arm][-1]
    found["marks"] = [growth_mark(arm, seed, index) for index in range(3)]
    found["curve"] = [
        {"tokens": t, "steps": t // 4096, "train_loss": trunk_loss(arm, seed, t) - 0.02,
         "validation_loss": trunk_loss(arm, seed, t, grown=False), "layer_grad_norms": layer_norms(arm, seed, t)}
        for t in range(50_000, 4_000_001, 50_000)
    ]  # fmt: skip
    correct = {"scratch": (40, 30, 10), "diverge": (45, 35, 20), "stack": (40, 30, 5)}[arm]
    counts = {str(n): {"questions": 50, "correct": c - seed} for n, c in zip((1, 2, 10), correct, strict=True)}
    right = sum(count["correct"] for count in counts.values())
    example = {"prompt": "1 + 1 =", "expected": "1 + 1 = 2 #### 2", "answer": "3"}
    found["answers"] = {"split": "test", "questions": 150, "correct": right, "exact_match": right / 150,
                        "by_equations": counts, "examples": [example]}  # fmt: skip
    if arm in JUMP:
        found["stages"] = [growth_stage(arm, seed, number) for number in (1, 2)]
        settings = [
            {"tokens": stage["tokens"], "operation": stage["receipt"]["operation"]} for stage in found["stages"]
        ]
        found["recipe"]["growth"] = {"stages": settings}
    return found


def growth_records() -> list[dict[str, Any]]:
    return [growth_record(arm, seed) for arm in FINAL_LOSS for seed in NOISE]


def growth_comparison() -> dict[str, Any]:
    arms = {"scratch": {"description": "twelve layers"}, "diverge": {}, "stack": {}}
    return {"name": "growing", "question": "From scratch, or growing?", "baseline": "scratch", "arms": arms}


def growth_timing() -> dict[str, Any]:
    def arm(rates: tuple[float, ...]) -> dict[str, Any]:
        found = timing()["arms"]["residual"] | {"seconds_per_token": rates[-1], "tokens_per_second": 1 / rates[-1]}
        return found | ({"stage_seconds_per_token": list(rates)} if len(rates) > 1 else {})

    return timing() | {"arms": {name: arm(rates) for name, rates in STAGE_SECONDS.items()}}
