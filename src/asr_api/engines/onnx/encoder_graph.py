"""The Whisper encoder as an ONNX graph: log_mel (batch, n_mels, n_frames) → cross_keys.{layer}, cross_values.{layer}.

These are the keys and values of each decoder layer's cross-attention, (batch, n_head, n_audio_ctx, d_head). In 8 bits
there are also key_scales.{layer} and value_scales.{layer}, (batch, 1, n_state): one for each channel of a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnx

from asr_api.engines.onnx.graph_builder import FUSED, Graph, GraphBuilder, floats, integers
from asr_api.engines.onnx.quantized_builder import LIMIT, QuantizedBuilder
from asr_api.engines.onnx.session import Array, Session
from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.config import WhisperConfig


class Encoder(Protocol):
    def encode(self, log_mel: Floats, cross: Mapping[str, Array]) -> None:
        """log_mel: (n_mels, n_frames); cross: views of one row of the cross-attention cache, written in place"""


class OnnxEncoder:
    """Implements `Encoder` with ONNX Runtime, in the type of its builder."""

    def __init__(self, config: WhisperConfig, graph: GraphBuilder, num_threads: int) -> None:
        self._session = Session(encoder_graph(config, graph), num_threads)

    def encode(self, log_mel: Floats, cross: Mapping[str, Array]) -> None:
        self._session.call({"log_mel": log_mel[None]}, cross).run()


def encoder_graph(config: WhisperConfig, graph: GraphBuilder) -> Graph:
    n_state, n_ctx = config.n_state, config.n_audio_ctx
    x = "log_mel"
    for index, n_in in ((1, config.n_mels), (2, n_state)):
        name = f"encoder.conv{index}"
        weight, bias = graph.weight(f"{name}.weight", n_state, n_in, 3), graph.weight(f"{name}.bias", n_state)
        x = graph.add("Conv", x, weight, bias, pads=[1, 1], strides=[index])
        x = graph.add("Gelu", x)  # (batch, n_state, n_frames / index)
    x = graph.add("Transpose", x, perm=[0, 2, 1])
    x = graph.add("Add", x, graph.weight("encoder.embed_positions.weight", n_ctx, n_state))
    x = graph.reshape(x, -1, n_state)
    for layer in range(config.n_audio_layer):
        name = f"encoder.layers.{layer}"
        x = _attention(graph, config, x, f"{name}.self_attn")
        x = graph.mlp(x, name, n_state, config.n_audio_hidden)
    hidden = graph.norm(x, "encoder.layer_norm", n_state)  # the audio features
    outputs = []
    for layer in range(config.n_text_layer):
        name = f"decoder.layers.{layer}.encoder_attn"
        keys = graph.linear(hidden, f"{name}.k_proj", n_state, n_state, has_bias=False)
        outputs += _store(graph, config, keys, "key", layer)
        outputs += _store(graph, config, graph.linear(hidden, f"{name}.v_proj", n_state, n_state), "value", layer)
    return graph.build("encoder", [floats("log_mel", "batch", config.n_mels, config.n_frames)], outputs)


def _attention(graph: GraphBuilder, config: WhisperConfig, x: str, name: str) -> str:
    """x plus its self-attention; ONNX Runtime's fused operator never holds the n_ctx by n_ctx scores."""
    parts = [graph.reshape(part, -1, config.n_audio_ctx, config.n_state) for part in graph.qkv(x, name, config.n_state)]
    attended = graph.add("MultiHeadAttention", *parts, num_heads=config.n_audio_head, domain=FUSED)
    return graph.project(x, attended, name, config.n_state)


def _store(graph: GraphBuilder, config: WhisperConfig, x: str, kind: str, layer: int) -> list[onnx.ValueInfoProto]:
    """Outputs of keys or values, (batch * n_ctx, n_state), in the layout that the decoder reads."""
    n_ctx, n_state, n_head = config.n_audio_ctx, config.n_state, config.n_text_head
    name, dims = f"cross_{kind}s.{layer}", ("batch", n_head, n_ctx, n_state // n_head)
    outputs = [floats(name, *dims)]
    if isinstance(graph, QuantizedBuilder):
        x, peaks = graph.scaled(graph.reshape(x, -1, n_ctx, n_state), 1)
        step = graph.constant(np.float32(1 / LIMIT))
        x = graph.add("QuantizeLinear", x, step, graph.constant(np.int8(0)))
        graph.add("Mul", peaks, step, result=f"{kind}_scales.{layer}")
        outputs = [integers(name, *dims, bits=8), floats(f"{kind}_scales.{layer}", "batch", 1, n_state)]
    x = graph.reshape(x, -1, n_ctx, n_head, n_state // n_head)
    graph.add("Transpose", x, perm=[0, 2, 1, 3], result=name)
    return outputs
