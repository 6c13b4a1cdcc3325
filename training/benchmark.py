#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Times the models against each other and against transformers, after checking that they compute the same.

    python training/benchmark.py --only minbert_8x128 --rounds 41 --output bench.json

The two sides of a case take turns in one process. A ratio is the median over rounds of ours / reference, with the 95 %
interval of that median; it is `over` where the whole interval lies above the target. Being over fails nothing, since
time depends on the machine; two sides that compute different things end in exit code 1.

A new case is a function with `@case` that returns `Sides`.
"""

import argparse
import functools
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binom
from torch import nn
from transformers import BertConfig, BertModel

from hf_variants.bert.configuration_highway_bert import HighwayBertConfig
from hf_variants.bert.configuration_minbert import MinBertConfig
from hf_variants.bert.modeling_highway_bert import HighwayBertModel, HighwayBertOutput
from hf_variants.bert.modeling_minbert import MinBertModel
from hf_variants.experiments.arguments import InputError, OneLineParser, check_range, one_line_errors
from hf_variants.experiments.record import environment, write_json
from hf_variants.experiments.timing import alternate, quartiles

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


# ---- the suite -----------------------------------------------------------------------------------------------------


class DifferentError(Exception):
    """The two sides of a case do not compute the same thing."""


@dataclass(frozen=True)
class Sides:
    """What a case times: one unit of work a side. `check` raises DifferentError unless both compute the same."""

    check: Callable[[], None]
    ours: Callable[[], Any]
    reference: Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """A registered case; `names` are those of our side and of the reference."""

    name: str
    names: tuple[str, str]
    target: float | None
    build: Callable[[], Sides]


CASES: dict[str, Case] = {}


def case(
    name: str, ours: str, reference: str, target: float | None = None
) -> Callable[[Callable[[], Sides]], Callable[[], Sides]]:
    """Registers a function that builds the sides; `target` is the highest ratio ours / reference that is fine."""

    def register(build: Callable[[], Sides]) -> Callable[[], Sides]:
        if name in CASES:
            raise ValueError(f"case {name!r} is registered twice")
        CASES[name] = Case(name, (ours, reference), target, build)
        return build

    return register


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Checks, then times one case. Raises DifferentError where the sides differ."""
    torch.manual_seed(0)
    sides = case.build()
    sides.check()
    seconds = alternate({"ours": sides.ours, "reference": sides.reference}, rounds)
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["reference"], strict=True)]
    low, high = median_interval(ratios)
    over = case.target is not None and low > case.target
    return {
        "name": case.name,
        "ours": summary(case.names[0], seconds["ours"]),
        "reference": summary(case.names[1], seconds["reference"]),
        "ratio": statistics.median(ratios),
        "ratio_interval": [low, high],
        "target": case.target,
        "verdict": None if case.target is None else "over" if over else "ok",
    }


def summary(name: str, seconds: list[float]) -> dict[str, Any]:
    """Median and quartiles of one side in milliseconds."""
    return {
        "name": name,
        "median_ms": 1e3 * statistics.median(seconds),
        "quartiles_ms": [1e3 * q for q in quartiles(seconds)],
    }


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the median, from order statistics (the whole range where values are few)."""
    ordered = sorted(values)
    index = max(0, int(binom.ppf(0.025, len(ordered), 0.5)) - 1)
    return ordered[index], ordered[-1 - index]


# ---- helpers for cases ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """A model's inputs `(batch, seq)`, and the gradient of its last hidden state `(batch, seq, hidden)`."""

    inputs: dict[str, torch.Tensor]
    gradient: torch.Tensor


def random_batch(config: Any, rows: int, length: int, padded: bool) -> Batch:
    """Random ids and gradient; where `padded`, the rows end at different places and a mask says so."""
    generator = torch.Generator().manual_seed(1)
    inputs = {"input_ids": torch.randint(1, config.vocab_size, (rows, length), generator=generator)}
    if padded:
        ends = torch.linspace(length // 2, length, rows).long()
        inputs["attention_mask"] = (torch.arange(length) < ends[:, None]).long()
    # Random, because the mean of the squares, say, is the same for whatever a LayerNorm returns: no gradient at all.
    gradient = torch.randn(rows, length, config.hidden_size, generator=generator)
    return Batch({name: tensor.to(DEVICE) for name, tensor in inputs.items()}, gradient.to(DEVICE))


def forward_backward(model: nn.Module, batch: Batch) -> torch.Tensor:
    """One forward and backward pass; returns the last hidden state `(batch, seq, hidden)`.

    The optimizer's update is left out: it is the same on both sides, and would only hide their difference.
    """
    model.zero_grad()
    hidden = model(**batch.inputs).last_hidden_state
    hidden.backward(batch.gradient)
    return hidden.detach()


def trained(model: nn.Module, batch: Batch) -> Callable[[], Any]:
    """The work of one side: a training step without the update, dropout on."""
    return lambda: forward_backward(model.train(), batch)


def assert_same(ours: nn.Module, reference: nn.Module, batch: Batch, exact: bool = False) -> None:
    """Raises DifferentError unless outputs on real tokens and all gradients agree, with dropout off.

    Allowed are 1e-5 for outputs (their size is 1) and 1e-4 of a gradient's largest entry; nothing where `exact`.
    """
    real = batch.inputs.get("attention_mask", torch.ones_like(batch.inputs["input_ids"])).bool()
    outputs = [forward_backward(model.eval(), batch)[real] for model in (ours, reference)]
    far = (outputs[0] - outputs[1]).abs().max().item()
    if not far <= (0 if exact else 1e-5):
        raise DifferentError(f"outputs differ by {far:.2e}")
    expected = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    found = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    if expected.keys() != found.keys():
        raise DifferentError(
            f"only one side has a gradient for {', '.join(sorted(expected.keys() ^ found.keys())[:3])}"
        )
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    for name, gradient in expected.items():
        # The second term is for gradients that are zero but for rounding, as those of the keys' biases.
        allowed = 0 if exact else 1e-4 * gradient.abs().max().item() + 1e-6 * largest
        far = (found[name] - gradient).abs().max().item()
        if not far <= allowed:
            raise DifferentError(f"the gradients of {name} differ by {far:.2e}; allowed are {allowed:.2e}")


# ---- minbert against transformers' BERT ----------------------------------------------------------------------------


def minbert_sides(hidden_size: int, layers: int, length: int, padded: bool) -> Sides:
    """minbert and BertModel of the same weights, both with SDPA, on 8 sequences of `length` tokens."""
    sizes = {"hidden_size": hidden_size, "num_hidden_layers": layers, "num_attention_heads": hidden_size // 64}
    sizes |= {"intermediate_size": 4 * hidden_size, "vocab_size": 1000, "attn_implementation": "sdpa"}
    reference = BertModel(BertConfig(**sizes), add_pooling_layer=False).to(DEVICE)
    ours = MinBertModel(MinBertConfig(**sizes), add_pooling_layer=False).to(DEVICE)
    ours.load_state_dict(reference.state_dict())
    batch = random_batch(reference.config, 8, length, padded)
    check = functools.partial(assert_same, ours, reference, batch)
    return Sides(check, trained(ours, batch), trained(reference, batch))


def _register_minbert() -> None:
    for size, hidden_size, layers, length in (
        ("", 256, 4, 128),
        ("", 256, 4, 512),
        ("_hidden768", 768, 2, 128),
    ):
        for padded in (False, True):
            name = f"minbert{size}_8x{length}" + ("_padded" if padded else "")
            build = functools.partial(minbert_sides, hidden_size, layers, length, padded)
            case(name, "minbert", "BertModel", target=1.00)(build)


_register_minbert()


# ---- highway against residual --------------------------------------------------------------------------------------


def naive_join(
    output: HighwayBertOutput, update: torch.Tensor, stream: torch.Tensor, normed: torch.Tensor
) -> torch.Tensor:
    """The coupled highway sum as its equation is written: `(1 - T) * x + T * F(x)`, all `(batch, seq, hidden)`."""
    T = output.gate(stream if output.reads_stream else normed)
    return (1 - T) * stream + T * update


def naive_copy(model: HighwayBertModel) -> HighwayBertModel:
    """The same net with the equation in place of the fast mix."""
    naive = HighwayBertModel(model.config, add_pooling_layer=False).to(DEVICE)
    naive.load_state_dict(model.state_dict())
    for module in naive.modules():
        if isinstance(module, HighwayBertOutput):
            module.join = functools.partial(naive_join, module)
    return naive


def highway_sides(gate_type: str, layers: int = 4, rows: int = 8) -> Sides:
    """highway_bert and minbert at hidden 512, pre-norm layers, on `rows` sequences of 128 tokens."""
    sizes = {"num_hidden_layers": layers, "attn_implementation": "sdpa"}
    config = HighwayBertConfig(gate_type=gate_type, **sizes)
    structure = {name: getattr(config, name) for name in MinBertConfig.__annotations__}
    highway = HighwayBertModel(config, add_pooling_layer=False).to(DEVICE)
    residual = MinBertModel(MinBertConfig(**structure, attn_implementation="sdpa"), add_pooling_layer=False).to(DEVICE)
    neutral_config = HighwayBertConfig(skip_connection="residual", **sizes)
    neutral = HighwayBertModel(neutral_config, add_pooling_layer=False).to(DEVICE)
    neutral.load_state_dict(residual.state_dict())
    for name, parameter in highway.named_parameters():
        if ".gate." in name:  # gates start at weight zero, where a wrong mix could go unseen
            nn.init.normal_(parameter, std=0.02)
    batch = random_batch(config, rows, 128, padded=False)

    def check() -> None:
        assert_same(neutral, residual, batch, exact=True)
        assert_same(highway, naive_copy(highway), batch)

    return Sides(check, trained(highway, batch), trained(residual, batch))


@case("highway_feature_gates", "highway", "residual", target=1.20)
def highway_feature_gates() -> Sides:
    """A gate value per feature; its matrix products alone cost 1.17."""
    return highway_sides("feature")


@case("highway_scalar_gates", "highway", "residual", target=1.05)
def highway_scalar_gates() -> Sides:
    """One gate value per position."""
    return highway_sides("scalar")


# ---- output --------------------------------------------------------------------------------------------------------


HEADER = ("case", "ours / reference", "ours ms", "reference ms", "ratio", "95 % interval", "target", "verdict")


def row(result: dict[str, Any]) -> tuple[str, ...]:
    """One measured case as the cells of the table."""
    sides = [
        f"{side['median_ms']:.1f} ({side['quartiles_ms'][0]:.1f}–{side['quartiles_ms'][1]:.1f})"
        for side in (result["ours"], result["reference"])
    ]
    low, high = result["ratio_interval"]
    names = f"{result['ours']['name']} / {result['reference']['name']}"
    target = "" if result["target"] is None else f"{result['target']:.2f}"
    cells = (f"{result['ratio']:.3f}", f"{low:.3f}–{high:.3f}", target, result["verdict"] or "")
    return (result["name"], names, *sides, *cells)


def table(results: Sequence[dict[str, Any]]) -> str:
    """All measured cases as aligned columns: medians with quartiles, the ratio, its target."""
    rows = [HEADER, *map(row, results)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(HEADER))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) for cells in rows)
    return "\n".join(line.rstrip() for line in lines)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names of the cases and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these cases (default: all)")
    parser.add_argument("--rounds", type=int, default=21, help="measurements of each side (default: 21)")
    parser.add_argument("--output", type=Path, help="also write the results to this JSON file")
    options = parser.parse_args(argv)
    check_range("--rounds", options.rounds, low=1)
    for name in options.only or ():
        if name not in CASES:
            raise InputError(f"--only: '{name}'; allowed: {', '.join(CASES)}")
    return options


def run(names: Sequence[str], rounds: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Measured cases, and what was wrong with those whose sides differ."""
    results, different = [], {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            results.append(measure(CASES[name], rounds))
        except DifferentError as error:
            different[name] = str(error)
    return results, different


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the program."""
    options = parse_arguments(argv)
    if options.list:
        print("\n".join(CASES))
        return 0
    about = environment() | {"load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}
    print("\n".join(f"{name}: {value}" for name, value in about.items()) + "\n")
    results, different = run(options.only or list(CASES), options.rounds)
    print(table(results))
    if options.output:
        content = {"environment": about, "rounds": options.rounds, "cases": results, "different": different}
        write_json(options.output, content)
    for name, problem in different.items():
        print(f"error: {name}: the two sides do not compute the same: {problem}", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    main()
