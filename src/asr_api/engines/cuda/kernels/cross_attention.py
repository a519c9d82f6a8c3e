"""Cross-attention of decoder rows over their slot's encoder states (split-K).

Decoding spends most of its time on reading these keys and values. So positions are split among programs until the GPU
is full, rows of one slot share a program, which reads the slot once, and an inactive row reads nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from asr_api.engines.cuda import reference_ops
from asr_api.engines.cuda.kernels.online_softmax import attend_block, merge_lanes
from asr_api.engines.cuda.kernels.triton_language import LOG2_E, fits_blocks, jit, next_power_of_2, runs_kernels, tl

BLOCK = 64  # positions read at once
TILE = 16  # queries of one program, the minimum of a tensor core
MIN_SPAN = 128  # positions of one program
ENOUGH_PROGRAMS = 4096  # several waves on every GPU, so that a partly filled last wave does not matter


class _Tensors(NamedTuple):
    query: Tensor
    key_cache: Tensor  # not `keys` and `values`: Triton's tuples have an attribute `values`
    value_cache: Tensor
    slot_of_row: Tensor
    is_active: Tensor
    split_out: Tensor  # (n_splits, n_rows, n_head, d_head) float32, attention output of each split
    log_sums: Tensor  # (n_splits, n_rows, n_head) float32, log2 of each split's sum of exponentials
    out: Tensor


class _Numbers(NamedTuple):
    """Arguments that may change without recompilation."""

    n_rows: int
    n_splits: int
    span: int  # positions of one program
    row_stride: int  # of the query, in elements; heads are d_head elements apart


class _Sizes(NamedTuple):
    n_head: int
    n_ctx: int
    d_head: int
    block: int
    tile: int
    block_rows: int  # power of two >= n_rows
    block_splits: int
    scale: float


@jit
def _attend_single(io: tl.tensor, numbers: tl.tensor, sizes: tl.constexpr) -> None:
    """One row and head over one span of positions in each program."""
    row, head, split = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    if tl.load(io.is_active + row) == 0:
        return
    lane, depth = tl.arange(0, sizes.block), tl.arange(0, sizes.d_head)
    query = tl.load(io.query + row * numbers.row_stride + head * sizes.d_head + depth)
    query = query.to(tl.float32) * sizes.scale
    slot = tl.load(io.slot_of_row + row).to(tl.int64)
    slot_offset = (slot * sizes.n_head + head) * sizes.n_ctx * sizes.d_head
    start = split * numbers.span
    end = tl.minimum(start + numbers.span, sizes.n_ctx)
    peak = tl.full([sizes.block], -float("inf"), tl.float32)
    total = tl.full([sizes.block], 0, tl.float32)
    weighted = tl.full([sizes.block, sizes.d_head], 0, tl.float32)
    for first in range(start, end, sizes.block):
        is_inside = first + lane < end
        offset = slot_offset + (first + lane)[:, None] * sizes.d_head + depth[None, :]
        peak, total, weighted = attend_block(io, offset, is_inside, query, (peak, total, weighted))
    top, total_sum, attended = merge_lanes((peak, total, weighted))
    index = (split * numbers.n_rows + row) * sizes.n_head + head
    tl.store(io.split_out + index * sizes.d_head + depth, attended)
    tl.store(io.log_sums + index, top + tl.log2(total_sum))


@jit
def _attend_tile(
    io: tl.tensor, query: tl.tensor, slot_offset: tl.tensor, span: tl.tensor, sizes: tl.constexpr
) -> tl.tensor:
    """A tile of queries (tile, d_head) over a span of positions → output (tile, d_head) and log2 sums (tile,)."""
    lane, depth = tl.arange(0, sizes.block), tl.arange(0, sizes.d_head)
    peak = tl.full([sizes.tile], -float("inf"), tl.float32)
    total = tl.full([sizes.tile], 0, tl.float32)
    weighted = tl.full([sizes.tile, sizes.d_head], 0, tl.float32)
    for first in range(span[0], span[1], sizes.block):
        is_inside = first + lane < span[1]
        offset = slot_offset + (first + lane)[:, None] * sizes.d_head + depth[None, :]
        keys = tl.load(io.key_cache + offset, mask=is_inside[:, None], other=0.0)
        values = tl.load(io.value_cache + offset, mask=is_inside[:, None], other=0.0)
        scores = tl.dot(query, tl.trans(keys), input_precision="ieee") * sizes.scale
        scores = tl.where(is_inside[None, :], scores, -float("inf"))
        new_peak = tl.maximum(peak, tl.max(scores, 1))
        decay, weight = tl.exp2(peak - new_peak), tl.exp2(scores - new_peak[:, None])
        total = total * decay + tl.sum(weight, 1)
        weighted = weighted * decay[:, None] + tl.dot(weight.to(values.dtype), values, input_precision="ieee")
        peak = new_peak
    return weighted / total[:, None], peak + tl.log2(total)


@jit
def _attend_grouped(io: tl.tensor, numbers: tl.tensor, sizes: tl.constexpr) -> None:
    """All active rows of a slot, in the program of the first of these rows."""
    row, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    if tl.load(io.is_active + row) == 0:
        return
    slot = tl.load(io.slot_of_row + row)
    others = tl.arange(0, sizes.block_rows)
    is_row = others < numbers.n_rows
    shares_slot = tl.load(io.slot_of_row + others, mask=is_row, other=-1) == slot
    shares_slot = shares_slot & (tl.load(io.is_active + others, mask=is_row, other=0) != 0)
    rank = tl.cumsum(shares_slot.to(tl.int32), 0) - 1
    is_leader = tl.min(tl.where(shares_slot, others, sizes.block_rows), 0) == row
    num_rows = tl.where(is_leader, tl.sum(shares_slot.to(tl.int32), 0), 0)
    depth = tl.arange(0, sizes.d_head)
    slot_offset = (slot.to(tl.int64) * sizes.n_head + head) * sizes.n_ctx * sizes.d_head
    span = (split * numbers.span, tl.minimum((split + 1) * numbers.span, sizes.n_ctx))
    for first in range(0, num_rows, sizes.tile):
        index = first + tl.arange(0, sizes.tile)
        is_query = index < num_rows
        is_rank = shares_slot[None, :] & (rank[None, :] == index[:, None])
        query_row = tl.sum(tl.where(is_rank, others[None, :], 0), 1).to(tl.int64)
        offset = query_row * numbers.row_stride + head * sizes.d_head
        query = tl.load(io.query + offset[:, None] + depth[None, :], mask=is_query[:, None], other=0.0)
        attended, log_sum = _attend_tile(io, query, slot_offset, span, sizes)
        out_index = (split * numbers.n_rows + query_row) * sizes.n_head + head
        tl.store(io.split_out + out_index[:, None] * sizes.d_head + depth[None, :], attended, mask=is_query[:, None])
        tl.store(io.log_sums + out_index, log_sum, mask=is_query)


@jit
def _combine(io: tl.tensor, numbers: tl.tensor, sizes: tl.constexpr) -> None:
    """Mean of the splits' outputs, weighted by their sums of exponentials; zeros for an inactive row."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    depth, split = tl.arange(0, sizes.d_head), tl.arange(0, sizes.block_splits)
    out = io.out + (row * sizes.n_head + head) * sizes.d_head + depth
    if tl.load(io.is_active + row) == 0:
        tl.store(out, tl.full([sizes.d_head], 0, io.out.dtype.element_ty))
        return
    index = (split * numbers.n_rows + row) * sizes.n_head + head
    is_split = split < numbers.n_splits
    log_sum = tl.load(io.log_sums + index, mask=is_split, other=-float("inf"))
    share = tl.exp2(log_sum - tl.max(log_sum, 0))
    offset = index[:, None] * sizes.d_head + depth[None, :]
    split_out = tl.load(io.split_out + offset, mask=is_split[:, None], other=0.0)
    out_value = tl.sum(split_out * share[:, None], 0) / tl.sum(share, 0)
    tl.store(out, out_value.to(io.out.dtype.element_ty))


def split_span(num_programs: int, n_ctx: int) -> int:
    """Positions of one program: splits until there are ENOUGH_PROGRAMS, into spans of at least MIN_SPAN.

    num_programs: without splits
    """
    n_splits = max(1, min(-(-ENOUGH_PROGRAMS // num_programs), n_ctx // MIN_SPAN))
    return -(-n_ctx // (n_splits * BLOCK)) * BLOCK


def launch_cross_attention(
    query: Tensor, keys: Tensor, values: Tensor, slot_of_row: Tensor, is_active: Tensor
) -> Tensor:
    n_rows, n_head, d_head = query.shape
    n_ctx = keys.shape[2]
    query = query if query.stride()[1:] == (d_head, 1) else query.contiguous()
    span = split_span(n_rows * n_head, n_ctx)
    n_splits = -(-n_ctx // span)
    split_out = torch.empty(n_splits, n_rows, n_head, d_head, dtype=torch.float32, device=query.device)
    log_sums = torch.empty(n_splits, n_rows, n_head, dtype=torch.float32, device=query.device)
    out = torch.empty(n_rows, n_head, d_head, dtype=query.dtype, device=query.device)
    tensors = _Tensors(query, keys, values, slot_of_row, is_active, split_out, log_sums, out)
    numbers = _Numbers(n_rows, n_splits, span, query.stride(0))
    block_splits = next_power_of_2(-(-n_ctx // MIN_SPAN))
    scale = d_head**-0.5 * LOG2_E
    sizes = _Sizes(n_head, n_ctx, d_head, BLOCK, TILE, next_power_of_2(n_rows), block_splits, scale)
    kernel = _attend_single if n_rows == 1 else _attend_grouped
    kernel[(n_rows, n_head, n_splits)](tensors, numbers, sizes, num_warps=4)
    _combine[(n_rows, n_head)](tensors, numbers, sizes._replace(block_rows=0), num_warps=1)
    return out


def cross_attention(query: Tensor, keys: Tensor, values: Tensor, slot_of_row: Tensor, is_active: Tensor) -> Tensor:
    """Attention of each row over its slot → (n_rows, n_head, d_head); zeros for an inactive row.

    query:        (n_rows, n_head, d_head), d_head a power of two from 16 on
    keys, values: (n_slots, n_head, n_audio_ctx, d_head), contiguous
    slot_of_row:  (n_rows,) int32; rows of one slot share one read of it
    """
    has_kernel = runs_kernels(query) and fits_blocks(query.shape[-1])
    attend = launch_cross_attention if has_kernel else reference_ops.cross_attention
    return attend(query, keys, values, slot_of_row, is_active)
