"""Fused residual addition and layer norm."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from asr_api.engines.cuda import reference_ops
from asr_api.engines.cuda.kernels.triton_language import jit, next_power_of_2, runs_kernels, tl
from asr_api.engines.cuda.layers import LAYER_NORM_EPSILON


class _Tensors(NamedTuple):
    x: Tensor
    residual: Tensor
    weight: Tensor
    bias: Tensor
    total: Tensor
    normed: Tensor


class _Sizes(NamedTuple):
    n_state: int
    block: int
    epsilon: float
    limit: float  # the greatest finite number of the dtype; sums are clamped to it


@jit
def _add_layer_norm(io: tl.tensor, sizes: tl.constexpr) -> None:
    """One row of n_state values in each program."""
    column = tl.arange(0, sizes.block)
    is_inside = column < sizes.n_state
    offset = tl.program_id(0).to(tl.int64) * sizes.n_state + column
    total = tl.load(io.x + offset, mask=is_inside, other=0.0).to(tl.float32)
    total += tl.load(io.residual + offset, mask=is_inside, other=0.0).to(tl.float32)
    total = tl.where(total > sizes.limit, sizes.limit, total)  # comparisons, so that NaN stays NaN
    total = tl.where(total < -sizes.limit, -sizes.limit, total)
    stored = total.to(io.total.dtype.element_ty)
    tl.store(io.total + offset, stored, mask=is_inside)
    total = stored.to(tl.float32)  # the rounded sum is normalised, because later layers see that one
    mean = tl.sum(total, 0) / sizes.n_state
    centred = tl.where(is_inside, total - mean, 0.0)
    deviation = tl.sqrt(tl.sum(centred * centred, 0) / sizes.n_state + sizes.epsilon)
    weight = tl.load(io.weight + column, mask=is_inside, other=0.0).to(tl.float32)
    bias = tl.load(io.bias + column, mask=is_inside, other=0.0).to(tl.float32)
    normed = centred / deviation * weight + bias
    tl.store(io.normed + offset, normed.to(io.normed.dtype.element_ty), mask=is_inside)


def launch_add_layer_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    x, residual = x.contiguous(), residual.contiguous()
    total, normed = torch.empty_like(x), torch.empty_like(x)
    n_state = x.shape[-1]
    tensors = _Tensors(x, residual, weight, bias, total, normed)
    sizes = _Sizes(n_state, next_power_of_2(n_state), LAYER_NORM_EPSILON, torch.finfo(x.dtype).max)
    _add_layer_norm[(x.numel() // n_state,)](tensors, sizes, num_warps=4)
    return total, normed


def add_layer_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """x + residual, and its layer norm over the last axis. x, residual: (…, n_state); weight, bias: (n_state,)"""
    add = launch_add_layer_norm if runs_kernels(x) else reference_ops.add_layer_norm
    return add(x, residual, weight, bias)
