"""The encoder as a graph: log_mel (batch, n_mels, n_frames) → cross_keys.{layer}, cross_values.{layer}.

It ends in what every decoder layer attends to, (batch, n_head, n_audio_ctx, d_head). In 8 bits there are
key_scales.{layer} and value_scales.{layer}, (batch, 1, n_state), too: each channel of a window has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnx

from asr_api.engines.onnx.graph_builder import FUSED, Builder, Graph, floats, integers
from asr_api.engines.onnx.quantized_builder import LIMIT, QuantizedBuilder
from asr_api.engines.onnx.session import Array, Floats, Session
from asr_api.engines.whisper.config import WhisperConfig


class Encoder(Protocol):
    def encode(self, log_mel: Floats, heard: Mapping[str, Array]) -> None:
        """One window. log_mel: (n_mels, n_frames); heard: a row of the caches, written in place"""


class OnnxEncoder:
    """Implements `Encoder` with ONNX Runtime, in the type of its builder."""

    def __init__(self, config: WhisperConfig, build: Builder, num_threads: int) -> None:
        self._session = Session(encoder_graph(config, build), num_threads)

    def encode(self, log_mel: Floats, heard: Mapping[str, Array]) -> None:
        self._session.call({"log_mel": log_mel[None]}, heard).run()


def encoder_graph(config: WhisperConfig, build: Builder) -> Graph:
    """Log-mel to the keys and values that every decoder layer attends to."""
    n_state, n_ctx = config.n_state, config.n_audio_ctx
    x = "log_mel"
    for index, n_in in ((1, config.n_mels), (2, n_state)):
        name = f"encoder.conv{index}"
        weight, bias = build.weight(f"{name}.weight", n_state, n_in, 3), build.weight(f"{name}.bias", n_state)
        x = build.add("Conv", x, weight, bias, pads=[1, 1], strides=[index])
        x = build.add("Gelu", x)  # (batch, n_state, n_frames / index)
    x = build.add("Transpose", x, perm=[0, 2, 1])
    x = build.add("Add", x, build.weight("encoder.embed_positions.weight", n_ctx, n_state))
    x = build.reshape(x, -1, n_state)
    for layer in range(config.n_audio_layer):
        name = f"encoder.layers.{layer}"
        x = _attention(build, config, x, name)
        x = build.mlp(x, name, n_state, config.n_audio_hidden)
    hidden = build.norm(x, "encoder.layer_norm", n_state)  # the audio features
    outputs = []
    for layer in range(config.n_text_layer):
        name = f"decoder.layers.{layer}.encoder_attn"
        keys = build.linear(hidden, f"{name}.k_proj", n_state, n_state, has_bias=False)
        outputs += _store(build, config, keys, "key", layer)
        outputs += _store(build, config, build.linear(hidden, f"{name}.v_proj", n_state, n_state), "value", layer)
    return build.graph("encoder", [floats("log_mel", "batch", config.n_mels, config.n_frames)], outputs)


def _attention(build: Builder, config: WhisperConfig, x: str, name: str) -> str:
    """x plus what it attends to; ONNX Runtime's fused attention never holds the n_ctx by n_ctx scores."""
    n_state = config.n_state
    hidden = build.norm(x, f"{name}.self_attn_layer_norm", n_state)
    name = f"{name}.self_attn"
    parts = [build.linear(hidden, f"{name}.{part}_proj", n_state, n_state, has_bias=part != "k") for part in "qkv"]
    parts = [build.reshape(part, -1, config.n_audio_ctx, n_state) for part in parts]
    heard = build.add("MultiHeadAttention", *parts, num_heads=config.n_audio_head, domain=FUSED)
    heard = build.reshape(heard, -1, n_state)
    return build.add("Add", x, build.linear(heard, f"{name}.out_proj", n_state, n_state))


def _store(build: Builder, config: WhisperConfig, x: str, kind: str, layer: int) -> list[onnx.ValueInfoProto]:
    """Keys or values, (batch * n_ctx, n_state), in the form in which the decoder reads them; the outputs."""
    n_ctx, n_state, n_head = config.n_audio_ctx, config.n_state, config.n_text_head
    name, dims = f"cross_{kind}s.{layer}", ("batch", n_head, n_ctx, n_state // n_head)
    outputs = [floats(name, *dims)]
    if isinstance(build, QuantizedBuilder):
        x, peaks = build.scaled(build.reshape(x, -1, n_ctx, n_state), 1)
        step = build.constant(np.float32(1 / LIMIT))
        x = build.add("QuantizeLinear", x, step, build.constant(np.int8(0)))
        build.add("Mul", peaks, step, result=f"{kind}_scales.{layer}")
        outputs = [integers(name, *dims, bits=8), floats(f"{kind}_scales.{layer}", "batch", 1, n_state)]
    x = build.reshape(x, -1, n_ctx, n_head, n_state // n_head)
    build.add("Transpose", x, perm=[0, 2, 1, 3], result=name)
    return outputs
