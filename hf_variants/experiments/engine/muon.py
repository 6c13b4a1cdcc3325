# Copyright 2026 The hf_variants authors. MIT licence.
"""Muon on hidden matrices and AdamW on all else, behind the face of one optimizer.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) takes the momentum of a matrix and brings all its
singular values to about 1 by five Newton-Schulz steps: an update that is equally large in every direction. It is
scaled by 0.2 * sqrt(largest side), which gives its values the size that AdamW's have (arXiv:2502.16982, section 2.2).
So one learning rate and one weight decay may serve both optimizers, and it makes no difference which side of a matrix
is the input: nn.Linear and transformers' Conv1D are treated alike.

torch.optim.Muon computes the same, and knows neither matrices of several parts nor matrices that are spread over
processes. It iterates in bfloat16 everywhere; on a CPU without instructions for it float32 is six times as fast.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from ..machine.sharding import spread_like, whole

Group = dict[str, Any]  # of an optimizer: its `params`, and how they are updated
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic polynomial, steepest at 0
ITERATIONS, SMALLEST_NORM = 5, 1e-7
SIZE = 0.2  # of an update's values, at a learning rate of 1


def iterates_in(device: torch.device) -> torch.dtype:
    """The type of numbers in which matrices are orthogonalized there."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """About the nearest matrix with orthogonal rows or columns; its singular values lie around 1, most in 0.7 to 1.2.

    It is in the type in which it was computed.
    """
    a, b, c = COEFFICIENTS
    x = matrix.to(iterates_in(matrix.device))
    is_tall = len(matrix) > matrix.shape[1]
    x = x.T if is_tall else x
    x = x / x.norm().clamp(min=SMALLEST_NORM)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon on some parameters and torch.optim.AdamW on others.

    Args:
        hidden: Muon's groups; each says of how many `parts` its matrices consist, maps that lie side by side in the
            second dimension and are orthogonalized each by itself (1 for most).
        others: AdamW's groups; at least one.
        muon: Muon's `lr`, `weight_decay` (decoupled) and `momentum` (Nesterov's).
        adamw: what torch.optim.AdamW is made with, such as `lr`.

    A parameter's state is what its optimizer keeps: `momentum_buffer`, or `exp_avg`, `exp_avg_sq` and `step`. The
    update of a matrix that is spread over processes is gathered and computed by each of them: orthogonal shards are no
    orthogonal matrix.
    """

    def __init__(self, hidden: list[Group], others: list[Group], muon: Group, adamw: Group) -> None:
        self.adamw = torch.optim.AdamW(others, **adamw)
        super().__init__([*({**group, **muon} for group in hidden), *self.adamw.param_groups], {})

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
        state, beta = self.state[matrix], group["momentum"]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        momentum = state["momentum_buffer"].lerp_(matrix.grad, 1 - beta)
        parts = whole(matrix.grad.lerp(momentum, beta)).chunk(group["parts"], dim=1)
        update = torch.cat([orthogonalized(part) for part in parts], dim=1)
        if isinstance(matrix, DTensor):
            update = spread_like(matrix, update)
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(update, alpha=-group["lr"] * SIZE * math.sqrt(max(parts[0].shape)))


def is_muons(group: Group) -> bool:
    """Whether a group is one of Muon's."""
    return "parts" in group
