# Copyright 2026 The hf_variants authors. MIT licence.
"""Run by torchrun in two processes: loads masked language models shared out by their plan, and compares.

`torchrun --nproc_per_node 2 tensor_parallel.py ROOT` prints, for every folder in ROOT, its name and `same`, `refused`
(by the model, naming learned scales), or how far the logits are from those of the whole model.
"""

import re
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import AutoModelForMaskedLM
from transformers.distributed import DistributedConfig

import hf_variants  # noqa: F401  (registers the models)


def compare(folder: Path) -> str:
    """Return what is printed of a folder."""
    whole = AutoModelForMaskedLM.from_pretrained(folder).eval()
    plan = DistributedConfig(tp_plan="auto")
    shared = AutoModelForMaskedLM.from_pretrained(folder, distributed_config=plan).eval()
    linears = {re.sub(r"\d+", "*", name) for name, part in shared.named_modules() if isinstance(part, nn.Linear)}
    assert set(shared._tp_plan) <= linears, "the plan names what is not there"
    planned = [name for name, _ in shared.named_modules() if re.sub(r"\d+", "*", name) in shared._tp_plan]
    assert planned and all(isinstance(shared.get_submodule(name).weight, DTensor) for name in planned), planned
    ids = torch.randint(1, 90, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, 6:] = 0
    with torch.no_grad():
        expected = whole(ids, attention_mask=mask).logits
        try:
            found = shared(ids, attention_mask=mask).logits
        except ValueError as error:
            return "refused" if "learned scales are not shared out" in str(error) else str(error)
    difference = (found - expected).abs().max().item()
    return "same" if difference < 1e-5 * expected.abs().max().item() else f"differs by {difference}"


def main(root: Path) -> None:
    """Compare every folder of the root."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        result = compare(folder)
        if dist.get_rank() == 0:
            print(folder.name, result, flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
