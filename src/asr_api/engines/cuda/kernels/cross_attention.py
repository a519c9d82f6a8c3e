"""Rows listen to their windows: up to 16 queries a row against all positions of its slot, read once for all its rows.

In go queries, the keys and values of one layer and who listens where, out comes what is heard. Decoding spends its time
here, on reading keys and values: so the positions are split among programs until the card is full, rows of one slot
share a program, and a row that is not active reads nothing. Knows nothing about tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from asr_api.engines.cuda import reference_ops
from asr_api.engines.cuda.kernels.triton_language import LOG2_E, fits_blocks, jit, next_power_of_2, runs_kernels, tl

BLOCK = 64  # positions read at once
TILE = 16  # queries that one program holds, the least a tensor core takes
MIN_SPAN = 128  # positions that are worth a program
ENOUGH_PROGRAMS = 4096  # some waves on every card, so that the last one does not matter


class _Tensors(NamedTuple):
    """heard: (n_splits, n_rows, n_head, n_q, d_head) float32; log_sums: the same without d_head, of base 2"""

    query: Tensor
    key_cache: Tensor  # a tuple of the language has fields of its own, `values` among them
    value_cache: Tensor
    slot_of_row: Tensor
    is_active: Tensor
    heard: Tensor
    log_sums: Tensor
    out: Tensor


class _Numbers(NamedTuple):
    """What may differ from launch to launch without another compilation; strides in elements."""

    n_rows: int
    n_splits: int
    span: int
    row_stride: int
    head_stride: int
    query_stride: int


class _Sizes(NamedTuple):
    """block_rows: at least n_rows, where rows may share slots; 0 where each has its own"""

    n_head: int
    n_q: int
    n_ctx: int
    d_head: int
    block: int
    tile: int
    block_rows: int
    block_splits: int
    scale: float


@jit
def _attend_single(io: tl.tensor, numbers: tl.tensor, sizes: tl.constexpr) -> None:
    """One query of one row against a span of positions. Each lane keeps its own peak, sum and mix until the end."""
    row, head, split = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    if tl.load(io.is_active + row) == 0:
        return
    lane, depth = tl.arange(0, sizes.block), tl.arange(0, sizes.d_head)
    query = tl.load(io.query + row * numbers.row_stride + head * numbers.head_stride + depth)
    query = query.to(tl.float32) * sizes.scale
    slot = tl.load(io.slot_of_row + row).to(tl.int64)
    window = (slot * sizes.n_head + head) * sizes.n_ctx * sizes.d_head
    start = split * numbers.span
    end = tl.minimum(start + numbers.span, sizes.n_ctx)
    peak = tl.full([sizes.block], -float("inf"), tl.float32)
    total = tl.full([sizes.block], 0, tl.float32)
    mixed = tl.full([sizes.block, sizes.d_head], 0, tl.float32)
    for first in range(start, end, sizes.block):
        is_inside = first + lane < end
        place = window + (first + lane)[:, None] * sizes.d_head + depth[None, :]
        keys = tl.load(io.key_cache + place, mask=is_inside[:, None], other=0.0).to(tl.float32)
        values = tl.load(io.value_cache + place, mask=is_inside[:, None], other=0.0).to(tl.float32)
        scores = tl.where(is_inside, tl.sum(keys * query[None, :], 1), -float("inf"))
        above = tl.maximum(peak, scores)
        base = tl.where(above == -float("inf"), 0.0, above)
        shrunk, weight = tl.exp2(peak - base), tl.exp2(scores - base)
        total = total * shrunk + weight
        mixed = mixed * shrunk[:, None] + weight[:, None] * values
        peak = above
    top = tl.max(peak, 0)
    share = tl.exp2(peak - top)
    total_sum = tl.sum(total * share, 0)
    place = (split * numbers.n_rows + row) * sizes.n_head + head
    tl.store(io.heard + place * sizes.d_head + depth, tl.sum(mixed * share[:, None], 0) / total_sum)
    tl.store(io.log_sums + place, top + tl.log2(total_sum))


@jit
def _mix_tile(io: tl.tensor, query: tl.tensor, window: tl.tensor, span: tl.tensor, sizes: tl.constexpr) -> tl.tensor:
    """A tile of queries against a span of positions → what they hear (tile, d_head), and log-sums (tile,) of base 2."""
    lane, depth = tl.arange(0, sizes.block), tl.arange(0, sizes.d_head)
    peak = tl.full([sizes.tile], -float("inf"), tl.float32)
    total = tl.full([sizes.tile], 0, tl.float32)
    mixed = tl.full([sizes.tile, sizes.d_head], 0, tl.float32)
    for first in range(span[0], span[1], sizes.block):
        is_inside = first + lane < span[1]
        place = window + (first + lane)[:, None] * sizes.d_head + depth[None, :]
        keys = tl.load(io.key_cache + place, mask=is_inside[:, None], other=0.0)
        values = tl.load(io.value_cache + place, mask=is_inside[:, None], other=0.0)
        scores = tl.dot(query, tl.trans(keys), input_precision="ieee") * sizes.scale
        scores = tl.where(is_inside[None, :], scores, -float("inf"))
        above = tl.maximum(peak, tl.max(scores, 1))
        shrunk, weight = tl.exp2(peak - above), tl.exp2(scores - above[:, None])
        total = total * shrunk + tl.sum(weight, 1)
        mixed = mixed * shrunk[:, None] + tl.dot(weight.to(values.dtype), values, input_precision="ieee")
        peak = above
    return mixed / total[:, None], peak + tl.log2(total)


@jit
def _attend_grouped(io: tl.tensor, numbers: tl.tensor, sizes: tl.constexpr) -> None:
    """All queries of all active rows of a slot; the first of these rows does the work of the others."""
    row, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    if tl.load(io.is_active + row) == 0:
        return
    slot = tl.load(io.slot_of_row + row)
    num_rows = 1
    if sizes.block_rows > 0:
        others = tl.arange(0, sizes.block_rows)
        is_row = others < numbers.n_rows
        shares_slot = tl.load(io.slot_of_row + others, mask=is_row, other=-1) == slot
        shares_slot = shares_slot & (tl.load(io.is_active + others, mask=is_row, other=0) != 0)
        rank = tl.cumsum(shares_slot.to(tl.int32), 0) - 1
        is_leader = tl.min(tl.where(shares_slot, others, sizes.block_rows), 0) == row
        num_rows = tl.where(is_leader, tl.sum(shares_slot.to(tl.int32), 0), 0)
    depth = tl.arange(0, sizes.d_head)
    window = (slot.to(tl.int64) * sizes.n_head + head) * sizes.n_ctx * sizes.d_head
    span = (split * numbers.span, tl.minimum((split + 1) * numbers.span, sizes.n_ctx))
    for first in range(0, num_rows * sizes.n_q, sizes.tile):
        index = first + tl.arange(0, sizes.tile)
        is_query = index < num_rows * sizes.n_q
        mate = row + index * 0
        if sizes.block_rows > 0:
            is_it = shares_slot[None, :] & (rank[None, :] == (index // sizes.n_q)[:, None])
            mate = tl.sum(tl.where(is_it, others[None, :], 0), 1)
        mate = mate.to(tl.int64)
        nth = index % sizes.n_q
        place = mate * numbers.row_stride + head * numbers.head_stride + nth * numbers.query_stride
        query = tl.load(io.query + place[:, None] + depth[None, :], mask=is_query[:, None], other=0.0)
        heard, log_sum = _mix_tile(io, query, window, span, sizes)
        place = ((split * numbers.n_rows + mate) * sizes.n_head + head) * sizes.n_q + nth
        tl.store(io.heard + place[:, None] * sizes.d_head + depth[None, :], heard, mask=is_query[:, None])
        tl.store(io.log_sums + place, log_sum, mask=is_query)


@jit
def _combine(io: tl.tensor, numbers: tl.tensor, sizes: tl.constexpr) -> None:
    """What the splits heard, weighted by their sums; zeros for a row that is not active."""
    row, head, nth = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    depth, split = tl.arange(0, sizes.d_head), tl.arange(0, sizes.block_splits)
    out = io.out + ((row * sizes.n_q + nth) * sizes.n_head + head) * sizes.d_head + depth
    if tl.load(io.is_active + row) == 0:
        tl.store(out, tl.full([sizes.d_head], 0, io.out.dtype.element_ty))
        return
    place = ((split * numbers.n_rows + row) * sizes.n_head + head) * sizes.n_q + nth
    is_split = split < numbers.n_splits
    log_sum = tl.load(io.log_sums + place, mask=is_split, other=-float("inf"))
    share = tl.exp2(log_sum - tl.max(log_sum, 0))
    heard = tl.load(io.heard + place[:, None] * sizes.d_head + depth[None, :], mask=is_split[:, None], other=0.0)
    mixed = tl.sum(heard * share[:, None], 0) / tl.sum(share, 0)
    tl.store(out, mixed.to(io.out.dtype.element_ty))


def split_span(num_programs: int, n_ctx: int) -> int:
    """Positions of one program, where there would be so many with all of them: enough programs, none too short."""
    n_splits = max(1, min(-(-ENOUGH_PROGRAMS // num_programs), n_ctx // MIN_SPAN))
    return -(-n_ctx // (n_splits * BLOCK)) * BLOCK


def launch_cross_attention(
    query: Tensor, keys: Tensor, values: Tensor, slot_of_row: Tensor, is_active: Tensor, *, is_shared: bool = True
) -> Tensor:
    n_rows, n_head, n_q, d_head = query.shape
    n_ctx = keys.shape[2]
    query = query if query.stride(3) == 1 else query.contiguous()
    span = split_span(n_rows * n_head, n_ctx)
    n_splits = -(-n_ctx // span)
    partial = torch.empty(n_splits, n_rows, n_head, n_q, d_head + 1, dtype=torch.float32, device=query.device)
    log_sums, heard = partial.view(-1).split(
        [partial.numel() // (d_head + 1), partial.numel() // (d_head + 1) * d_head]
    )
    out = torch.empty(n_rows, n_q, n_head, d_head, dtype=query.dtype, device=query.device)
    tensors = _Tensors(query, keys, values, slot_of_row, is_active, heard, log_sums, out)
    numbers = _Numbers(n_rows, n_splits, span, *query.stride()[:3])
    block_rows = next_power_of_2(n_rows) if is_shared and n_rows > 1 else 0
    block_splits = next_power_of_2(-(-n_ctx // MIN_SPAN))
    scale = d_head**-0.5 * LOG2_E
    sizes = _Sizes(n_head, n_q, n_ctx, d_head, BLOCK, TILE, block_rows, block_splits, scale)
    listen = _attend_single if n_q == 1 and block_rows == 0 else _attend_grouped
    listen[(n_rows, n_head, n_splits)](tensors, numbers, sizes, num_warps=4)
    _combine[(n_rows, n_head, n_q)](tensors, numbers, sizes._replace(block_rows=0), num_warps=1)
    return out.transpose(1, 2)  # (n_rows, n_head, n_q, d_head)


def cross_attention(
    query: Tensor, keys: Tensor, values: Tensor, slot_of_row: Tensor, is_active: Tensor, *, is_shared: bool = True
) -> Tensor:
    """What each row hears, (n_rows, n_head, n_q, d_head); zeros for a row that is not active.

    query:        (n_rows, n_head, n_q, d_head), its last axis without gaps; d_head a power of two from 16 on
    keys, values: (n_slots, n_head, n_audio_ctx, d_head), contiguous
    slot_of_row:  (n_rows,) int32; rows of one slot share one read of it
    is_shared:    False where the caller knows that no two active rows share a slot; that saves looking for them
    """
    if not runs_kernels(query) or not fits_blocks(query.shape[-1]):
        return reference_ops.cross_attention(query, keys, values, slot_of_row, is_active)
    return launch_cross_attention(query, keys, values, slot_of_row, is_active, is_shared=is_shared)
