"""Linear layers and layer norms, loaded from a checkpoint's tensors onto a device in one dtype.

Projections of the same input (query, key and value) are fused into one matrix. A tensor is transferred as it is stored
and converted on the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from asr_api.engines.checkpoints.checkpoint import TensorReader
from asr_api.engines.checkpoints.stored_tensor import float_values

LAYER_NORM_EPSILON = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    weight: Tensor  # (n_out, n_in), as stored
    bias: Tensor  # (n_out,)

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """Layer norm over the last axis."""

    weight: Tensor  # (n_state,)
    bias: Tensor  # (n_state,)

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, LAYER_NORM_EPSILON)


class Loader:
    """Loads layers by their names in the checkpoint."""

    def __init__(self, weights: TensorReader, device: torch.device, dtype: torch.dtype) -> None:
        self._weights = weights
        self._device = device
        self._dtype = dtype

    def tensor(self, name: str, *dims: int) -> Tensor:
        """Raises CheckpointError when the checkpoint has no such tensor. On a CPU, float32 is not copied."""
        stored = self._weights.tensor(name, dims)
        if stored.steps is not None:
            return torch.from_numpy(float_values(stored, name)).to(self._device).to(self._dtype)
        values = torch.from_numpy(stored.values)
        if stored.dtype == "BF16":
            values = values.view(torch.bfloat16)
        return values.to(self._device).to(self._dtype)

    def linear(self, name: str, n_in: int, n_out: int) -> Linear:
        return Linear(self.tensor(f"{name}.weight", n_out, n_in), self.tensor(f"{name}.bias", n_out))

    def conv(self, name: str, n_in: int, n_out: int) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution over three positions."""
        return self.tensor(f"{name}.weight", n_out, n_in, 3), self.tensor(f"{name}.bias", n_out)

    def norm(self, name: str, n_state: int) -> Norm:
        return Norm(self.tensor(f"{name}.weight", n_state), self.tensor(f"{name}.bias", n_state))

    def fused(self, name: str, parts: str, n_state: int) -> Linear:
        """Several projections of one input, concatenated by output. parts: such as "qkv"; a key has no bias"""
        weights = [self.tensor(f"{name}.{part}_proj.weight", n_state, n_state) for part in parts]
        zeros = torch.zeros(n_state, device=self._device, dtype=self._dtype)
        biases = [zeros if part == "k" else self.tensor(f"{name}.{part}_proj.bias", n_state) for part in parts]
        return Linear(torch.cat(weights), torch.cat(biases))
