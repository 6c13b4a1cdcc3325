# Copyright 2026 The hf_variants authors. MIT licence.
"""Muon on hidden matrices and AdamW on all else, behind the face of one optimizer.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) takes the momentum of a matrix and brings all its
singular values to about 1 by five Newton-Schulz steps in bfloat16: an update that is equally large in every direction.
A matrix with `parts` is several maps side by side, and each is orthogonalized by itself. An update is scaled by
0.2 * sqrt(largest side), which gives its values the size that AdamW's have (arXiv:2502.16982, section 2.2). So one
learning rate and one weight decay may serve both optimizers, and it makes no difference which side of a matrix is the
input: nn.Linear and transformers' Conv1D are treated alike.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from ..machine.sharding import spread_like, whole

Group = dict[str, Any]  # of an optimizer: its `params`, and how they are updated


class MuonWithAdamW(torch.optim.Optimizer):
    """torch.optim.Muon on some parameters and torch.optim.AdamW on others.

    Args:
        hidden: Muon's groups; each says of how many `parts` its matrices consist, side by side in the second
            dimension (1 for most).
        others: AdamW's groups; at least one.
        muon, adamw: what the two are made with, such as `lr`.

    A parameter's state is what its optimizer keeps: `momentum_buffer`, or `exp_avg`, `exp_avg_sq` and `step`. A matrix
    that is spread over processes is gathered for its update, by itself, and each process computes all of it:
    orthogonal parts of a matrix are no orthogonal matrix.
    """

    def __init__(self, hidden: list[Group], others: list[Group], muon: Group, adamw: Group) -> None:
        self.muon = torch.optim.Muon(hidden, adjust_lr_fn="match_rms_adamw", **muon)
        self.adamw = torch.optim.AdamW(others, **adamw)
        super().__init__([*self.muon.param_groups, *self.adamw.param_groups], {})
        self.muon.param_groups = []  # `step` fills it

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # said anew in each step: load_state_dict and Accelerate put other groups and states in place of these
        self.adamw.param_groups = [group for group in self.param_groups if not is_muons(group)]
        self.adamw.state = self.state
        self.adamw.step()
        for group in filter(is_muons, self.param_groups):
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._step_matrix(matrix, group)
        return loss

    def _step_matrix(self, matrix: torch.Tensor, group: Group) -> None:
        """Has Muon update views of the parts of one matrix, which write through to the matrix and its momentum."""
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        kept = (matrix.detach(), matrix.grad, state["momentum_buffer"])
        values = [whole(tensor) for tensor in kept]
        parts = list(zip(*(value.chunk(group["parts"], dim=1) for value in values), strict=True))
        for part, gradient, momentum in parts:
            part.grad = gradient
            self.muon.state[part] = {"momentum_buffer": momentum}
        self.muon.param_groups = [group | {"params": [part for part, _, _ in parts]}]
        self.muon.step()
        self.muon.param_groups = []
        self.muon.state.clear()
        for tensor, value in zip(kept[::2], values[::2], strict=True):  # Muon leaves the gradient as it is
            if isinstance(tensor, DTensor):
                tensor.copy_(spread_like(tensor, value))


def is_muons(group: Group) -> bool:
    """Whether a group is one of Muon's."""
    return "parts" in group
