# Copyright 2026 The hf_variants authors. MIT licence.
"""Micro-batches of a run, by step: what every process takes of a global batch."""

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..objectives.base import Objective
from ..text.blocks import Order


class StepDataset(Dataset):
    """Item i is the i-th micro-batch of a run on one process.

    Every process draws the whole batch of the step and takes its own rows, so that neither order nor masks depend on
    the number of processes or micro-batches.
    """

    def __init__(self, order: Order, objective: Objective, seed: int, parts: int, rank: int, world: int) -> None:
        self.order, self.objective, self.seed = order, objective, seed
        self.parts, self.rank, self.world = parts, rank, world

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        step, part = divmod(index, self.parts)
        batch, weight = self.objective.prepare(self.order.rows(step), np.random.default_rng([self.seed, step, 2]))
        size = self.order.batch_size // (self.parts * self.world)
        mine = slice((part * self.world + self.rank) * size, (part * self.world + self.rank + 1) * size)
        return {name: torch.from_numpy(array[mine]) for name, array in batch.items()} | {
            "weight": torch.tensor(weight)
        }


def step_loader(dataset: StepDataset, first_step: int, last_step: int, pin_memory: bool) -> DataLoader:
    """Micro-batches of the steps first_step … last_step - 1.

    The loader has a generator of its own: creating an iterator draws a number, and taking that from the global
    generator would make a resumed run's dropout differ.
    """
    indices = range(first_step * dataset.parts, last_step * dataset.parts)
    return DataLoader(
        dataset, batch_size=None, sampler=indices, generator=torch.Generator().manual_seed(0), pin_memory=pin_memory
    )
