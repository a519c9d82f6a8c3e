"""Whisper in plain torch, for training: log-mel and token ids in, logits out; parameters named as in transformers.

Three things serve training only and leave no trace in the export: a character CTC head on the encoder,
cross-attention weights returned for guidance, and timestamp embeddings tied to the encoder's sinusoids
(timestamp i and encoder position i are the same moment), so that 1501 rows need not be learned one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, scaled_dot_product_attention


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Dimensions of a checkpoint."""

    n_vocab: int
    first_timestamp: int
    n_state: int = 192
    n_head: int = 3
    n_encoder_layers: int = 4
    n_decoder_layers: int = 3
    n_mels: int = 80
    n_audio_ctx: int = 1500
    n_text_ctx: int = 448


N_CHARACTERS = 29
"""CTC classes: blank, a to z, apostrophe, space."""


def sinusoids(length: int, n_state: int) -> Tensor:
    """Whisper's fixed positions, (length, n_state) float32."""
    scale = math.log(10_000) / (n_state // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-scale * torch.arange(n_state // 2))[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):
    """Multi-head attention with Whisper's biases (none on the keys)."""

    def __init__(self, n_state: int, n_head: int) -> None:
        super().__init__()
        self.n_head = n_head
        self.q_proj, self.v_proj = nn.Linear(n_state, n_state), nn.Linear(n_state, n_state)
        self.k_proj = nn.Linear(n_state, n_state, bias=False)
        self.out_proj = nn.Linear(n_state, n_state)

    def heads(self, x: Tensor) -> Tensor:
        """(batch, n_ctx, n_state) → (batch, n_head, n_ctx, d_head)."""
        return x.unflatten(-1, (self.n_head, -1)).transpose(1, 2)

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a source, split into heads."""
        return self.heads(self.k_proj(source)), self.heads(self.v_proj(source))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, causal: bool = False) -> Tensor:
        """Attend from x to keys and values; (batch, n_ctx, n_state)."""
        mixed = scaled_dot_product_attention(self.heads(self.q_proj(x)), keys, values, is_causal=causal)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor, keys: Tensor, n_guided: int) -> Tensor:
        """Attention weights of the first heads, (batch, n_guided, n_ctx, n_source) float32."""
        queries = self.heads(self.q_proj(x))[:, :n_guided]
        scores = queries @ keys[:, :n_guided].transpose(-1, -2) / math.sqrt(queries.shape[-1])
        return scores.float().softmax(dim=-1)


class Layer(nn.Module):
    """A transformer layer, pre-norm; with cross-attention in the decoder."""

    def __init__(self, size: ModelSize, is_decoder: bool) -> None:
        super().__init__()
        n_state = size.n_state
        self.self_attn = Attention(n_state, size.n_head)
        self.self_attn_layer_norm = nn.LayerNorm(n_state)
        if is_decoder:
            self.encoder_attn = Attention(n_state, size.n_head)
            self.encoder_attn_layer_norm = nn.LayerNorm(n_state)
        self.fc1, self.fc2 = nn.Linear(n_state, 4 * n_state), nn.Linear(4 * n_state, n_state)
        self.final_layer_norm = nn.LayerNorm(n_state)

    def feed_forward(self, x: Tensor) -> Tensor:
        """The residual feed-forward half."""
        return x + self.fc2(gelu(self.fc1(self.final_layer_norm(x))))


class Encoder(nn.Module):
    """Log-mel → audio features; any length up to n_audio_ctx positions, since positions are sinusoids."""

    def __init__(self, size: ModelSize) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(size.n_mels, size.n_state, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(size.n_state, size.n_state, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding.from_pretrained(sinusoids(size.n_audio_ctx, size.n_state))
        self.layers = nn.ModuleList(Layer(size, is_decoder=False) for _ in range(size.n_encoder_layers))
        self.layer_norm = nn.LayerNorm(size.n_state)

    @property
    def blocks(self) -> Sequence[Layer]:
        """The layers with their type."""
        return cast("Sequence[Layer]", self.layers)

    def forward(self, log_mel: Tensor) -> Tensor:
        """(batch, n_mels, n_frames) → (batch, n_frames / 2, n_state)."""
        x = gelu(self.conv2(gelu(self.conv1(log_mel)))).transpose(1, 2)
        x = x + self.embed_positions.weight[: x.shape[1]]
        for layer in self.blocks:
            normed = layer.self_attn_layer_norm(x)
            x = x + layer.self_attn(normed, *layer.self_attn.keys_values(normed))
            x = layer.feed_forward(x)
        return self.layer_norm(x)


class Decoder(nn.Module):
    """Token ids and audio features → hidden states, and cross-attention weights where guided."""

    def __init__(self, size: ModelSize) -> None:
        super().__init__()
        self.size = size
        self.embed_tokens = nn.Embedding(size.n_vocab, size.n_state)
        self.embed_positions = nn.Embedding(size.n_text_ctx, size.n_state)
        self.layers = nn.ModuleList(Layer(size, is_decoder=True) for _ in range(size.n_decoder_layers))
        self.layer_norm = nn.LayerNorm(size.n_state)

    @property
    def blocks(self) -> Sequence[Layer]:
        """The layers with their type."""
        return cast("Sequence[Layer]", self.layers)

    def forward(self, embedded: Tensor, audio: Tensor, n_guided: int) -> tuple[Tensor, list[Tensor]]:
        """Teacher forcing; embedded: (batch, n_ctx, n_state), audio: (batch, n_source, n_state)."""
        x = embedded + self.embed_positions.weight[: embedded.shape[1]]
        attention: list[Tensor] = []
        for number, layer in enumerate(self.blocks):
            normed = layer.self_attn_layer_norm(x)
            x = x + layer.self_attn(normed, *layer.self_attn.keys_values(normed), causal=True)
            keys, values = layer.encoder_attn.keys_values(audio)
            normed = layer.encoder_attn_layer_norm(x)
            if n_guided and number >= len(self.layers) - 2:
                attention.append(layer.encoder_attn.weights(normed, keys, n_guided))
            x = layer.feed_forward(x + layer.encoder_attn(normed, keys, values))
        return self.layer_norm(x), attention


class WhisperBody(nn.Module):
    """Encoder and decoder under the names transformers uses."""

    def __init__(self, size: ModelSize) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(size), Decoder(size)


class Whisper(nn.Module):
    """The whole model with what training adds to it."""

    def __init__(self, size: ModelSize) -> None:
        super().__init__()
        self.size = size
        self.model = WhisperBody(size)
        self.characters = nn.Linear(size.n_state, N_CHARACTERS)
        n_timestamps = size.n_vocab - size.first_timestamp
        self.timestamp_map = nn.Linear(size.n_state, size.n_state)
        self.moments: Tensor
        self.register_buffer("moments", sinusoids(n_timestamps, size.n_state), persistent=False)
        self.apply(_initialise)
        nn.init.normal_(self.timestamp_map.weight, std=0.003)

    def embeddings(self) -> Tensor:
        """All token embeddings, (n_vocab, n_state): learned for text, mapped sinusoids for timestamps."""
        learned = self.model.decoder.embed_tokens.weight[: self.size.first_timestamp]
        return torch.cat([learned, self.timestamp_map(self.moments).to(learned.dtype)])

    def forward(
        self, log_mel: Tensor, tokens: Tensor, wanted: Tensor, n_guided: int = 0, is_taught: bool = False
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Teacher forcing; wanted: (batch, n_ctx) bool, where something is to be learned; is_taught: what the decoder
        learns leaves the encoder alone.

        Returns audio features (batch, n_source, n_state), token logits (num_wanted, n_vocab), attention.
        """
        audio = self.model.encoder(log_mel)
        table = self.embeddings()
        heard = audio.detach() if is_taught else audio
        hidden, attention = self.model.decoder(embedding(tokens, table), heard, n_guided)
        hidden = hidden[wanted]
        return audio, hidden @ table.T.to(hidden.dtype), attention


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding) and module.weight.requires_grad:
        nn.init.normal_(module.weight, std=0.02)
