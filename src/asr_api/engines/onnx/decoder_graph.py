"""The decoder as a graph: some new tokens of each row → what may follow them.

    tokens, positions (rows, n_new)      num_seen (rows,): tokens before and with them, less 1; longest: most of all
    self_keys.{layer}, self_values.{layer} of rows, cross_keys.{layer}, cross_values.{layer} of windows
    → logits (n_wanted, n_vocab), attention (windows, n_aligned, n_attended, n_audio_ctx)

The new tokens' keys and values are written into the caches, so each comes out under its name with `new_` in front and
must be given its own place: nothing is copied. There are either many rows with one new token, each of a window of its
own: a step; or many rows of one window, with one token each; or many tokens of one row: a prompt, or a text whose
attention is wanted.
wanted:   which of the rows * n_new hidden states go to the vocabulary, the dearest layer of small models
attended: which of a window's tokens report how their alignment heads attend; none in a step
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from asr_api.engines.onnx.graph_builder import FUSED, Builder, Graph, floats, integers
from asr_api.engines.onnx.quantized_builder import QuantizedBuilder
from asr_api.engines.whisper.config import WhisperConfig

AFTER_SOFTMAX = 2  # of GroupQueryAttention's qk_output


@dataclass(frozen=True, slots=True)
class _Names:
    """Of what all layers share.

    by_row, by_window:   shapes, (rows or windows, tokens of each, n_state)
    no_tokens:           (windows, 0, n_state): cross-attention has no new keys
    all_heard, n_heard:  of num_seen and longest, for a window
    """

    by_row: str
    by_window: str
    no_tokens: str
    all_heard: str
    n_heard: str


def decoder_graph(config: WhisperConfig, build: Builder) -> Graph:
    n_state = config.n_state
    x = build.add(
        "Add",
        build.embed("decoder.embed_tokens.weight", "tokens", config.n_vocab, n_state),
        build.embed("decoder.embed_positions.weight", "positions", config.n_text_ctx, n_state),
    )
    names = _names(build, config, x)
    x = build.reshape(x, -1, n_state)
    attention = []
    for layer in range(config.n_text_layer):
        x = _self_attention(build, config, x, layer, names)
        x, where = _cross_attention(build, config, x, layer, names)
        x = build.mlp(x, f"decoder.layers.{layer}", n_state, config.n_text_hidden)
        attention.append(where)
    hidden = build.norm(build.add("Gather", x, "wanted"), "decoder.layer_norm", n_state)
    head = "decoder.embed_tokens" if config.is_tied else "proj_out"
    logits = build.linear(hidden, head, n_state, config.n_vocab, has_bias=False)
    build.add("Identity", logits, result="logits")
    _report_attention(build, config, attention)
    outputs = [
        floats("logits", "n_wanted", config.n_vocab),
        floats("attention", "windows", len(config.alignment_heads), "n_attended", config.n_audio_ctx),
        *_caches(config, build, "new_"),
    ]
    return build.graph("decoder", [*_inputs(), *_caches(config, build), *_scales(config, build)], outputs)


def _inputs() -> list[onnx.ValueInfoProto]:
    return [
        integers("tokens", "rows", "n_new"),
        integers("positions", "rows", "n_new"),
        integers("num_seen", "rows", bits=32),
        integers("longest", bits=32),
        integers("wanted", "n_wanted"),
        integers("attended", "n_attended"),
    ]


def _caches(config: WhisperConfig, build: Builder, prefix: str = "") -> list[onnx.ValueInfoProto]:
    n_head, d_head = config.n_text_head, config.n_state // config.n_text_head
    infos = []
    for layer in range(config.n_text_layer):
        for kind in ("keys", "values"):
            infos.append(floats(f"{prefix}self_{kind}.{layer}", "rows", n_head, config.n_text_ctx, d_head))
            name, dims = f"{prefix}cross_{kind}.{layer}", ("windows", n_head, config.n_audio_ctx, d_head)
            is_int8 = isinstance(build, QuantizedBuilder)
            infos.append(integers(name, *dims, bits=8) if is_int8 else floats(name, *dims))
    return infos


def _scales(config: WhisperConfig, build: Builder) -> list[onnx.ValueInfoProto]:
    if not isinstance(build, QuantizedBuilder):
        return []
    names = [f"{kind}_scales.{layer}" for layer in range(config.n_text_layer) for kind in ("key", "value")]
    return [floats(name, "windows", 1, config.n_state) for name in names]


def _names(build: Builder, config: WhisperConfig, x: str) -> _Names:
    """x: (rows, n_new, n_state)"""
    n_state = build.integers(config.n_state)
    windows = build.add("Shape", "cross_keys.0", start=0, end=1)
    by_window = build.add("Concat", windows, build.integers(-1), n_state, axis=0)
    grouped = build.add("Reshape", x, by_window)
    none = build.integers(0)
    return _Names(
        by_row=build.add("Shape", x),
        by_window=by_window,
        no_tokens=build.add("Slice", grouped, none, none, build.integers(1)),
        all_heard=build.add("Expand", build.constant(np.array([config.n_audio_ctx - 1], np.int32)), windows),
        n_heard=build.constant(np.int32(config.n_audio_ctx)),
    )


def _self_attention(build: Builder, config: WhisperConfig, x: str, layer: int, names: _Names) -> str:
    """x plus what it attends to among cached and new tokens."""
    n_state, name = config.n_state, f"decoder.layers.{layer}.self_attn"
    hidden = build.norm(x, f"{name}_layer_norm", n_state)
    parts = [build.linear(hidden, f"{name}.{part}_proj", n_state, n_state, has_bias=part != "k") for part in "qkv"]
    parts = [build.add("Reshape", part, names.by_row) for part in parts]
    caches, num_heads = [f"self_keys.{layer}", f"self_values.{layer}"], config.n_text_head
    said = build.add(
        "GroupQueryAttention", *parts, *caches, "num_seen", "longest",
        num_heads=num_heads, kv_num_heads=num_heads, domain=FUSED,
    )  # fmt: skip
    build.nodes[-1].output.extend(f"new_{cache}" for cache in caches)
    return _add_heard(build, config, x, said, name)


def _cross_attention(build: Builder, config: WhisperConfig, x: str, layer: int, names: _Names) -> tuple[str, str]:
    """x plus what it attends to in the audio; how much, (windows, n_head, tokens of each, n_ctx).

    In 8 bits the operator would have one scale for all windows; ours are in the queries and in the result.
    """
    n_state, name = config.n_state, f"decoder.layers.{layer}.encoder_attn"
    hidden = build.norm(x, f"{name}_layer_norm", n_state)
    query = build.add("Reshape", build.linear(hidden, f"{name}.q_proj", n_state, n_state), names.by_window)
    is_int8 = isinstance(build, QuantizedBuilder)
    if is_int8:
        query = build.add("Mul", query, f"key_scales.{layer}")
    caches, num_heads = [f"cross_keys.{layer}", f"cross_values.{layer}"], config.n_text_head
    one, bits = (build.constant(np.ones(1, np.float32)), 8) if is_int8 else ("", 0)
    kind = "PER_TENSOR" if is_int8 else "NONE"
    heard = build.add(
        "GroupQueryAttention", query, names.no_tokens, names.no_tokens, *caches, names.all_heard, names.n_heard,
        "", "", "", "", "", one, one, num_heads=num_heads, kv_num_heads=num_heads, causal=0, qk_output=AFTER_SOFTMAX,
        k_quant_type=kind, v_quant_type=kind, kv_cache_bit_width=bits, domain=FUSED,
    )  # fmt: skip
    where = f"{name}.where"
    build.nodes[-1].output.extend([*(f"new_{cache}" for cache in caches), where])
    if is_int8:
        heard = build.add("Mul", heard, f"value_scales.{layer}")
    return _add_heard(build, config, x, heard, name), where


def _add_heard(build: Builder, config: WhisperConfig, x: str, heard: str, name: str) -> str:
    """x plus the projection of what its heads heard."""
    heard = build.reshape(heard, -1, config.n_state)
    return build.add("Add", x, build.linear(heard, f"{name}.out_proj", config.n_state, config.n_state))


def _report_attention(build: Builder, config: WhisperConfig, attention: list[str]) -> None:
    """What the alignment heads attend to, from the attention of each layer."""
    layers = sorted({layer for layer, _ in config.alignment_heads})
    attended = [build.add("Gather", attention[layer], "attended", axis=2) for layer in layers]
    heads = [layers.index(layer) * config.n_text_head + head for layer, head in config.alignment_heads]
    build.add("Gather", build.add("Concat", *attended, axis=1), build.integers(*heads), axis=1, result="attention")
