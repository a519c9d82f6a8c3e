"""One more token for each row: OpenAI's rules, the pick, its log-probability and whether the row goes on, in one pass.

In go logits, what each row said so far and the rules, and the rows are updated in place. The same tokens as
engines/whisper/rules.py and sampling.py sample, every time: float32, and float64 where chance decides.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from asr_api.engines.cuda import reference_ops
from asr_api.engines.cuda.decode_state import DecodeState
from asr_api.engines.cuda.kernels.triton_language import jit, runs_kernels, tl
from asr_api.engines.cuda.reference_ops import FilterTables

BLOCK = 4096  # logits read at once


class _Tensors(NamedTuple):
    """Of rows.DecodeState, reference_ops.FilterTables, and the logits."""

    logits: Tensor
    is_suppressed: Tensor
    is_suppressed_first: Tensor
    tokens: Tensor
    positions: Tensor
    end_position: Tensor
    is_active: Tensor
    has_timestamps: Tensor
    num_sampled: Tensor
    last_was_stamp: Tensor
    penultimate_was_stamp: Tensor
    min_stamp: Tensor
    sum_logprob: Tensor
    temperature: Tensor
    uniforms: Tensor
    out_tokens: Tensor
    out_logprobs: Tensor


class _Sizes(NamedTuple):
    n_vocab: int
    n_text_ctx: int
    end: int
    timestamp_begin: int
    max_first: int
    block: int


@jit
def _read(io: tl.tensor, row: tl.tensor, ids: tl.tensor, last: tl.tensor, sizes: tl.constexpr) -> tl.tensor:
    """Logits of ids below `last`, -inf for the others and for what is suppressed."""
    is_inside = ids < last
    logits = tl.load(io.logits + row * sizes.n_vocab + ids, mask=is_inside, other=-float("inf")).to(tl.float32)
    is_first = tl.load(io.num_sampled + row) == 0
    is_out = tl.load(io.is_suppressed + ids, mask=is_inside, other=1) != 0
    is_out = is_out | (is_first & (tl.load(io.is_suppressed_first + ids, mask=is_inside & is_first, other=0) != 0))
    return tl.where(is_out, -float("inf"), logits)


@jit
def _scan(io: tl.tensor, row: tl.tensor, first: tl.tensor, last: tl.tensor, sizes: tl.constexpr) -> tl.tensor:
    """Over ids from `first` to below `last`: the highest logit, the lowest id that has it, log of the sum of exp."""
    lane = tl.arange(0, sizes.block)
    peak = tl.full([sizes.block], -float("inf"), tl.float32)
    best = tl.full([sizes.block], 0, tl.int32)
    total = tl.full([sizes.block], 0, tl.float32)
    for start in range(first, last, sizes.block):
        logits = _read(io, row, start + lane, last, sizes)
        is_above = logits > peak
        best = tl.where(is_above, start + lane, best)
        above = tl.where(is_above, logits, peak)
        base = tl.where(above == -float("inf"), 0.0, above)
        total = total * tl.exp(peak - base) + tl.exp(logits - base)  # a NaN stays in the sum
        peak = above
    top = tl.max(peak, 0)
    base = tl.where(top == -float("inf"), 0.0, top)
    log_sum = base + tl.log(tl.sum(total * tl.exp(peak - base), 0))
    return top, tl.min(tl.where(peak == top, best, sizes.n_vocab), 0), log_sum


@jit
def _mass(io: tl.tensor, row: tl.tensor, span: tl.tensor, scale: tl.tensor, sizes: tl.constexpr) -> tl.tensor:
    """Of all ids of a span, unnormalised. scale: the highest logit, the temperature"""
    lane = tl.arange(0, sizes.block)
    total = tl.full([sizes.block], 0, tl.float64)
    for start in range(span[0], span[1], sizes.block):
        logits = _read(io, row, start + lane, span[1], sizes)
        total += tl.exp((logits - scale[0]).to(tl.float64) / scale[1].to(tl.float64))
    return tl.sum(total, 0)


@jit
def _find(
    io: tl.tensor, row: tl.tensor, span: tl.tensor, scale: tl.tensor, mass: tl.tensor, sizes: tl.constexpr
) -> tl.tensor:
    """The first id of a span at which the mass before the span and in it exceeds a target; n_vocab where none does.

    mass: what is before the span, the target. Comes second: the last id that has any probability, or -1.
    """
    lane = tl.arange(0, sizes.block)
    before = mass[0]
    found = tl.full([sizes.block], sizes.n_vocab, tl.int32)
    latest = tl.full([sizes.block], -1, tl.int32)
    for start in range(span[0], span[1], sizes.block):
        logits = _read(io, row, start + lane, span[1], sizes)
        part = tl.exp((logits - scale[0]).to(tl.float64) / scale[1].to(tl.float64))
        reached = before + tl.cumsum(part, 0)
        found = tl.where((part > 0) & (reached > mass[1]), tl.minimum(found, start + lane), found)
        latest = tl.where(part > 0, start + lane, latest)
        before += tl.sum(part, 0)
    return tl.min(found, 0), tl.max(latest, 0)


@jit
def _sample(io: tl.tensor, sizes: tl.constexpr) -> None:  # noqa: PLR0915 – a tuple cannot be handed on by name here
    row = tl.program_id(0).to(tl.int64)
    if tl.load(io.is_active + row) == 0:
        return
    has_timestamps = tl.load(io.has_timestamps + row) != 0
    num_sampled = tl.load(io.num_sampled + row)
    is_last = tl.load(io.last_was_stamp + row) != 0
    is_penultimate = tl.load(io.penultimate_was_stamp + row) != 0
    min_stamp = tl.load(io.min_stamp + row)
    position = tl.load(io.positions + row) + 1
    end_position = tl.load(io.end_position + row)
    sum_logprob = tl.load(io.sum_logprob + row)
    temperature = tl.load(io.temperature + row)
    at = row * sizes.n_text_ctx + tl.minimum(num_sampled, sizes.n_text_ctx - 1)
    uniform = tl.load(io.uniforms + at)

    # What the rules leave is two spans of ids, less what is suppressed.
    is_opening = has_timestamps & is_last & is_penultimate
    is_closing = has_timestamps & is_last & (is_penultimate == 0)
    is_first = has_timestamps & (num_sampled == 0)
    text_end = tl.where(has_timestamps, sizes.timestamp_begin - 1, sizes.timestamp_begin)  # <|notimestamps|>
    text_first = tl.where(is_first, text_end, tl.where(is_closing, sizes.end, 0))
    stamp_first = tl.maximum(min_stamp - tl.where(is_closing, 1, 0), sizes.timestamp_begin).to(tl.int32)
    stamp_end = tl.where(is_first, sizes.max_first + 1, sizes.n_vocab)
    stamp_end = tl.where(is_opening, stamp_first, stamp_end)
    text_peak, text, text_sum = _scan(io, row, text_first, text_end, sizes)
    stamp_peak, stamp, stamp_sum = _scan(io, row, stamp_first, stamp_end, sizes)
    # If a stamp, whichever, is likelier than any single other token, it is a stamp. A NaN is kept, to be noticed.
    must_stamp = has_timestamps & (stamp_sum > text_peak) & (text_sum == text_sum)  # noqa: PLR0124
    text_first = tl.where(must_stamp, text_end, text_first)
    higher = tl.maximum(text_sum, stamp_sum)
    both = higher + tl.log(tl.exp(text_sum - higher) + tl.exp(stamp_sum - higher))
    log_sum = tl.where(must_stamp, stamp_sum, both)
    is_nan = (text_sum != text_sum) | (stamp_sum != stamp_sum)  # noqa: PLR0124
    log_sum = tl.where(is_nan, float("nan"), log_sum)
    peak = tl.where(must_stamp, stamp_peak, tl.maximum(text_peak, stamp_peak))
    token = tl.where(must_stamp | (stamp_peak > text_peak), stamp, text)

    chosen = peak
    if temperature > 0:
        scale, texts, stamps = (peak, temperature), (text_first, text_end), (stamp_first, stamp_end)
        text_mass = _mass(io, row, texts, scale, sizes)
        target = uniform.to(tl.float64) * (text_mass + _mass(io, row, stamps, scale, sizes))
        found, latest = _find(io, row, texts, scale, (text_mass * 0, target), sizes)
        later, latest_stamp = _find(io, row, stamps, scale, (text_mass, target), sizes)
        found = tl.minimum(found, later)
        # At most the last token that has a probability at all, should rounding lead past it; the greedy after a NaN.
        found = tl.where(found < sizes.n_vocab, found, tl.maximum(latest, latest_stamp))
        token = tl.where(found >= 0, found, token)
        chosen = tl.load(io.logits + row * sizes.n_vocab + token).to(tl.float32)
    token = tl.minimum(token, sizes.n_vocab - 1)
    logprob = chosen - log_sum
    is_stamp = token >= sizes.timestamp_begin
    tl.debug_barrier()  # everything of the row is read before any of it is written
    tl.store(io.out_tokens + at, token)
    tl.store(io.out_logprobs + at, logprob)
    tl.store(io.penultimate_was_stamp + row, is_last | (num_sampled == 0))
    tl.store(io.last_was_stamp + row, is_stamp)
    tl.store(io.min_stamp + row, tl.where(is_stamp & has_timestamps, (token + 1).to(tl.int64), min_stamp))
    tl.store(io.sum_logprob + row, sum_logprob + logprob)
    tl.store(io.num_sampled + row, num_sampled + 1)
    tl.store(io.positions + row, position)
    tl.store(io.tokens + row, token.to(tl.int64))
    tl.store(io.is_active + row, (token != sizes.end) & (position < end_position))


def launch_sample(logits: Tensor, rows: DecodeState, rules: FilterTables) -> None:
    n_rows, n_vocab = logits.shape
    named = {name: getattr(rows, name) for name in _Tensors._fields[3:]}
    tensors = _Tensors(logits.contiguous(), rules.is_suppressed, rules.is_suppressed_first, **named)
    sizes = _Sizes(n_vocab, rows.uniforms.shape[1], rules.end, rules.timestamp_begin, rules.max_first, BLOCK)
    _sample[(n_rows,)](tensors, sizes, num_warps=8)


def sample(logits: Tensor, rows: DecodeState, rules: FilterTables) -> None:
    """One more token for each active row. logits: (n_rows, n_vocab)"""
    (launch_sample if runs_kernels(logits) else reference_ops.sample)(logits, rows, rules)
