"""The Whisper decoder as an ONNX graph: prefill and decode steps with KV caches.

    tokens, positions (rows, n_new); last_positions (rows,): of each row's last new token; total_length: of the longest
    self_keys.{layer}, self_values.{layer} of rows, cross_keys.{layer}, cross_values.{layer} of windows
    → logits (n_wanted, n_vocab), attention (windows, n_aligned, n_attended, n_audio_ctx)

The keys and values of new tokens are written into the caches in place: each cache is also an output, named with the
prefix `new_`, and must be bound to the memory of its input. A call has one of three forms: a decode step with one new
token in many rows, each of its own window; a decode step with one new token in many rows of one window; or a prefill
with many tokens in one row (a prompt, or a text for word timestamps).
wanted:   indices of the hidden states, of rows * n_new, that are projected to the vocabulary, the most expensive layer
          of small models
attended: indices of a window's tokens whose cross-attention in the alignment heads is returned; none in a step
"""

from __future__ import annotations

import numpy as np
import onnx

from asr_api.engines.onnx.graph_builder import FUSED, Graph, GraphBuilder, floats, integers
from asr_api.engines.onnx.quantized_builder import QuantizedBuilder
from asr_api.engines.whisper.config import WhisperConfig

AFTER_SOFTMAX = 2  # of GroupQueryAttention's qk_output


def decoder_graph(config: WhisperConfig, graph: GraphBuilder) -> Graph:
    n_state = config.n_state
    x = graph.add(
        "Add",
        graph.embed("decoder.embed_tokens.weight", "tokens", config.n_vocab, n_state),
        graph.embed("decoder.embed_positions.weight", "positions", config.n_text_ctx, n_state),
    )
    _add_shared_values(graph, config, x)
    x = graph.reshape(x, -1, n_state)
    attention = []  # weights of each layer's cross-attention
    for layer in range(config.n_text_layer):
        x = _self_attention(graph, config, x, layer)
        x, weights = _cross_attention(graph, config, x, layer)
        x = graph.mlp(x, f"decoder.layers.{layer}", n_state, config.n_text_hidden)
        attention.append(weights)
    hidden = graph.norm(graph.add("Gather", x, "wanted"), "decoder.layer_norm", n_state)
    head = "decoder.embed_tokens" if config.is_tied else "proj_out"
    logits = graph.linear(hidden, head, n_state, config.n_vocab, has_bias=False)
    graph.add("Identity", logits, result="logits")
    _report_attention(graph, config, attention)
    outputs = [
        floats("logits", "n_wanted", config.n_vocab),
        floats("attention", "windows", len(config.alignment_heads), "n_attended", config.n_audio_ctx),
        *_caches(config, graph, "new_"),
    ]
    inputs = [
        integers("tokens", "rows", "n_new"),
        integers("positions", "rows", "n_new"),
        integers("last_positions", "rows", bits=32),
        integers("total_length", bits=32),
        integers("wanted", "n_wanted"),
        integers("attended", "n_attended"),
        *_caches(config, graph),
        *_scales(config, graph),
    ]
    return graph.build("decoder", inputs, outputs)


def _caches(config: WhisperConfig, graph: GraphBuilder, prefix: str = "") -> list[onnx.ValueInfoProto]:
    n_head, d_head = config.n_text_head, config.n_state // config.n_text_head
    infos = []
    for layer in range(config.n_text_layer):
        for kind in ("keys", "values"):
            infos.append(floats(f"{prefix}self_{kind}.{layer}", "rows", n_head, config.n_text_ctx, d_head))
            name, dims = f"{prefix}cross_{kind}.{layer}", ("windows", n_head, config.n_audio_ctx, d_head)
            is_int8 = isinstance(graph, QuantizedBuilder)
            infos.append(integers(name, *dims, bits=8) if is_int8 else floats(name, *dims))
    return infos


def _scales(config: WhisperConfig, graph: GraphBuilder) -> list[onnx.ValueInfoProto]:
    n_layer = config.n_text_layer if isinstance(graph, QuantizedBuilder) else 0
    names = [f"{kind}_scales.{layer}" for layer in range(n_layer) for kind in ("key", "value")]
    return [floats(name, "windows", 1, config.n_state) for name in names]


def _add_shared_values(graph: GraphBuilder, config: WhisperConfig, x: str) -> None:
    """Values that all layers share, from x, (rows, n_new, n_state).

    by_row, by_window:    shapes, (rows or windows, tokens of each, n_state)
    no_tokens:            (windows, 0, n_state): cross-attention has no new keys
    cross_last_positions: (windows,), last_positions of the audio
    """
    graph.add("Shape", x, result="by_row")
    windows, zero = graph.add("Shape", "cross_keys.0", start=0, end=1), graph.integers(0)
    graph.add("Concat", windows, graph.integers(-1), graph.integers(config.n_state), axis=0, result="by_window")
    grouped = graph.add("Reshape", x, "by_window")
    graph.add("Slice", grouped, zero, zero, graph.integers(1), result="no_tokens")
    last_position = graph.constant(np.array([config.n_audio_ctx - 1], np.int32))
    graph.add("Expand", last_position, windows, result="cross_last_positions")


def _self_attention(graph: GraphBuilder, config: WhisperConfig, x: str, layer: int) -> str:
    """x plus its causal self-attention over cached and new tokens."""
    name = f"decoder.layers.{layer}.self_attn"
    parts = [graph.add("Reshape", part, "by_row") for part in graph.qkv(x, name, config.n_state)]
    caches, num_heads = [f"self_keys.{layer}", f"self_values.{layer}"], config.n_text_head
    attended = graph.add(
        "GroupQueryAttention", *parts, *caches, "last_positions", "total_length",
        num_heads=num_heads, kv_num_heads=num_heads, domain=FUSED,
    )  # fmt: skip
    graph.nodes[-1].output.extend(f"new_{cache}" for cache in caches)
    return graph.project(x, attended, name, config.n_state)


def _cross_attention(graph: GraphBuilder, config: WhisperConfig, x: str, layer: int) -> tuple[str, str]:
    """x plus its cross-attention; the attention weights, (windows, n_head, tokens of each, n_ctx).

    In 8 bits the operator takes one scale for all windows. The scales of each window are applied to the queries and to
    the result instead.
    """
    n_state, name = config.n_state, f"decoder.layers.{layer}.encoder_attn"
    hidden = graph.norm(x, f"{name}_layer_norm", n_state)
    query = graph.add("Reshape", graph.linear(hidden, f"{name}.q_proj", n_state, n_state), "by_window")
    is_int8 = isinstance(graph, QuantizedBuilder)
    if is_int8:
        query = graph.add("Mul", query, f"key_scales.{layer}")
    caches, num_heads = [f"cross_keys.{layer}", f"cross_values.{layer}"], config.n_text_head
    unit_scale, bits = (graph.constant(np.ones(1, np.float32)), 8) if is_int8 else ("", 0)
    kind = "PER_TENSOR" if is_int8 else "NONE"
    lengths, no_inputs = ("cross_last_positions", graph.constant(np.int32(config.n_audio_ctx))), [""] * 5
    attended = graph.add(
        "GroupQueryAttention", query, "no_tokens", "no_tokens", *caches, *lengths, *no_inputs, unit_scale,
        unit_scale, num_heads=num_heads, kv_num_heads=num_heads, causal=0, qk_output=AFTER_SOFTMAX, k_quant_type=kind,
        v_quant_type=kind, kv_cache_bit_width=bits, domain=FUSED,
    )  # fmt: skip
    weights = f"{name}.weights"
    graph.nodes[-1].output.extend([*(f"new_{cache}" for cache in caches), weights])
    if is_int8:
        attended = graph.add("Mul", attended, f"value_scales.{layer}")
    return graph.project(x, attended, name, n_state), weights


def _report_attention(graph: GraphBuilder, config: WhisperConfig, attention: list[str]) -> None:
    """The output `attention`: weights of the alignment heads, from those of each layer."""
    layers = sorted({layer for layer, _ in config.alignment_heads})
    attended = [graph.add("Gather", attention[layer], "attended", axis=2) for layer in layers]
    heads = [layers.index(layer) * config.n_text_head + head for layer, head in config.alignment_heads]
    graph.add("Gather", graph.add("Concat", *attended, axis=1), graph.integers(*heads), axis=1, result="attention")
