# Copyright 2026 The hf_variants authors. MIT licence.
"""The state of a run on disk: safetensors and JSON, nothing pickled.

A checkpoint is written under a temporary name and renamed when it has reached the disk, so that a folder with a final
name is always whole, whenever the process was killed or the power failed. It holds whole tensors, however they were
spread over processes, and can be read by any number of them.
"""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, load_model, save_file, save_model

from ..files import PARTIAL, put_in_place, remove_folder

WRITE_ERRORS = (OSError, SafetensorError)  # what a full disk raises
_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: dict[str, Any],
    state: dict[str, Any],
    randoms: Sequence[dict[str, torch.Tensor]],
) -> None:
    """Writes a model, an optimizer's state_dict, `state` (JSON) and every process's random state to `folder`.

    Replaces what is there. Raises one of WRITE_ERRORS where it can't be written whole, and leaves nothing of it then.
    """
    partial = folder.with_name(folder.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        save_model(model, str(partial / _MODEL))
        tensors, rest = _flatten(optimizer)
        save_file(tensors, partial / _OPTIMIZER)
        for rank, mine in enumerate(randoms):
            save_file(mine, partial / f"random-{rank}.safetensors")
        (partial / _STATE).write_text(json.dumps(state | {"optimizer": rest}))
        remove_folder(folder)
        put_in_place(partial, folder)
    except WRITE_ERRORS:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def load_weights(folder: Path, model: torch.nn.Module) -> None:
    """Puts a checkpoint's weights into `model`."""
    load_model(model, str(folder / _MODEL))


def load_optimizer(folder: Path, optimizer: Any) -> None:
    """Puts a checkpoint's optimizer state into `optimizer`."""
    optimizer.load_state_dict(_unflatten(load_file(folder / _OPTIMIZER), read_state(folder)["optimizer"]))


def load_random_state(folder: Path, rank: int) -> None:
    """Puts back a process's random state; none where the run now has more processes than then."""
    mine = folder / f"random-{rank}.safetensors"
    if mine.exists():
        restore_random_state(load_file(mine))


def read_state(folder: Path) -> dict[str, Any]:
    """A checkpoint's JSON part."""
    return json.loads((folder / _STATE).read_text())


def written_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, the one with the fewest updates first."""
    return sorted(path for path in folder.glob("update-*") if path.suffix != PARTIAL)


def newest_checkpoint(folder: Path) -> Path | None:
    """The readable checkpoint with the most updates in `folder`."""
    return next(filter(is_readable, reversed(written_checkpoints(folder))), None)


def is_readable(folder: Path) -> bool:
    """Whether a checkpoint has all files in their full length."""
    try:
        others = [path.name for path in folder.glob("random-*.safetensors")]
        for name in (_MODEL, _OPTIMIZER, "random-0.safetensors", *others):
            with safe_open(folder / name, framework="pt"):  # compares the file's length with its header
                pass
        return "optimizer" in read_state(folder)
    except (*WRITE_ERRORS, ValueError):
        return False


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Removes all but the newest `keep` readable checkpoints, and what an interrupted write or removal left."""
    for partial in folder.glob("*" + PARTIAL):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
    written = written_checkpoints(folder)
    kept = [path for path in written if is_readable(path)][-keep:]  # a broken one must not take the place of a whole
    for other in written:
        if other not in kept:
            remove_folder(other)


def _flatten(state: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's state as named tensors, and the rest as JSON values."""
    tensors, scalars = {}, {}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.contiguous()
            else:
                scalars[f"{index}.{name}"] = value
    return tensors, {"param_groups": state["param_groups"], "scalars": scalars}


def _unflatten(tensors: dict[str, torch.Tensor], rest: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    for key, value in (tensors | rest["scalars"]).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": rest["param_groups"]}


def random_state() -> dict[str, torch.Tensor]:
    """The state of torch's, Python's and NumPy's global generators as tensors."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 the global one is what models use
    version, words, gauss_next = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.tensor([*keys.tolist(), position, has_gauss], dtype=torch.int64),
        "gauss": torch.tensor([float("nan") if gauss_next is None else gauss_next, gauss], dtype=torch.float64),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, torch.Tensor]) -> None:
    """Undoes `random_state`."""
    gauss_next, gauss = state["gauss"].tolist()
    torch.set_rng_state(state["torch"])
    random.setstate((3, tuple(state["python"].tolist()), None if gauss_next != gauss_next else gauss_next))
    *keys, position, has_gauss = state["numpy"].tolist()
    np.random.set_state(("MT19937", np.asarray(keys, dtype=np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
