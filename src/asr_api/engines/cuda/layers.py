"""A checkpoint's tensors → the parts of a model, on a device.

In go the mapped files, out come linear layers and norms in one dtype; what is multiplied with the same vector is fused
into one matrix. A tensor is moved as it is stored and widened or rounded on the device. Knows nothing about the order
in which the parts are used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from asr_api.engines.checkpoints.checkpoint import TensorReader


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """weight: (n_out, n_in), as stored; bias: (n_out,)"""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """weight, bias: (n_state,)"""

    weight: Tensor
    bias: Tensor


class Loader:
    """Parts by the names that the checkpoint has for them."""

    def __init__(self, weights: TensorReader, device: torch.device, dtype: torch.dtype) -> None:
        self._weights = weights
        self._device = device
        self._dtype = dtype

    def tensor(self, name: str, *dims: int) -> Tensor:
        """Raises CheckpointError when the checkpoint has no such tensor. On a processor, float32 stays where it is."""
        stored = self._weights.tensor(name, dims)
        values = torch.from_numpy(stored.values)
        if stored.dtype == "BF16":
            values = values.view(torch.bfloat16)
        return values.to(self._device).to(self._dtype)

    def linear(self, name: str, n_in: int, n_out: int) -> Linear:
        return Linear(self.tensor(f"{name}.weight", n_out, n_in), self.tensor(f"{name}.bias", n_out))

    def norm(self, name: str, n_state: int) -> Norm:
        return Norm(self.tensor(f"{name}.weight", n_state), self.tensor(f"{name}.bias", n_state))

    def fused(self, name: str, parts: str, n_state: int) -> Linear:
        """Projections of one vector, one below the other. parts: such as "qkv"; the key's has no bias"""
        weights = [self.tensor(f"{name}.{part}_proj.weight", n_state, n_state) for part in parts]
        zeros = torch.zeros(n_state, device=self._device, dtype=self._dtype)
        biases = [zeros if part == "k" else self.tensor(f"{name}.{part}_proj.bias", n_state) for part in parts]
        return Linear(torch.cat(weights), torch.cat(biases))
