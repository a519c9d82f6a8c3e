"""Fused KV-cache append and causal attention for one decode step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from asr_api.engines.cuda import reference_ops
from asr_api.engines.cuda.kernels.online_softmax import attend_block, merge_lanes
from asr_api.engines.cuda.kernels.triton_language import LOG2_E, fits_blocks, jit, runs_kernels, tl

BLOCK = 64  # positions read at once


class _Tensors(NamedTuple):
    query: Tensor
    new_key: Tensor
    new_value: Tensor
    key_cache: Tensor  # not `keys` and `values`: Triton's tuples have an attribute `values`
    value_cache: Tensor
    positions: Tensor
    is_active: Tensor
    out: Tensor


class _Strides(NamedTuple):
    """Elements from one row to the next; heads are d_head elements apart."""

    query: int
    key: int
    value: int


class _Sizes(NamedTuple):
    n_head: int
    n_ctx: int
    d_head: int
    block: int
    scale: float


@jit
def _self_attention(io: tl.tensor, strides: tl.tensor, sizes: tl.constexpr) -> None:
    """One row and head in each program."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lane, depth = tl.arange(0, sizes.block), tl.arange(0, sizes.d_head)
    in_head = head * sizes.d_head + depth
    out = io.out + row * sizes.n_head * sizes.d_head + in_head
    if tl.load(io.is_active + row) == 0:
        tl.store(out, tl.full([sizes.d_head], 0, io.out.dtype.element_ty))
        return
    position = tl.minimum(tl.load(io.positions + row), sizes.n_ctx - 1)
    row_offset = (row * sizes.n_head + head) * sizes.n_ctx * sizes.d_head
    query = tl.load(io.query + row * strides.query + in_head).to(tl.float32) * sizes.scale
    key = tl.load(io.new_key + row * strides.key + in_head)
    value = tl.load(io.new_value + row * strides.value + in_head)
    tl.store(io.key_cache + row_offset + position * sizes.d_head + depth, key)
    tl.store(io.value_cache + row_offset + position * sizes.d_head + depth, value)

    # The new token is the first position of lane 0; the others are read from the cache.
    score = tl.sum(query * key.to(tl.float32), 0)
    peak = tl.where(lane == 0, score, -float("inf"))
    total = tl.where(lane == 0, 1.0, 0.0)
    weighted = tl.where((lane == 0)[:, None], value.to(tl.float32)[None, :], 0.0)
    for first in range(0, position, sizes.block):
        is_inside = first + lane < position
        offset = row_offset + (first + lane)[:, None] * sizes.d_head + depth[None, :]
        peak, total, weighted = attend_block(io, offset, is_inside, query, (peak, total, weighted))
    _, _, attended = merge_lanes((peak, total, weighted))
    tl.store(out, attended.to(io.out.dtype.element_ty))


def launch_self_attention(
    query: Tensor, key: Tensor, value: Tensor, caches: tuple[Tensor, Tensor], positions: Tensor, is_active: Tensor
) -> Tensor:
    keys, values = caches
    n_rows, n_head, d_head = query.shape
    query, key, value = (
        tensor if tensor.stride()[1:] == (d_head, 1) else tensor.contiguous() for tensor in (query, key, value)
    )
    out = torch.empty(n_rows, n_head, d_head, dtype=query.dtype, device=query.device)
    tensors = _Tensors(query, key, value, keys, values, positions, is_active, out)
    strides = _Strides(query.stride(0), key.stride(0), value.stride(0))
    sizes = _Sizes(n_head, keys.shape[2], d_head, BLOCK, d_head**-0.5 * LOG2_E)
    _self_attention[(n_rows, n_head)](tensors, strides, sizes, num_warps=4)
    return out


def self_attention(
    query: Tensor, key: Tensor, value: Tensor, caches: tuple[Tensor, Tensor], positions: Tensor, is_active: Tensor
) -> Tensor:
    """Appends key and value of each active row at its position, and attends up to there → (n_rows, n_head, d_head).

    query, key, value: (n_rows, n_head, d_head); d_head a power of two from 16 on
    caches:            keys and values, (n_rows, n_head, n_text_ctx, d_head), contiguous
    An inactive row is neither read nor written, and its output is meaningless.
    """
    has_kernel = runs_kernels(query) and fits_blocks(query.shape[-1])
    attend = launch_self_attention if has_kernel else reference_ops.self_attention
    return attend(query, key, value, caches, positions, is_active)
