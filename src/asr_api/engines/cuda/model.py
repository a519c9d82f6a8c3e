"""Whisper: log-mel → what the decoder hears → what may come next. All arithmetic of the model, and nothing else.

In go tensors of one dtype on one device, and caches that are written in place; out come hidden states and logits.
Every shape of Whisper is the same code with other numbers. A residual stream is added to where it is next normalised,
which is one kernel. Knows nothing about rules, texts or who waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from asr_api.engines.cuda.kernels.cross_attention import cross_attention
from asr_api.engines.cuda.kernels.layer_norm import add_layer_norm
from asr_api.engines.cuda.kernels.self_attention import self_attention
from asr_api.engines.cuda.kv_cache import Caches
from asr_api.engines.cuda.layers import Linear, Loader, Norm
from asr_api.engines.whisper.config import LAYER_NORM_EPSILON, WhisperConfig

MAX_PROJECTED_BYTES = 256 * 2**20  # what cross keys and values may take on their way to the slots


@dataclass(frozen=True, slots=True, eq=False)
class EncoderLayer:
    attention_norm: Norm
    qkv: Linear
    attention_out: Linear
    mlp_norm: Norm
    up: Linear
    down: Linear


@dataclass(frozen=True, slots=True, eq=False)
class DecoderLayer:
    attention_norm: Norm
    qkv: Linear
    attention_out: Linear
    cross_norm: Norm
    cross_query: Linear
    cross_out: Linear
    mlp_norm: Norm
    up: Linear
    down: Linear


class Encoder:
    def __init__(self, config: WhisperConfig, load: Loader) -> None:
        n_state = config.n_state
        self._n_head = config.n_audio_head
        self._conv1 = (
            load.tensor("encoder.conv1.weight", n_state, config.n_mels, 3),
            load.tensor("encoder.conv1.bias", n_state),
        )
        self._conv2 = (
            load.tensor("encoder.conv2.weight", n_state, n_state, 3),
            load.tensor("encoder.conv2.bias", n_state),
        )
        self._positions = load.tensor("encoder.embed_positions.weight", config.n_audio_ctx, n_state)
        self._layers = [
            _encoder_layer(config, load, f"encoder.layers.{layer}") for layer in range(config.n_audio_layer)
        ]
        norms = [*(layer.attention_norm for layer in self._layers[1:]), load.norm("encoder.layer_norm", n_state)]
        self._with_next_norms = list(zip(self._layers, norms, strict=True))

    def __call__(self, log_mel: Tensor) -> Tensor:
        """log_mel: (batch, n_mels, n_frames) → audio features (batch, n_audio_ctx, n_state)"""
        x = functional.gelu(functional.conv1d(log_mel, *self._conv1, padding=1))  # (batch, n_state, n_frames)
        x = functional.gelu(functional.conv1d(x, *self._conv2, stride=2, padding=1))  # (batch, n_state, n_audio_ctx)
        x = (x.transpose(1, 2) + self._positions).contiguous()  # (batch, n_audio_ctx, n_state)
        hidden = normalised(x, self._layers[0].attention_norm)
        for layer, next_norm in self._with_next_norms:
            x, hidden = added(x, layer.attention_out(self._attend(layer.qkv(hidden))), layer.mlp_norm)
            x, hidden = added(x, layer.down(functional.gelu(layer.up(hidden))), next_norm)
        return hidden

    def _attend(self, qkv: Tensor) -> Tensor:
        """(batch, n_audio_ctx, 3 * n_state) → (batch, n_audio_ctx, n_state)"""
        query, key, value = in_heads(qkv, 3, self._n_head).unbind(2)  # (batch, n_audio_ctx, n_head, d_head)
        heard = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )  # (batch, n_head, n_audio_ctx, d_head)
        return heard.transpose(1, 2).flatten(2)


class CrossProjection:
    """Audio features → the keys and values of all decoder layers, straight into slots."""

    def __init__(self, config: WhisperConfig, load: Loader) -> None:
        layers = [
            load.fused(f"decoder.layers.{layer}.encoder_attn", "kv", config.n_state)
            for layer in range(config.n_text_layer)
        ]
        self._n_layer, self._n_head = config.n_text_layer, config.n_text_head
        self._weight = torch.cat([layer.weight for layer in layers])  # (n_layer * 2 * n_state, n_state)
        self._bias = torch.cat([layer.bias for layer in layers if layer.bias is not None])

    def __call__(self, features: Tensor, caches: Caches, slots: Tensor) -> None:
        """features: (batch, n_audio_ctx, n_state); slots: (batch,) int64

        One product, or as few as its result leaves room for: those of 32 layers would take gigabytes.
        """
        layer_bytes = 2 * features.numel() * features.element_size()
        num = max(1, min(self._n_layer, MAX_PROJECTED_BYTES // layer_bytes))
        height = len(self._weight) // self._n_layer
        for first in range(0, self._n_layer, num):
            last = min(first + num, self._n_layer)
            rows = slice(first * height, last * height)
            both = functional.linear(features, self._weight[rows], self._bias[rows])
            both = in_heads(both, 2 * (last - first), self._n_head)  # (batch, n_audio_ctx, 2 * layers, n_head, d_head)
            keys, values = both.permute(2, 0, 3, 1, 4).unflatten(0, (-1, 2)).unbind(1)
            caches.cross_keys[first:last, slots] = keys  # (layers, batch, n_head, n_audio_ctx, d_head)
            caches.cross_values[first:last, slots] = values


class Decoder:
    def __init__(self, config: WhisperConfig, load: Loader) -> None:
        self._n_head, self._n_state = config.n_text_head, config.n_state
        self._tokens = load.tensor("decoder.embed_tokens.weight", config.n_vocab, config.n_state)
        self._positions = load.tensor("decoder.embed_positions.weight", config.n_text_ctx, config.n_state)
        self._layers = [_decoder_layer(config, load, f"decoder.layers.{layer}") for layer in range(config.n_text_layer)]
        norms = [*(layer.attention_norm for layer in self._layers[1:]), load.norm("decoder.layer_norm", config.n_state)]
        self._with_next_norms = list(zip(self._layers, norms, strict=True))
        self._vocabulary = (
            self._tokens if config.is_tied else load.tensor("proj_out.weight", config.n_vocab, config.n_state)
        )
        self._heads = {
            layer: [head for place, head in config.alignment_heads if place == layer]
            for layer in dict.fromkeys(layer for layer, _ in config.alignment_heads)
        }

    def step(self, tokens: Tensor, positions: Tensor, slot_of_row: Tensor, is_active: Tensor, caches: Caches) -> Tensor:
        """One token of each row is fed, its keys and values are stored → logits (n_rows, n_vocab) of the next.

        All are (n_rows,), for the first rows of the caches; what comes out for rows that are not active means nothing.
        """
        n_rows = len(tokens)
        x = functional.embedding(tokens, self._tokens) + functional.embedding(positions, self._positions)
        hidden = normalised(x, self._layers[0].attention_norm)
        for index, (layer, next_norm) in enumerate(self._with_next_norms):
            query, key, value = in_heads(layer.qkv(hidden), 3, self._n_head).unbind(1)  # (n_rows, n_head, d_head)
            cached = caches.self_keys[index, :n_rows], caches.self_values[index, :n_rows]
            said = self_attention(query, key, value, cached, positions, is_active)
            x, hidden = added(x, layer.attention_out(said.flatten(1)), layer.cross_norm)
            query = in_heads(layer.cross_query(hidden), 1, self._n_head).transpose(1, 2)  # (n_rows, n_head, 1, d_head)
            keys, values = caches.cross_keys[index], caches.cross_values[index]
            heard = cross_attention(query, keys, values, slot_of_row, is_active)
            x, hidden = added(x, layer.cross_out(heard.flatten(1)), layer.mlp_norm)
            x, hidden = added(x, layer.down(functional.gelu(layer.up(hidden))), next_norm)
        return self.logits(hidden)

    def read(self, tokens: Tensor, first: int, rows: Tensor, slots: Tensor, caches: Caches) -> Tensor:
        """Feeds several tokens of each row, stores their keys and values → hidden states (n_rows, n_tokens, n_state).

        tokens: (n_rows, n_tokens) int64; they stand at position `first` and after it
        rows, slots: (n_rows,) int64; row and slot of each
        """
        end = first + tokens.shape[1]
        x = functional.embedding(tokens, self._tokens) + self._positions[first:end]
        is_seen = None  # from the start on, "causal" says it all, and needs no mask that only slower attention takes
        if first > 0:
            is_seen = torch.ones(tokens.shape[1], end, dtype=torch.bool, device=tokens.device).tril(first)
        hidden = normalised(x, self._layers[0].attention_norm)
        for index, (layer, next_norm) in enumerate(self._with_next_norms):
            query, key, value = self._qkv(layer, hidden)
            keys, values = caches.self_keys[index], caches.self_values[index]
            keys[rows, :, first:end], values[rows, :, first:end] = key, value
            said = attended(query, keys[rows, :, :end], values[rows, :, :end], is_seen, is_causal=first == 0)
            x, hidden = added(x, layer.attention_out(said), layer.cross_norm)
            keys, values = caches.cross_keys[index][slots], caches.cross_values[index][slots]
            heard = attended(self._cross_query(layer, hidden), keys, values)
            x, hidden = added(x, layer.cross_out(heard), layer.mlp_norm)
            x, hidden = added(x, layer.down(functional.gelu(layer.up(hidden))), next_norm)
        return hidden

    def attention(self, tokens: Tensor, slot: int, caches: Caches) -> Tensor:
        """What the alignment heads look at while a text is fed → (n_heads, n_tokens, n_audio_ctx) float32.

        tokens: (n_tokens,) int64, fed from the first position on; no cache is written
        """
        x = (functional.embedding(tokens, self._tokens) + self._positions[: len(tokens)])[None]
        hidden = normalised(x, self._layers[0].attention_norm)
        looks = []
        for index, (layer, next_norm) in enumerate(self._with_next_norms[: max(self._heads) + 1]):
            said = attended(*self._qkv(layer, hidden), is_causal=True)
            x, hidden = added(x, layer.attention_out(said), layer.cross_norm)
            query = self._cross_query(layer, hidden)  # (1, n_head, n_tokens, d_head)
            keys, values = caches.cross_keys[index, slot], caches.cross_values[index, slot]
            if index in self._heads:
                heads = self._heads[index]
                scores = (query[0, heads] @ keys[heads].transpose(1, 2)).float() * query.shape[-1] ** -0.5
                looks.append(scores.softmax(dim=-1))
            heard = attended(query, keys[None], values[None])
            x, hidden = added(x, layer.cross_out(heard), layer.mlp_norm)
            x, hidden = added(x, layer.down(functional.gelu(layer.up(hidden))), next_norm)
        return torch.cat(looks)

    def logits(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self._vocabulary)

    def _qkv(self, layer: DecoderLayer, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n_rows, n_tokens, n_state) → each (n_rows, n_head, n_tokens, d_head)"""
        query, key, value = in_heads(layer.qkv(hidden), 3, self._n_head).permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def _cross_query(self, layer: DecoderLayer, hidden: Tensor) -> Tensor:
        """(n_rows, n_tokens, n_state) → (n_rows, n_head, n_tokens, d_head)"""
        return in_heads(layer.cross_query(hidden), 1, self._n_head)[:, :, 0].transpose(1, 2)


def attended(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, *, is_causal: bool = False
) -> Tensor:
    """Each (n_rows, n_head, …, d_head) → (n_rows, n_tokens, n_state)"""
    heard = functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, is_causal=is_causal)
    return heard.transpose(1, 2).flatten(2)


def in_heads(x: Tensor, num_parts: int, n_head: int) -> Tensor:
    """(…, num_parts * n_state) → (…, num_parts, n_head, d_head)"""
    return x.unflatten(-1, (num_parts, n_head, -1))


def normalised(x: Tensor, norm: Norm) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, LAYER_NORM_EPSILON)


def added(x: Tensor, delta: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
    """x + delta, and the same normalised."""
    return add_layer_norm(x, delta, norm.weight, norm.bias)


def _encoder_layer(config: WhisperConfig, load: Loader, name: str) -> EncoderLayer:
    n_state = config.n_state
    return EncoderLayer(
        load.norm(f"{name}.self_attn_layer_norm", n_state),
        load.fused(f"{name}.self_attn", "qkv", n_state),
        load.linear(f"{name}.self_attn.out_proj", n_state, n_state),
        load.norm(f"{name}.final_layer_norm", n_state),
        load.linear(f"{name}.fc1", n_state, config.n_audio_hidden),
        load.linear(f"{name}.fc2", config.n_audio_hidden, n_state),
    )


def _decoder_layer(config: WhisperConfig, load: Loader, name: str) -> DecoderLayer:
    n_state = config.n_state
    return DecoderLayer(
        load.norm(f"{name}.self_attn_layer_norm", n_state),
        load.fused(f"{name}.self_attn", "qkv", n_state),
        load.linear(f"{name}.self_attn.out_proj", n_state, n_state),
        load.norm(f"{name}.encoder_attn_layer_norm", n_state),
        load.linear(f"{name}.encoder_attn.q_proj", n_state, n_state),
        load.linear(f"{name}.encoder_attn.out_proj", n_state, n_state),
        load.norm(f"{name}.final_layer_norm", n_state),
        load.linear(f"{name}.fc1", n_state, config.n_text_hidden),
        load.linear(f"{name}.fc2", config.n_text_hidden, n_state),
    )
