"""PyTorch reference ops of the Triton kernels: layer norm, self- and cross-attention of a decode step, sampling.

They define the results of the kernels, and run in their place on a CPU. Shapes are fixed and nothing synchronises with
the host, so that a CUDA graph can capture them. `sample` equals engines/whisper/logit_filters.py and sampling.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from asr_api.engines.cuda.decode_state import DecodeState
from asr_api.engines.cuda.filter_tables import FilterTables
from asr_api.engines.cuda.layers import LAYER_NORM_EPSILON


def add_layer_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """x + residual, and its layer norm over the last axis.

    The sum is clamped to the range of float16, which some checkpoints exceed in their deep layers.
    """
    total = x + residual
    if total.dtype == torch.float16:
        total = total.clamp(torch.finfo(total.dtype).min, torch.finfo(total.dtype).max)
    return total, functional.layer_norm(total, total.shape[-1:], weight, bias, LAYER_NORM_EPSILON)


def self_attention(
    query: Tensor, key: Tensor, value: Tensor, caches: tuple[Tensor, Tensor], positions: Tensor, is_active: Tensor
) -> Tensor:
    """Appends key and value of each active row at its position, and attends up to there → (n_rows, n_head, d_head).

    query, key, value: (n_rows, n_head, d_head); caches: keys and values, (n_rows, n_head, n_text_ctx, d_head)
    """
    rows, at = torch.arange(len(query), device=query.device), positions.long()
    for cache, new in zip(caches, (key, value), strict=True):
        cache[rows, :, at] = torch.where(is_active[:, None, None], new, cache[rows, :, at])
    is_visible = torch.arange(caches[0].shape[2], device=query.device) <= positions[:, None]
    out = functional.scaled_dot_product_attention(query[:, :, None], *caches, attn_mask=is_visible[:, None, None])
    return out[:, :, 0]


def cross_attention(query: Tensor, keys: Tensor, values: Tensor, slot_of_row: Tensor, is_active: Tensor) -> Tensor:
    """Attention of each row over its slot, zeros for an inactive row → (n_rows, n_head, d_head).

    query: (n_rows, n_head, d_head); keys, values: (n_slots, n_head, n_audio_ctx, d_head)
    """
    slots = slot_of_row.long()
    out = functional.scaled_dot_product_attention(query[:, :, None], keys[slots], values[slots])
    return out[:, :, 0] * is_active[:, None, None]


def sample(logits: Tensor, state: DecodeState, tables: FilterTables) -> None:
    """Filters the logits and samples one token for each active row. logits: (n_rows, n_vocab)"""
    logits = _filtered(logits.float(), state, tables)
    at = state.num_sampled.long().clamp_max(state.uniforms.shape[1] - 1)[:, None]
    token = torch.where(state.temperature > 0, _sample_with_temperature(logits, state, at), logits.argmax(dim=1))
    logprob = logits.gather(1, token[:, None])[:, 0] - logits.logsumexp(dim=1)
    is_timestamp = (token >= tables.timestamp_begin) & (token < tables.timestamp_end)
    active = state.is_active.clone()
    penultimate = state.last_was_timestamp | (state.num_sampled == 0)
    _store_column(state.out_tokens, at, token.int(), active)
    _store_column(state.out_logprobs, at, logprob, active)
    for tensor, new in (
        (state.penultimate_was_timestamp, penultimate),
        (state.last_was_timestamp, is_timestamp),
        (state.min_timestamp, torch.where(is_timestamp & state.has_timestamps, token + 1, state.min_timestamp)),
        (state.sum_logprob, state.sum_logprob + logprob),
        (state.num_sampled, state.num_sampled + 1),
        (state.positions, state.positions + 1),
        (state.tokens, token),
    ):
        tensor.copy_(torch.where(active, new, tensor))
    state.is_active.copy_(active & (token != tables.end) & (state.positions < state.end_position))


def _filtered(logits: Tensor, state: DecodeState, tables: FilterTables) -> Tensor:
    """(n_rows, n_vocab); -inf where the filters forbid a token."""
    begin, end = tables.timestamp_begin, tables.timestamp_end
    ids = torch.arange(logits.shape[1], device=logits.device)
    has_timestamps, last = state.has_timestamps[:, None], state.has_timestamps & state.last_was_timestamp
    is_first = (state.num_sampled == 0)[:, None]
    is_opening, is_closing = last & state.penultimate_was_timestamp, last & ~state.penultimate_was_timestamp
    # Timestamps never decrease and segments are not empty; only one that opens a segment may repeat the closing one.
    lowest = state.min_timestamp - is_closing.long()
    is_timestamp = (ids >= begin) & (ids < end)
    forbidden = tables.is_suppressed | (is_first & tables.is_suppressed_first)
    forbidden = forbidden | (is_first & has_timestamps & (~is_timestamp | (ids > tables.max_first_timestamp)))
    forbidden = forbidden | (has_timestamps & (ids == begin - 1))  # <|notimestamps|>
    forbidden = forbidden | (is_opening[:, None] & is_timestamp)
    forbidden = forbidden | (is_closing[:, None] & ((ids < tables.end) | (ids >= end)))  # all text
    forbidden = forbidden | (is_timestamp & (ids < lowest[:, None]))
    logits = logits.masked_fill(forbidden, -torch.inf)
    # If all timestamps together are likelier than any single other token, the token is a timestamp.
    timestamp_logprob = logits[:, begin:end].logsumexp(dim=1)
    best_text = logits.masked_fill(is_timestamp, -torch.inf).amax(dim=1)
    must_be_timestamp = state.has_timestamps & (timestamp_logprob > best_text)
    return logits.masked_fill(must_be_timestamp[:, None] & ~is_timestamp, -torch.inf)


def _sample_with_temperature(logits: Tensor, state: DecodeState, at: Tensor) -> Tensor:
    """(n_rows,) from softmax(logits / temperature), by inverting the cumulative distribution."""
    temperature = torch.where(state.temperature > 0, state.temperature, 1.0)
    scaled = (logits - logits.amax(dim=1, keepdim=True)).double() / temperature[:, None]
    cumulative = scaled.exp().cumsum(dim=1)
    total = cumulative[:, -1:].contiguous()
    sampled = torch.searchsorted(cumulative, state.uniforms.gather(1, at) * total, right=True)
    # Rounding may lead beyond the last token with a probability above 0.
    last = torch.searchsorted(cumulative, total)
    return torch.minimum(sampled, last)[:, 0].clamp(0, logits.shape[1] - 1)


def _store_column(table: Tensor, at: Tensor, values: Tensor, active: Tensor) -> None:
    """table[row, at[row]] = values[row] for active rows. table: (n_rows, n); at: (n_rows, 1); values: (n_rows,)"""
    table.scatter_(1, at, torch.where(active[:, None], values[:, None], table.gather(1, at)))
