"""Logit filters and sampling for one decode step, which also updates the decode state.

Samples the same tokens as engines/whisper/logit_filters.py and sampling.py: in float32, and in float64 for the
cumulative distribution of sampled rows.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import fields
from typing import NamedTuple

from torch import Tensor

from asr_api.engines.cuda import reference_ops
from asr_api.engines.cuda.decode_state import DecodeState
from asr_api.engines.cuda.filter_tables import FilterTables
from asr_api.engines.cuda.kernels.triton_language import jit, runs_kernels, tl

BLOCK = 4096  # logits read at once
STATE_FIELDS = [field.name for field in fields(DecodeState)]
# Triton takes named tuples, not dataclasses.
_Tensors = namedtuple("_Tensors", ["logits", "is_suppressed", "is_suppressed_first", *STATE_FIELDS])  # type: ignore[misc]


class _Sizes(NamedTuple):
    n_vocab: int
    n_text_ctx: int
    end: int
    timestamp_begin: int
    timestamp_end: int
    max_first_timestamp: int
    block: int


@jit
def _load_logits(io: tl.tensor, row: tl.tensor, ids: tl.tensor, last: tl.tensor, sizes: tl.constexpr) -> tl.tensor:
    """Logits of ids below `last`; -inf for other ids and suppressed tokens."""
    is_inside = ids < last
    logits = tl.load(io.logits + row * sizes.n_vocab + ids, mask=is_inside, other=-float("inf")).to(tl.float32)
    is_first = tl.load(io.num_sampled + row) == 0
    is_suppressed = tl.load(io.is_suppressed + ids, mask=is_inside, other=1) != 0
    suppressed_first = tl.load(io.is_suppressed_first + ids, mask=is_inside & is_first, other=0) != 0
    is_suppressed = is_suppressed | (is_first & suppressed_first)
    return tl.where(is_suppressed, -float("inf"), logits)


@jit
def _max_and_log_sum(
    io: tl.tensor, row: tl.tensor, first: tl.tensor, last: tl.tensor, sizes: tl.constexpr
) -> tl.tensor:
    """The highest logit of ids in [first, last), the lowest id that has it, and log(sum(exp(logits)))."""
    lane = tl.arange(0, sizes.block)
    peak = tl.full([sizes.block], -float("inf"), tl.float32)
    best = tl.full([sizes.block], 0, tl.int32)
    total = tl.full([sizes.block], 0, tl.float32)
    for start in range(first, last, sizes.block):
        logits = _load_logits(io, row, start + lane, last, sizes)
        is_above = logits > peak
        best = tl.where(is_above, start + lane, best)
        new_peak = tl.where(is_above, logits, peak)
        base = tl.where(new_peak == -float("inf"), 0.0, new_peak)
        total = total * tl.exp(peak - base) + tl.exp(logits - base)  # NaN stays in the sum
        peak = new_peak
    top = tl.max(peak, 0)
    base = tl.where(top == -float("inf"), 0.0, top)
    log_sum = base + tl.log(tl.sum(total * tl.exp(peak - base), 0))
    return top, tl.min(tl.where(peak == top, best, sizes.n_vocab), 0), log_sum


@jit
def _add_log_sums(first: tl.tensor, second: tl.tensor) -> tl.tensor:
    """log(exp(first) + exp(second)); -inf where both are."""
    higher = tl.maximum(first, second)
    base = tl.where(higher == -float("inf"), 0.0, higher)
    return base + tl.log(tl.exp(first - base) + tl.exp(second - base))


@jit
def _probability_mass(
    io: tl.tensor, row: tl.tensor, span: tl.tensor, scale: tl.tensor, sizes: tl.constexpr
) -> tl.tensor:
    """Unnormalised probability of all ids in a span. span: first id, end; scale: the highest logit, the temperature"""
    lane = tl.arange(0, sizes.block)
    total = tl.full([sizes.block], 0, tl.float64)
    for start in range(span[0], span[1], sizes.block):
        logits = _load_logits(io, row, start + lane, span[1], sizes)
        total += tl.exp((logits - scale[0]).to(tl.float64) / scale[1].to(tl.float64))
    return tl.sum(total, 0)


@jit
def _invert_cdf(
    io: tl.tensor, row: tl.tensor, span: tl.tensor, scale: tl.tensor, mass: tl.tensor, sizes: tl.constexpr
) -> tl.tensor:
    """The first id of a span at which the cumulative mass exceeds the target, or n_vocab.

    Also returns the last id of the span with a probability above 0, or -1.

    span:  first id, end
    scale: the highest logit, the temperature
    mass:  the mass before the span, the target
    """
    lane = tl.arange(0, sizes.block)
    before = mass[0]
    found = tl.full([sizes.block], sizes.n_vocab, tl.int32)
    last_id = tl.full([sizes.block], -1, tl.int32)
    for start in range(span[0], span[1], sizes.block):
        logits = _load_logits(io, row, start + lane, span[1], sizes)
        probability = tl.exp((logits - scale[0]).to(tl.float64) / scale[1].to(tl.float64))
        reached = before + tl.cumsum(probability, 0)
        found = tl.where((probability > 0) & (reached > mass[1]), tl.minimum(found, start + lane), found)
        last_id = tl.where(probability > 0, start + lane, last_id)
        before += tl.sum(probability, 0)
    return tl.min(found, 0), tl.max(last_id, 0)


@jit
def _sample_from_spans(
    io: tl.tensor, row: tl.tensor, spans: tl.tensor, scale: tl.tensor, uniform: tl.tensor, sizes: tl.constexpr
) -> tl.tensor:
    """The id at a share of the probability of all ids in three spans, in their order, or -1 after NaN.

    spans: first id and end of each
    scale: the highest logit, the temperature
    """
    texts, timestamps, added = (spans[0], spans[1]), (spans[2], spans[3]), (spans[4], spans[5])
    text_mass = _probability_mass(io, row, texts, scale, sizes)
    mass = text_mass + _probability_mass(io, row, timestamps, scale, sizes)
    target = uniform.to(tl.float64) * (mass + _probability_mass(io, row, added, scale, sizes))
    found, last_text = _invert_cdf(io, row, texts, scale, (text_mass * 0, target), sizes)
    found_timestamp, last_timestamp = _invert_cdf(io, row, timestamps, scale, (text_mass, target), sizes)
    found_added, last_added = _invert_cdf(io, row, added, scale, (mass, target), sizes)
    found = tl.minimum(tl.minimum(found, found_timestamp), found_added)
    # Rounding may lead beyond the last token with a probability above 0.
    last_id = tl.maximum(tl.maximum(last_text, last_timestamp), last_added)
    return tl.where(found < sizes.n_vocab, found, last_id)


@jit
def _sample(io: tl.tensor, sizes: tl.constexpr) -> None:  # noqa: PLR0915 – one pass over one state
    """One row in each program."""
    row = tl.program_id(0).to(tl.int64)
    if tl.load(io.is_active + row) == 0:
        return
    has_timestamps = tl.load(io.has_timestamps + row) != 0
    num_sampled = tl.load(io.num_sampled + row)
    last_was_timestamp = tl.load(io.last_was_timestamp + row) != 0
    penultimate_was_timestamp = tl.load(io.penultimate_was_timestamp + row) != 0
    min_timestamp = tl.load(io.min_timestamp + row)
    position = tl.load(io.positions + row) + 1
    sum_logprob = tl.load(io.sum_logprob + row)
    temperature = tl.load(io.temperature + row)
    at = row * sizes.n_text_ctx + tl.minimum(num_sampled, sizes.n_text_ctx - 1)
    uniform = tl.load(io.uniforms + at)

    # The filters leave three spans of ids, without the suppressed tokens: text, timestamps, and text that was added
    # behind them.
    is_opening = has_timestamps & last_was_timestamp & penultimate_was_timestamp
    is_closing = has_timestamps & last_was_timestamp & (penultimate_was_timestamp == 0)
    is_first = has_timestamps & (num_sampled == 0)
    text_end = tl.where(has_timestamps, sizes.timestamp_begin - 1, sizes.timestamp_begin)  # <|notimestamps|>
    text_first = tl.where(is_first, text_end, tl.where(is_closing, sizes.end, 0))
    timestamp_first = tl.maximum(min_timestamp - tl.where(is_closing, 1, 0), sizes.timestamp_begin).to(tl.int32)
    timestamp_end = tl.where(is_first, sizes.max_first_timestamp + 1, sizes.timestamp_end)
    timestamp_end = tl.where(is_opening, timestamp_first, timestamp_end)
    added_first = tl.where(is_first | is_closing, sizes.n_vocab, sizes.timestamp_end)
    text_peak, text, text_sum = _max_and_log_sum(io, row, text_first, text_end, sizes)
    timestamp_peak, timestamp, timestamp_sum = _max_and_log_sum(io, row, timestamp_first, timestamp_end, sizes)
    added_peak, added, added_sum = _max_and_log_sum(io, row, added_first, sizes.n_vocab, sizes)
    text_sum = _add_log_sums(text_sum, added_sum)
    # If all timestamps together are likelier than any single other token, the token is a timestamp. NaN is kept.
    must_be_timestamp = has_timestamps & (timestamp_sum > tl.maximum(text_peak, added_peak)) & (text_sum == text_sum)  # noqa: PLR0124
    text_first = tl.where(must_be_timestamp, text_end, text_first)
    added_first = tl.where(must_be_timestamp, sizes.n_vocab, added_first)
    log_sum = tl.where(must_be_timestamp, timestamp_sum, _add_log_sums(text_sum, timestamp_sum))
    is_nan = (text_sum != text_sum) | (timestamp_sum != timestamp_sum)  # noqa: PLR0124
    log_sum = tl.where(is_nan, float("nan"), log_sum)
    is_timestamp = must_be_timestamp | (timestamp_peak > text_peak)
    peak, token = tl.where(is_timestamp, timestamp_peak, text_peak), tl.where(is_timestamp, timestamp, text)
    is_added = (added_peak > peak) & (must_be_timestamp == 0)
    peak, token = tl.where(is_added, added_peak, peak), tl.where(is_added, added, token)

    sampled_logit = peak
    if temperature > 0:
        spans = (text_first, text_end, timestamp_first, timestamp_end, added_first, sizes.n_vocab)
        found = _sample_from_spans(io, row, spans, (peak, temperature), uniform, sizes)
        token = tl.where(found >= 0, found, token)  # after NaN the greedy token is taken
        sampled_logit = tl.load(io.logits + row * sizes.n_vocab + token).to(tl.float32)
    token = tl.minimum(token, sizes.n_vocab - 1)
    logprob = sampled_logit - log_sum
    is_timestamp = (token >= sizes.timestamp_begin) & (token < sizes.timestamp_end)
    tl.debug_barrier()  # all reads of the row come before the first write
    tl.store(io.out_tokens + at, token)
    tl.store(io.out_logprobs + at, logprob)
    tl.store(io.penultimate_was_timestamp + row, last_was_timestamp | (num_sampled == 0))
    tl.store(io.last_was_timestamp + row, is_timestamp)
    tl.store(io.min_timestamp + row, tl.where(is_timestamp & has_timestamps, (token + 1).to(tl.int64), min_timestamp))
    tl.store(io.sum_logprob + row, sum_logprob + logprob)
    tl.store(io.num_sampled + row, num_sampled + 1)
    tl.store(io.positions + row, position)
    tl.store(io.tokens + row, token.to(tl.int64))
    tl.store(io.is_active + row, (token != sizes.end) & (position < tl.load(io.end_position + row)))


def launch_sample(logits: Tensor, state: DecodeState, tables: FilterTables) -> None:
    n_rows, n_vocab = logits.shape
    state_tensors = [getattr(state, name) for name in STATE_FIELDS]
    masks = tables.is_suppressed, tables.is_suppressed_first
    tensors = _Tensors._make([logits.contiguous(), *masks, *state_tensors])
    sizes = _Sizes(
        n_vocab,
        state.uniforms.shape[1],
        tables.end,
        tables.timestamp_begin,
        tables.timestamp_end,
        tables.max_first_timestamp,
        BLOCK,
    )
    _sample[(n_rows,)](tensors, sizes, num_warps=8)


def sample(logits: Tensor, state: DecodeState, tables: FilterTables) -> None:
    """Filters the logits and samples one token for each active row. logits: (n_rows, n_vocab)"""
    (launch_sample if runs_kernels(logits) else reference_ops.sample)(logits, state, tables)
