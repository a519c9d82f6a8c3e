"""A residual stream grows by what a layer adds, and is normalised for the next one: one pass over both.

In go two tensors, out come their sum, rounded to their dtype, and that sum normalised. Knows nothing about layers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from asr_api.engines.cuda import reference_ops
from asr_api.engines.cuda.kernels.triton_language import jit, next_power_of_2, runs_kernels, tl
from asr_api.engines.whisper.config import LAYER_NORM_EPSILON


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
    limit: float  # the greatest number of the dtype: sums stay there


@jit
def _add_layer_norm(io: tl.tensor, sizes: tl.constexpr) -> None:
    column = tl.arange(0, sizes.block)
    is_inside = column < sizes.n_state
    place = tl.program_id(0).to(tl.int64) * sizes.n_state + column
    added = tl.load(io.x + place, mask=is_inside, other=0.0).to(tl.float32)
    added += tl.load(io.residual + place, mask=is_inside, other=0.0).to(tl.float32)
    added = tl.where(added > sizes.limit, sizes.limit, added)  # a comparison, so that what is no number stays none
    added = tl.where(added < -sizes.limit, -sizes.limit, added)
    stored = added.to(io.total.dtype.element_ty)
    tl.store(io.total + place, stored, mask=is_inside)
    total = stored.to(tl.float32)  # what the next layers see is what is normalised
    mean = tl.sum(total, 0) / sizes.n_state
    centred = tl.where(is_inside, total - mean, 0.0)
    deviation = tl.sqrt(tl.sum(centred * centred, 0) / sizes.n_state + sizes.epsilon)
    weight = tl.load(io.weight + column, mask=is_inside, other=0.0).to(tl.float32)
    bias = tl.load(io.bias + column, mask=is_inside, other=0.0).to(tl.float32)
    normed = centred / deviation * weight + bias
    tl.store(io.normed + place, normed.to(io.normed.dtype.element_ty), mask=is_inside)


def launch_add_layer_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    x, residual = x.contiguous(), residual.contiguous()
    total, normed = torch.empty_like(x), torch.empty_like(x)
    n_state = x.shape[-1]
    tensors = _Tensors(x, residual, weight, bias, total, normed)
    sizes = _Sizes(n_state, next_power_of_2(n_state), LAYER_NORM_EPSILON, torch.finfo(x.dtype).max)
    _add_layer_norm[(x.numel() // n_state,)](tensors, sizes, num_warps=4)
    return total, normed


def add_layer_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The sum, and the sum normalised over its last axis. x, residual: (…, n_state); weight, bias: (n_state,)"""
    if not runs_kernels(x):
        return reference_ops.add_layer_norm(x, residual, weight, bias)
    return launch_add_layer_norm(x, residual, weight, bias)
