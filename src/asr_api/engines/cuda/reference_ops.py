"""Attention of a step, its layer norms and the choice of tokens, in plain torch: for processors, and to compare with.

In go tensors, out come tensors, or state updated in place, always of the same shapes and without asking the host
anything, so that a CUDA graph can hold it. The choice equals engines/whisper/logit_filters.py and sampling.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from asr_api.engines.cuda.decode_state import DecodeState
from asr_api.engines.whisper.config import LAYER_NORM_EPSILON, WhisperConfig

NEVER = float("-inf")


def add_layer_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The sum, and the sum normalised over its last axis.

    float16 ends at 65504, and some checkpoints go beyond in their deep layers: the sum stays at the edge.
    """
    total = x + residual
    if total.dtype == torch.float16:
        total = total.clamp(torch.finfo(total.dtype).min, torch.finfo(total.dtype).max)
    return total, functional.layer_norm(total, total.shape[-1:], weight, bias, LAYER_NORM_EPSILON)


def self_attention(
    query: Tensor, key: Tensor, value: Tensor, caches: tuple[Tensor, Tensor], positions: Tensor, is_active: Tensor
) -> Tensor:
    """Stores key and value of each active row at its position, and attends up to there → (n_rows, n_head, d_head).

    query, key, value: (n_rows, n_head, d_head); caches: keys and values, (n_rows, n_head, n_text_ctx, d_head)
    """
    rows, at = torch.arange(len(query), device=query.device), positions.long()
    for cache, new in zip(caches, (key, value), strict=True):
        cache[rows, :, at] = torch.where(is_active[:, None, None], new, cache[rows, :, at])
    is_seen = torch.arange(caches[0].shape[2], device=query.device) <= positions[:, None]
    heard = functional.scaled_dot_product_attention(query[:, :, None], *caches, attn_mask=is_seen[:, None, None])
    return heard[:, :, 0]


def cross_attention(query: Tensor, keys: Tensor, values: Tensor, slot_of_row: Tensor, is_active: Tensor) -> Tensor:
    """query: (n_rows, n_head, n_tokens, d_head); keys, values: (n_slots, n_head, n_audio_ctx, d_head)"""
    slots = slot_of_row.long()
    heard = functional.scaled_dot_product_attention(query, keys[slots], values[slots])
    return heard * is_active[:, None, None, None]


@dataclass(frozen=True, slots=True, eq=False)
class FilterTables:
    """The rules of one checkpoint on the device.

    is_suppressed, is_suppressed_first: (n_vocab,) bool
    max_first:                          the latest stamp a window may open with
    """

    is_suppressed: Tensor
    is_suppressed_first: Tensor
    end: int
    timestamp_begin: int
    max_first: int


def filter_tables(config: WhisperConfig, end: int, no_timestamps: int, device: torch.device) -> FilterTables:
    def among(tokens: Sequence[int]) -> Tensor:
        table = torch.zeros(config.n_vocab, dtype=torch.bool)
        table[list(tokens)] = True
        return table.to(device)

    begin = no_timestamps + 1
    suppressed, first = among(config.suppress_tokens), among(config.begin_suppress_tokens)
    return FilterTables(suppressed, first, end, begin, begin + config.max_initial_timestamp)


def sample(logits: Tensor, rows: DecodeState, rules: FilterTables) -> None:
    """One more token for each active row. logits: (n_rows, n_vocab)"""
    logits = _allowed(logits.float(), rows, rules)
    at = rows.num_sampled.long().clamp_max(rows.uniforms.shape[1] - 1)[:, None]
    token = torch.where(rows.temperature > 0, _drawn(logits, rows, at), logits.argmax(dim=1))
    logprob = logits.gather(1, token[:, None])[:, 0] - logits.logsumexp(dim=1)
    is_stamp, active = token >= rules.timestamp_begin, rows.is_active.clone()
    before = rows.last_was_stamp | (rows.num_sampled == 0)
    _put(rows.out_tokens, at, token.int(), active)
    _put(rows.out_logprobs, at, logprob, active)
    for state, new in (
        (rows.penultimate_was_stamp, before),
        (rows.last_was_stamp, is_stamp),
        (rows.min_stamp, torch.where(is_stamp & rows.has_timestamps, token + 1, rows.min_stamp)),
        (rows.sum_logprob, rows.sum_logprob + logprob),
        (rows.num_sampled, rows.num_sampled + 1),
        (rows.positions, rows.positions + 1),
        (rows.tokens, token),
    ):
        state.copy_(torch.where(active, new, state))
    rows.is_active.copy_(active & (token != rules.end) & (rows.positions < rows.end_position))


def _allowed(logits: Tensor, rows: DecodeState, rules: FilterTables) -> Tensor:
    """What the rules leave, (n_rows, n_vocab); -inf elsewhere."""
    begin, ids = rules.timestamp_begin, torch.arange(logits.shape[1], device=logits.device)
    has_timestamps, last = rows.has_timestamps[:, None], rows.has_timestamps & rows.last_was_stamp
    is_first = (rows.num_sampled == 0)[:, None]
    is_opening, is_closing = last & rows.penultimate_was_stamp, last & ~rows.penultimate_was_stamp
    # Times never go back, and a segment is not empty: only the stamp that reopens may repeat the closing one.
    lowest = rows.min_stamp - is_closing.long()
    is_stamp = ids >= begin
    forbidden = rules.is_suppressed | (is_first & rules.is_suppressed_first)
    forbidden = forbidden | (is_first & has_timestamps & (~is_stamp | (ids > rules.max_first)))
    forbidden = forbidden | (has_timestamps & (ids == begin - 1))  # <|notimestamps|>
    forbidden = forbidden | (is_opening[:, None] & is_stamp) | (is_closing[:, None] & (ids < rules.end))
    forbidden = forbidden | (is_stamp & (ids < lowest[:, None]))
    logits = logits.masked_fill(forbidden, NEVER)
    # If a stamp, whichever, is likelier than any single other token, it is a stamp.
    must_stamp = rows.has_timestamps & (logits[:, begin:].logsumexp(dim=1) > logits[:, :begin].amax(dim=1))
    return logits.masked_fill(must_stamp[:, None] & ~is_stamp, NEVER)


def _drawn(logits: Tensor, rows: DecodeState, at: Tensor) -> Tensor:
    """From softmax(logits / temperature), by inverting the cumulative distribution, (n_rows,)."""
    temperature = torch.where(rows.temperature > 0, rows.temperature, 1.0)
    scaled = (logits - logits.amax(dim=1, keepdim=True)).double() / temperature[:, None]
    cumulative = scaled.exp().cumsum(dim=1)
    total = cumulative[:, -1:].contiguous()
    drawn = torch.searchsorted(cumulative, rows.uniforms.gather(1, at) * total, right=True)
    # At most the last token that has a probability at all, should rounding lead past it.
    last = torch.searchsorted(cumulative, total)
    return torch.minimum(drawn, last)[:, 0].clamp(0, logits.shape[1] - 1)


def _put(table: Tensor, at: Tensor, values: Tensor, active: Tensor) -> None:
    table.scatter_(1, at, torch.where(active[:, None], values[:, None], table.gather(1, at)))
