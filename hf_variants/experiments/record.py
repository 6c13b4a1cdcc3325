# Copyright 2026 The hf_variants authors. MIT licence.
"""What a run leaves behind: metrics.jsonl line by line while it runs, one small record when it is finished."""

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from .arguments import InputError
from .durable import put_in_place

SCHEMA = 1
RECIPE, CHECKPOINTS = "recipe.json", "checkpoints"  # in the folder of a run
# what a run, and who reports on it, writes to that folder
OF_A_RUN = (CHECKPOINTS, f"{CHECKPOINTS}*.partial", "final", "model", "snapshots", "metrics.jsonl", "record.json",
            "predictions.jsonl", "loss_curves.png", "architecture_*.png")  # fmt: skip
TOKENIZER_RECORD = "tokenizer_record.json"  # in the folder of a tokenizer that was prepared
PLACE = (
    "event",
    "phase",
    "budget",
    "step",
    "tokens",
    "flops",
    "stage_tokens",
    "best_step",
)  # of a line; all else was measured
NOT_IN_STAGES = ("event", "phase", "budget", "seconds")
WALL_CLOCK_FIELDS = ("seconds", "tokens_per_second")  # differ from run to run; all else is reproducible
PACKAGES = ("hf_variants", "torch", "transformers", "accelerate", "datasets", "tokenizers", "evaluate", "numpy")


class MetricsFile:
    """A JSON-lines file that is appended to, and cut back when a run goes on from an earlier checkpoint."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path, self.writes = path, writes

    def append(self, values: dict[str, Any]) -> None:
        """Adds one line and hands it to the operating system, so that a kill loses nothing already written."""
        if self.writes:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")

    def size(self) -> int:
        """Length in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def sync(self) -> None:
        """Waits until all lines have reached the disk."""
        if self.writes and self.path.exists():
            with self.path.open("a") as file:
                os.fsync(file.fileno())

    def truncate(self, size: int) -> None:
        """Drops what lies beyond `size` bytes."""
        if self.writes and self.path.exists():
            os.truncate(self.path, size)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All complete lines of a metrics.jsonl (a last line cut by a kill is left out)."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def write_json(path: Path, content: Any) -> None:
    """Writes JSON under a temporary name and renames it, so that readers never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # of its own: processes may write the same file
    partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    put_in_place(partial, path)


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises InputError where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


# ---- identity ------------------------------------------------------------------------------------------------------


def differing_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """`section.key: old → new` for every difference between two nested mappings."""
    lines = []
    for key in sorted(set(old) | set(new)):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differing_keys(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a} → {b}")
    return lines


def held(folder: Path, patterns: Sequence[str]) -> list[str]:
    """What `folder` has of these names: files, and folders that are not empty."""
    found = dict.fromkeys(path for pattern in patterns for path in sorted(folder.glob(pattern)))
    return [path.name for path in found if not path.is_dir() or any(path.iterdir())]


def claim_file(path: Path, keys: Sequence[str], *others: str) -> None:
    """Raises InputError unless what lies where `path` and `others` beside it will be written is of this program.

    Its proof is the JSON object in `path`, which has these keys. `others` are names, or patterns of them.
    """
    found = held(path.parent, (path.name, *others))
    if not found:
        return
    content = None
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not set(keys) <= content.keys():
        raise InputError(
            f"{path.parent}: holds {', '.join(found[:5])}, and no {path.name} of this program that says they are its "
            "own; move them away, or write to another place"
        )


def refuse_foreign(folder: Path) -> None:
    """Raises InputError where `folder` is no run's, and holds what a run would write over."""
    found = held(folder, OF_A_RUN)
    if found and not (folder / RECIPE).exists():  # asked last: another process may just have claimed it
        raise InputError(
            f"{folder}: holds {', '.join(found[:5])}, and no {RECIPE} that says which recipe made them; move them "
            "away, or use another --output_dir"
        )


def claim_folder(folder: Path, identity: dict[str, Any]) -> None:
    """Marks `folder` as this recipe's. Raises InputError where it holds another's run, or nothing says whose."""
    marker = folder / RECIPE
    if marker.exists():
        known = read_json(marker)
        if not isinstance(known, dict) or "data_fingerprint" not in known:
            raise InputError(f"{marker}: is no file of this program; use another --output_dir")
        changed = differing_keys(known, identity)
        if changed:
            raise InputError(
                f"{folder}: holds a run of another recipe ({'; '.join(changed[:3])}); use another --output_dir"
            )
        return
    refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(marker, identity)


# ---- environment ---------------------------------------------------------------------------------------------------


def environment() -> dict[str, Any]:
    """Versions, device, threads and commit, for the record."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    place = {"python": platform.python_version(), "system": platform.system(), "device": device}
    return place | {"threads": torch.get_num_threads(), "commit": _commit()} | versions


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()} ({os.cpu_count()} cores)"
    return f"{platform.processor() or platform.machine()} ({os.cpu_count()} cores)"


def _commit() -> str:
    """The commit of the checkout that this code lies in, with a mark where files differ from it."""
    here = Path(__file__).resolve().parent
    try:
        git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(git, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


# ---- cost ----------------------------------------------------------------------------------------------------------


def count_parameters(model: torch.nn.Module) -> dict[str, int]:
    """All and trainable parameters, shared ones once."""
    every = list(model.parameters())
    return {
        "parameters": sum(p.numel() for p in every),
        "trainable_parameters": sum(p.numel() for p in every if p.requires_grad),
    }


def saved_config(model: PreTrainedModel) -> dict[str, Any]:
    """What config.json says of the finished model, but for its labels and the version that wrote it."""
    config = json.loads(model.config.to_json_string(use_diff=True))
    apart = ("transformers_version", "architectures", "_name_or_path", "dtype", "id2label", "label2id")
    return {name: value for name, value in config.items() if name not in apart}


def training_flops_per_token(model: torch.nn.Module, block_size: int) -> float:
    """FLOPs of one forward and backward pass per token, counted by torch's FlopCounterMode on one block.

    Counts matrix products and attention (in its plain form, so that every kernel counts the same); the rest is noise.
    """
    flops = _count_flops(model, block_size, lambda output: output.logits.float().sum().backward())
    model.zero_grad(set_to_none=True)
    return flops


@torch.no_grad()
def forward_flops_per_token(model: torch.nn.Module, block_size: int) -> float:
    """FLOPs of one forward pass per token, counted in the same way."""
    return _count_flops(model, block_size, lambda output: None)


def _count_flops(model: torch.nn.Module, block_size: int, then: Callable[[Any], None]) -> float:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    device = next(model.parameters()).device
    token = 1 if getattr(model.config, "pad_token_id", None) == 0 else 0  # some models warn of padding
    ids = torch.full((1, block_size), token, device=device)
    was_training = model.training
    model.eval()  # dropout would draw from the generators
    cudnn = torch.backends.cudnn.flags(enabled=False)  # whose recurrent nets are one operation without a count
    with cudnn, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        then(model(input_ids=ids))
    model.train(was_training)
    return counter.get_total_flops() / block_size


# ---- the record of a finished run ----------------------------------------------------------------------------------


def summarise(metrics: list[dict[str, Any]], flops_per_token: float) -> dict[str, Any]:
    """Marks (ends of decay branches), curve of the trunk, and totals, from the lines of a metrics.jsonl."""
    marks: dict[int, dict[str, Any]] = {}
    curve: dict[int, dict[str, Any]] = {}
    steps: dict[str, list[dict[str, Any]]] = {"stages": [], "unfrozen": []}
    for line in metrics:
        place = {"tokens": line["tokens"], "steps": line["step"]}
        on_path = line["phase"] == "trunk" or line["budget"] == 1.0
        if line["event"] == "growth":
            kind = "stages" if "loss_after" in line else "unfrozen"
            content = {name: value for name, value in line.items() if name not in NOT_IN_STAGES}
            steps[kind] += [content] if on_path else []
        elif line["event"] == "train":
            if on_path:
                point = curve.setdefault(line["step"], place)
                point |= {"train_loss": line["loss"]} | _present(line, "layer_grad_norms")
        elif line["phase"] == "trunk":
            curve.setdefault(line["step"], place)["validation_loss"] = line["loss"]
        else:
            cost = {"flops": line.get("flops", line["tokens"] * flops_per_token), "seconds": line["seconds"]}
            cost |= _present(line, "stage_tokens", "best_step")
            mark = marks.setdefault(line["step"], place | cost)
            mark[line["event"]] = _metric_values(line)
    last = max(marks)
    final = marks[last]
    return {
        "marks": [marks[step] for step in sorted(marks)],
        "curve": [curve[step] for step in sorted(curve)],
        "tokens": final["tokens"],
        "steps": final["steps"],
        "seconds": final["seconds"],
        **{kind: found for kind, found in steps.items() if found},
    }


def _present(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: line[name] for name in names if name in line}


def _metric_values(line: dict[str, Any]) -> dict[str, float]:
    apart = (*PLACE, *WALL_CLOCK_FIELDS)
    return {name: value for name, value in line.items() if name not in apart}
