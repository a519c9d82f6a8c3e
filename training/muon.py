"""Muon, the optimizer of the layers' matrices: every update has the same size in all directions.

As `torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"`, of which it reads and writes the same state, but in the
arithmetic that the device is quick in (torch's is always bfloat16), and with all matrices of one shape at a time.
Keller Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training.precision import quick_dtype

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial that brings singular values between 0 and 1 near to 1; Jordan's, tuned for speed."""
ITERATIONS = 5
RMS = 0.2
"""Of an update for a rate of 1, as AdamW's are: Liu et al., "Muon is scalable for LLM training", 2025."""
EPSILON = 1e-7


def orthogonal(matrices: Tensor) -> Tensor:
    """The matrices with all singular values near 1; (n, n_rows, n_columns)."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=EPSILON)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal."""

    def __init__(
        self, matrices: Iterable[nn.Parameter] | Iterable[dict[str, Any]], weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": 1e-3, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # noqa: ARG002  # torch's signature
        """One update of all matrices that have gradients."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for shape, matrices in alike.items():
                momenta = [self._momentum(matrix, group["momentum"]) for matrix in matrices]
                dtype = quick_dtype(matrices[0].device)
                updates = orthogonal(torch.stack(momenta).to(dtype)).to(matrices[0].dtype)
                size = RMS * max(shape) ** 0.5
                for matrix, update in zip(matrices, updates, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"] * size)

    def _momentum(self, matrix: nn.Parameter, momentum: float) -> Tensor:
        assert matrix.grad is not None
        kept = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
        kept.lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(kept, momentum)
