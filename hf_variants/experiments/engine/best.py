# Copyright 2026 The hf_variants authors. MIT licence.
"""Early stopping: the model that was best on validation is kept, and training ends when nothing better comes.

What is known is in the run's progress, which every checkpoint saves; a run that goes on from one writes the files that
came after it again.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model

from ..files import put_in_place
from ..objectives.base import Objective, selected


class BestModel:
    """The best model of a run, by the metric that its objective selects by; nothing without a `patience`."""

    def __init__(self, patience: int | None, objective: Objective, folder: Path) -> None:
        self.patience, self.objective, self.folder = patience, objective, folder
        self.metric, self.lower_is_better = objective.selection

    def saw(self, progress: Any, values: dict[str, float]) -> bool:
        """Counts one evaluation on validation in `progress`; whether it is the best so far."""
        if self.patience is None:
            return False
        value = selected(self.metric, values, self.objective)
        value = value if self.lower_is_better else -value
        improved = progress.best is None or value < progress.best
        if improved:
            progress.best, progress.best_step, progress.bad = value, progress.step, 0
        else:
            progress.bad += 1
        return improved

    def about(self, progress: Any) -> dict[str, int]:
        """What every line of metrics says of it."""
        return {} if self.patience is None else {"best_step": progress.best_step}

    def is_over(self, progress: Any) -> bool:
        """Whether so many evaluations in a row brought no improvement."""
        return self.patience is not None and progress.bad >= self.patience

    def save(self, progress: Any, model: torch.nn.Module) -> None:
        """Writes the weights of the best model."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "best.partial"
        save_model(model, str(partial))
        put_in_place(partial, self.path(progress))

    def load(self, progress: Any, model: torch.nn.Module) -> None:
        """Puts the weights of the best model into `model`."""
        if progress.best_step != progress.step:
            load_model(model, str(self.path(progress)))

    def prune(self, progress: Any) -> None:
        """Removes the best models of before; the newest checkpoint must know of the one that stays."""
        for path in self.folder.glob("best-*.safetensors"):
            if path != self.path(progress):
                path.unlink()

    def path(self, progress: Any) -> Path:
        """Where the weights of the best model lie."""
        return self.folder / f"best-{progress.best_step:09d}.safetensors"
