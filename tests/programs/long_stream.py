# Copyright 2026 The hf_variants authors. MIT licence.
"""Streams more text than a run may hold, and measures the memory of every process that takes part.

    python tests/programs/long_stream.py --gigabytes 2

generates so much text in shards, reads all of it through the data pipeline, trains 500 steps on it with train.py, and
deletes it again. It ends with an error where memory grew by more than LIMIT megabytes after the warm-up. A token is a
line of text, which is the cheapest that a tokenizer can do: what is measured is reading, packing and shuffling.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "training")]

LIMIT = 100  # megabytes that memory may grow by
WARM_UP = 0.2  # share of a stream, or of a run's steps, after which it should not grow any more
SHARDS = 16
LINES = 20_000  # different ones
RECIPE: dict[str, Any] = {
    "name": "long_stream",
    "model": {
        "model_type": "nanogpt",
        "overrides": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                      "max_position_embeddings": 32},
    },
    "data": {"streaming": True, "block_size": 32, "max_eval_blocks": 8, "shuffle_buffer": 2_000, "workers": 1},
    "objective": {"objective": "causal_lm", "samples": 0},
    "training": {"max_steps": 500, "batch_size": 16, "warmup_steps": 10, "eval_every": 250, "checkpoint_every": 100},
}  # fmt: skip


def write_text(folder: Path, size: int) -> None:
    """`size` bytes of documents in SHARDS files for training, and a few more for validation."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abdegiklmnoprstuvz", k=rng.randint(2, 9))) for _ in range(5_000)]
    lines = [f"{number} {' '.join(rng.choices(words, k=rng.randint(20, 120)))}\n" for number in range(LINES)]
    for number in range(SHARDS):
        with (folder / f"train-{number:05d}.jsonl").open("w") as file:
            while file.tell() < size // SHARDS:
                file.write("".join(_document(rng, lines) for _ in range(100)))
    (folder / "validation.jsonl").write_text("".join(_document(rng, lines) for _ in range(200)))
    (folder / "lines.json").write_text(json.dumps(lines))


def _document(rng: random.Random, lines: list[str]) -> str:
    return json.dumps({"text": "".join(rng.choices(lines, k=rng.randint(2, 12)))}) + "\n"


def save_tokenizer(folder: Path, lines: list[str]) -> Path:
    """A tokenizer whose tokens are whole lines."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[EOS]"]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(specials + lines)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("\n"), behavior="merged_with_previous")
    names = dict(zip(("pad_token", "unk_token", "eos_token"), specials, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(folder / "tokenizer")
    return folder / "tokenizer"


class Memory:
    """Resident megabytes of this process and of its children together, over time."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def look(self) -> None:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        self.seen.append(sum(map(resident, ("self", *children))))

    def growth(self) -> float:
        """The most that it ever had above its level after the warm-up."""
        after = self.seen[int(WARM_UP * len(self.seen)) :]
        return max(after) - after[0]


def resident(process: str) -> float:
    """VmRSS of a process in megabytes; 0 where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


def read_all(recipe: dict[str, Any]) -> dict[str, float]:
    """Streams one epoch: tokens, seconds, and how memory grew."""
    from hf_variants.experiments.engine.prepared import prepare
    from hf_variants.experiments.recipes.recipe import recipe_from_dict

    parsed, memory, tokens = recipe_from_dict(recipe), Memory(), 0
    prepared = prepare(parsed)
    began = time.perf_counter()
    for window in prepared.order(parsed.training).stream.windows(prepared.order(parsed.training).stream.beginning()):
        if window.mark.epoch > 0:
            break
        tokens += window.rows.size
        memory.look()
    seconds, size = time.perf_counter() - began, prepared.shards.size["bytes"]
    rate = {"megabytes": size / 1e6, "megabytes_per_second": size / 1e6 / seconds}
    return rate | {"tokens": tokens, "seconds": seconds, "windows": len(memory.seen)} | about(memory)


def train(recipe: dict[str, Any], folder: Path) -> dict[str, float]:
    """Runs train.py on it in this process: steps, and how memory grew."""
    import train as program

    from hf_variants.experiments.engine.loop import Loop

    memory, after_step = Memory(), Loop._after_step

    def watched(self: Loop, phase: Any) -> None:
        after_step(self, phase)
        memory.look()

    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    Loop._after_step = watched
    try:
        program.main(["--config", str(folder / "recipe.yaml"), "--output_dir", str(folder / "run")])
    except SystemExit as end:
        if end.code:
            raise
    return {"steps": len(memory.seen)} | about(memory)


def about(memory: Memory) -> dict[str, float]:
    """What is reported, in megabytes."""
    return {"resident_at_first": memory.seen[0], "resident_at_most": max(memory.seen), "growth": memory.growth()}


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, help="where the text lies for a while (default: a temporary folder)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        size = int(options.gigabytes * 1e9)
        if shutil.disk_usage(folder).free < size + 1e9:
            sys.exit(f"error: {folder}: needs {size / 1e9 + 1:.1f} GB of free disk")
        write_text(folder, size)
        tokenizer = save_tokenizer(folder, json.loads((folder / "lines.json").read_text()))
        recipe = RECIPE | {"tokenizer": {"tokenizer": str(tokenizer)}}
        recipe["data"] = recipe["data"] | {"dataset": str(folder)}
        for what, found in (("stream", read_all(recipe)), ("train", train(recipe, folder))):
            print(json.dumps({"what": what} | {name: round(value, 1) for name, value in found.items()}), flush=True)
            if found["growth"] > LIMIT:
                sys.exit(f"error: {what}: memory grew by {found['growth']:.0f} MB, more than {LIMIT}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
