"""Several processes of one thread each that learn as one: gradients are averaged once a step.

On a busy machine this beats one process of several threads, which wait for each other in every small operation.
Knows nothing about models but that they have parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

RENDEZVOUS = "rendezvous"


@dataclass(frozen=True, slots=True)
class Team:
    """How many processes learn together, and which of them this one is."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """True for the process that prints and saves."""
        return self.rank == 0

    def meet(self, folder: Path) -> None:
        """Wait until all processes are there; the folder is where they find each other."""
        if self.size > 1:
            dist.init_process_group(
                "gloo", init_method=f"file://{(folder / RENDEZVOUS).resolve()}", rank=self.rank, world_size=self.size
            )

    @torch.no_grad()
    def agree(self, parameters: Iterable[nn.Parameter], seconds: float) -> float:
        """Average the gradients over all processes, in place; returns the average of `seconds` too."""
        if self.size == 1:
            return seconds
        gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients] + [torch.tensor([seconds])])
        dist.all_reduce(flat)
        flat /= self.size
        for gradient, part in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))
        return float(flat[-1])
