"""The Whisper model: encoder, cross-attention projection, and decoder (prefill, decode step, alignment weights).

Tensors have one dtype on one device; the KV cache is written in place. Every Whisper shape runs the same code with
other dimensions. A residual addition and the layer norm after it are one kernel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from asr_api.engines.cuda.kernels.cross_attention import cross_attention
from asr_api.engines.cuda.kernels.layer_norm import add_layer_norm
from asr_api.engines.cuda.kernels.self_attention import self_attention
from asr_api.engines.cuda.kv_cache import KVCache
from asr_api.engines.cuda.layers import Loader, Norm
from asr_api.engines.whisper.config import WhisperConfig

MAX_PROJECTED_BYTES = 256 * 2**20  # cross-attention keys and values on their way into the slots


class EncoderLayer:
    def __init__(self, loader: Loader, name: str, n_state: int, n_hidden: int) -> None:
        self.attention_norm = loader.norm(f"{name}.self_attn_layer_norm", n_state)
        self.qkv = loader.fused(f"{name}.self_attn", "qkv", n_state)
        self.attention_out = loader.linear(f"{name}.self_attn.out_proj", n_state, n_state)
        self.mlp_norm = loader.norm(f"{name}.final_layer_norm", n_state)
        self._up = loader.linear(f"{name}.fc1", n_state, n_hidden)
        self._down = loader.linear(f"{name}.fc2", n_hidden, n_state)

    def mlp(self, hidden: Tensor) -> Tensor:
        return self._down(functional.gelu(self._up(hidden)))


class DecoderLayer(EncoderLayer):
    def __init__(self, loader: Loader, name: str, n_state: int, n_hidden: int) -> None:
        super().__init__(loader, name, n_state, n_hidden)
        self.cross_norm = loader.norm(f"{name}.encoder_attn_layer_norm", n_state)
        self.cross_query = loader.linear(f"{name}.encoder_attn.q_proj", n_state, n_state)
        self.cross_out = loader.linear(f"{name}.encoder_attn.out_proj", n_state, n_state)


class AudioEncoder:
    def __init__(self, config: WhisperConfig, loader: Loader) -> None:
        n_state, n_hidden = config.n_state, config.n_audio_hidden
        self._n_head = config.n_audio_head
        self._conv1 = loader.conv("encoder.conv1", config.n_mels, n_state)
        self._conv2 = loader.conv("encoder.conv2", n_state, n_state)
        self._positions = loader.tensor("encoder.embed_positions.weight", config.n_audio_ctx, n_state)
        names = [f"encoder.layers.{layer}" for layer in range(config.n_audio_layer)]
        self._layers = [EncoderLayer(loader, name, n_state, n_hidden) for name in names]
        norms = [*(layer.attention_norm for layer in self._layers[1:]), loader.norm("encoder.layer_norm", n_state)]
        self._with_next_norms = list(zip(self._layers, norms, strict=True))

    def __call__(self, log_mel: Tensor) -> Tensor:
        """log_mel: (batch, n_mels, n_frames) → audio features (batch, n_audio_ctx, n_state)"""
        x = functional.gelu(functional.conv1d(log_mel, *self._conv1, padding=1))  # (batch, n_state, n_frames)
        x = functional.gelu(functional.conv1d(x, *self._conv2, stride=2, padding=1))  # (batch, n_state, n_audio_ctx)
        x = (x.transpose(1, 2) + self._positions).contiguous()  # (batch, n_audio_ctx, n_state)
        hidden = self._layers[0].attention_norm(x)
        for layer, next_norm in self._with_next_norms:
            out = attention(*split_qkv(layer.qkv(hidden), self._n_head))
            x, hidden = add_and_norm(x, layer.attention_out(out), layer.mlp_norm)
            x, hidden = add_and_norm(x, layer.mlp(hidden), next_norm)
        return hidden


class CrossProjection:
    """Projects audio features to the cross-attention keys and values of all decoder layers, in their slots."""

    def __init__(self, config: WhisperConfig, loader: Loader) -> None:
        names = [f"decoder.layers.{layer}.encoder_attn" for layer in range(config.n_text_layer)]
        layers = [loader.fused(name, "kv", config.n_state) for name in names]
        self._n_layer, self._n_head = config.n_text_layer, config.n_text_head
        self._weight = torch.cat([layer.weight for layer in layers])  # (n_layer * 2 * n_state, n_state)
        self._bias = torch.cat([layer.bias for layer in layers])

    def __call__(self, features: Tensor, cache: KVCache, slots: Tensor) -> None:
        """features: (batch, n_audio_ctx, n_state); slots: (batch,) int64

        As few products as MAX_PROJECTED_BYTES allows: the result of all 32 layers at once would take gigabytes.
        """
        layer_bytes = 2 * features.numel() * features.element_size()
        num = max(1, min(self._n_layer, MAX_PROJECTED_BYTES // layer_bytes))
        height = len(self._weight) // self._n_layer
        for first in range(0, self._n_layer, num):
            last = min(first + num, self._n_layer)
            rows = slice(first * height, last * height)
            both = functional.linear(features, self._weight[rows], self._bias[rows])
            both = split_heads(both, 2 * (last - first), self._n_head)  # (batch, n_audio_ctx, 2·layers, n_head, d_head)
            keys, values = both.permute(2, 0, 3, 1, 4).unflatten(0, (-1, 2)).unbind(1)
            cache.cross_keys[first:last, slots] = keys  # (layers, batch, n_head, n_audio_ctx, d_head)
            cache.cross_values[first:last, slots] = values


class TextDecoder:
    def __init__(self, config: WhisperConfig, loader: Loader) -> None:
        n_state, n_hidden, n_vocab = config.n_state, config.n_text_hidden, config.n_vocab
        self._n_head = config.n_text_head
        self._tokens = loader.tensor("decoder.embed_tokens.weight", n_vocab, n_state)
        self._positions = loader.tensor("decoder.embed_positions.weight", config.n_text_ctx, n_state)
        names = [f"decoder.layers.{layer}" for layer in range(config.n_text_layer)]
        self._layers = [DecoderLayer(loader, name, n_state, n_hidden) for name in names]
        norms = [*(layer.attention_norm for layer in self._layers[1:]), loader.norm("decoder.layer_norm", n_state)]
        self._with_next_norms = list(zip(self._layers, norms, strict=True))
        self._output_projection = self._tokens if config.is_tied else loader.tensor("proj_out.weight", n_vocab, n_state)
        self._alignment_heads: dict[int, list[int]] = {}  # by layer
        for layer, head in config.alignment_heads:
            self._alignment_heads.setdefault(layer, []).append(head)

    def step(self, tokens: Tensor, positions: Tensor, slot_of_row: Tensor, is_active: Tensor, cache: KVCache) -> Tensor:
        """One decode step: feeds one token of each row, appends its keys and values → logits (n_rows, n_vocab).

        All inputs are (n_rows,), for the first rows of the cache. Logits of inactive rows are meaningless.
        """
        n_rows = len(tokens)
        x = functional.embedding(tokens, self._tokens) + functional.embedding(positions, self._positions)
        hidden = self._layers[0].attention_norm(x)
        for index, (layer, next_norm) in enumerate(self._with_next_norms):
            query, key, value = split_heads(layer.qkv(hidden), 3, self._n_head).unbind(1)  # (n_rows, n_head, d_head)
            cached = cache.self_keys[index, :n_rows], cache.self_values[index, :n_rows]
            out = self_attention(query, key, value, cached, positions, is_active)
            x, hidden = add_and_norm(x, layer.attention_out(out.flatten(1)), layer.cross_norm)
            query = split_heads(layer.cross_query(hidden), 1, self._n_head)[:, 0]  # (n_rows, n_head, d_head)
            keys, values = cache.cross_keys[index], cache.cross_values[index]
            out = cross_attention(query, keys, values, slot_of_row, is_active)
            x, hidden = add_and_norm(x, layer.cross_out(out.flatten(1)), layer.mlp_norm)
            x, hidden = add_and_norm(x, layer.mlp(hidden), next_norm)
        return self.logits(hidden)

    def prefill(self, tokens: Tensor, first: int, rows: Tensor, slots: Tensor, cache: KVCache) -> Tensor:
        """Feeds several tokens of each row, stores their keys and values → hidden states (n_rows, n_tokens, n_state).

        tokens:      (n_rows, n_tokens) int64, at positions from `first` on
        rows, slots: (n_rows,) int64, of the cache
        """
        end = first + tokens.shape[1]
        x = functional.embedding(tokens, self._tokens) + self._positions[first:end]
        is_visible = None  # from position 0 on, is_causal suffices; a mask would rule out the fastest attention
        if first > 0:
            is_visible = torch.ones(tokens.shape[1], end, dtype=torch.bool, device=tokens.device).tril(first)
        hidden = self._layers[0].attention_norm(x)
        for index, (layer, next_norm) in enumerate(self._with_next_norms):
            query, key, value = split_qkv(layer.qkv(hidden), self._n_head)
            keys, values = cache.self_keys[index], cache.self_values[index]
            keys[rows, :, first:end], values[rows, :, first:end] = key, value
            out = attention(query, keys[rows, :, :end], values[rows, :, :end], is_visible, is_causal=first == 0)
            x, hidden = add_and_norm(x, layer.attention_out(out), layer.cross_norm)
            keys, values = cache.cross_keys[index][slots], cache.cross_values[index][slots]
            out = attention(self._cross_query(layer, hidden), keys, values)
            x, hidden = add_and_norm(x, layer.cross_out(out), layer.mlp_norm)
            x, hidden = add_and_norm(x, layer.mlp(hidden), next_norm)
        return hidden

    def alignment_weights(self, tokens: Tensor, slot: int, cache: KVCache) -> Tensor:
        """Cross-attention weights of the alignment heads for a text → (n_heads, n_tokens, n_audio_ctx) float32.

        tokens: (n_tokens,) int64, from position 0 on; the cache is only read
        """
        x = (functional.embedding(tokens, self._tokens) + self._positions[: len(tokens)])[None]
        hidden = self._layers[0].attention_norm(x)
        weights = []
        for index, (layer, next_norm) in enumerate(self._with_next_norms[: max(self._alignment_heads) + 1]):
            out = attention(*split_qkv(layer.qkv(hidden), self._n_head), is_causal=True)
            x, hidden = add_and_norm(x, layer.attention_out(out), layer.cross_norm)
            query = self._cross_query(layer, hidden)  # (1, n_head, n_tokens, d_head)
            keys, values = cache.cross_keys[index, slot], cache.cross_values[index, slot]
            if index in self._alignment_heads:
                heads = self._alignment_heads[index]
                scores = (query[0, heads] @ keys[heads].transpose(1, 2)).float() * query.shape[-1] ** -0.5
                weights.append(scores.softmax(dim=-1))
            out = attention(query, keys[None], values[None])
            x, hidden = add_and_norm(x, layer.cross_out(out), layer.mlp_norm)
            x, hidden = add_and_norm(x, layer.mlp(hidden), next_norm)
        return torch.cat(weights)

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, n_state) → (…, n_vocab)"""
        return functional.linear(hidden, self._output_projection)

    def _cross_query(self, layer: DecoderLayer, hidden: Tensor) -> Tensor:
        """(n_rows, n_tokens, n_state) → (n_rows, n_head, n_tokens, d_head)"""
        return split_heads(layer.cross_query(hidden), 1, self._n_head)[:, :, 0].transpose(1, 2)


def attention(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, *, is_causal: bool = False
) -> Tensor:
    """Each (n_rows, n_head, …, d_head) → (n_rows, n_tokens, n_state)"""
    out = functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, is_causal=is_causal)
    return out.transpose(1, 2).flatten(2)


def split_heads(x: Tensor, num_parts: int, n_head: int) -> Tensor:
    """(…, num_parts * n_state) → (…, num_parts, n_head, d_head)"""
    return x.unflatten(-1, (num_parts, n_head, -1))


def split_qkv(x: Tensor, n_head: int) -> tuple[Tensor, Tensor, Tensor]:
    """(batch, n, 3 * n_state) → query, key and value, (batch, n_head, n, d_head)"""
    query, key, value = split_heads(x, 3, n_head).permute(2, 0, 3, 1, 4).unbind(0)
    return query, key, value


def add_and_norm(x: Tensor, delta: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
    """x + delta, and its layer norm."""
    return add_layer_norm(x, delta, norm.weight, norm.bias)
