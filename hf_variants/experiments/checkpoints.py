# Copyright 2026 The hf_variants authors. MIT licence.
"""The state of a run on disk: safetensors and JSON, nothing pickled.

A checkpoint is written under a temporary name and renamed when complete, so that a folder with a final name is always
whole, whenever the process was killed.
"""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, load_model, save_file, save_model


def save_checkpoint(
    folder: Path, model: torch.nn.Module, optimizer: Any, state: dict[str, Any], rank: int, barrier: Any
) -> None:
    """Writes model, optimizer, this process's random state and `state` (JSON) to `folder`, replacing it.

    `barrier()` waits for all processes; only rank 0 writes what they share.
    """
    partial = folder.with_name(folder.name + ".partial")
    if rank == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_model(model, str(partial / "model.safetensors"))
        tensors, rest = _flatten(optimizer.state_dict())
        save_file(tensors, partial / "optimizer.safetensors")
        (partial / "state.json").write_text(json.dumps(state | {"optimizer": rest}))
    barrier()
    save_file(random_state(), partial / f"random-{rank}.safetensors")
    barrier()
    if rank == 0:
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    barrier()


def load_checkpoint(folder: Path, model: torch.nn.Module, optimizer: Any, rank: int) -> dict[str, Any]:
    """Puts a checkpoint's content back in place and returns its `state`."""
    state = read_state(folder)
    load_model(model, str(folder / "model.safetensors"))
    optimizer.load_state_dict(_unflatten(load_file(folder / "optimizer.safetensors"), state.pop("optimizer")))
    mine = folder / f"random-{rank}.safetensors"
    if mine.exists():  # absent where the run now has more processes than then
        restore_random_state(load_file(mine))
    return state


def read_state(folder: Path) -> dict[str, Any]:
    """A checkpoint's JSON part."""
    return json.loads((folder / "state.json").read_text())


def newest_checkpoint(folder: Path) -> Path | None:
    """The complete checkpoint with the most updates in `folder`."""
    found = sorted(p for p in folder.glob("update-*") if p.suffix != ".partial")
    return found[-1] if found else None


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Removes all but the newest `keep` checkpoints, and what an interrupted write left."""
    for partial in folder.glob("*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
    for old in sorted(folder.glob("update-*"))[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


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
