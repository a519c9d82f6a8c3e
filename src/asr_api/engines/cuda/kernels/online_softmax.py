"""Attention of one query with an online softmax that each lane of a block keeps for its own positions.

Lanes exchange nothing until `merge_lanes`. Scores are of base 2: products with the query are scaled by log2(e).
"""

from __future__ import annotations

from asr_api.engines.cuda.kernels.triton_language import jit, tl


@jit
def attend_block(
    io: tl.tensor, offset: tl.tensor, is_inside: tl.tensor, query: tl.tensor, lanes: tl.tensor
) -> tl.tensor:
    """Adds one position to each lane → its maximum score (block,), sum (block,), weighted values (block, d_head).

    io:        has the pointers key_cache and value_cache
    offset:    (block, d_head) of the positions in both
    is_inside: (block,), False for positions to ignore
    query:     (d_head,) scaled float32
    lanes:     maximum, sum and weighted values so far
    """
    keys = tl.load(io.key_cache + offset, mask=is_inside[:, None], other=0.0).to(tl.float32)
    values = tl.load(io.value_cache + offset, mask=is_inside[:, None], other=0.0).to(tl.float32)
    scores = tl.where(is_inside, tl.sum(keys * query[None, :], 1), -float("inf"))
    peak = tl.maximum(lanes[0], scores)
    base = tl.where(peak == -float("inf"), 0.0, peak)
    decay, weight = tl.exp2(lanes[0] - base), tl.exp2(scores - base)
    return peak, lanes[1] * decay + weight, lanes[2] * decay[:, None] + weight[:, None] * values


@jit
def merge_lanes(lanes: tl.tensor) -> tl.tensor:
    """Maximum score, sum relative to it, and attention output (d_head,) of all lanes."""
    top = tl.max(lanes[0], 0)
    share = tl.exp2(lanes[0] - top)
    total = tl.sum(lanes[1] * share, 0)
    return top, total, tl.sum(lanes[2] * share[:, None], 0) / total
