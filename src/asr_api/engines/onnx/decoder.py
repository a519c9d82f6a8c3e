"""The decoder as a graph: some new tokens of each row → what may follow them.

    tokens, positions (rows, n_new)      mask (rows, 1, n_new, n_cached + n_new), 0 or -inf
    self_keys.{layer}, self_values.{layer} of rows, cross_keys.{layer}, cross_values.{layer} of windows
    → logits (n_wanted, n_vocab), new_keys and new_values (rows * n_new, n_layer * n_state),
      attention (windows, n_aligned, n_attended, n_audio_ctx)

The rows are the windows' in turn, the same number of each: a window's rows share one reading of what it heard. With one
new token this is a step, with more it reads a prompt, or a text whose attention is wanted. A step does not copy its
cache: the keys and values of new tokens are scored beside the cached ones and come out for the caller to store.
wanted:   which of the rows * n_new hidden states go to the vocabulary, the dearest layer of small models
attended: which of a window's tokens report how their alignment heads attend; none in a step
"""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto, helper

from asr_api.engines.onnx.builder import Builder, Graph, floats
from asr_api.engines.whisper.spec import WhisperSpec
from asr_api.engines.whisper.weights import Weights


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Names of shapes that are known when the graph runs.

    by_row, by_window: (rows or windows, tokens of each, n_head, d_head)
    seen:              (n_cached, n_new)
    """

    by_row: str
    by_window: str
    seen: str


def decoder_graph(spec: WhisperSpec, weights: Weights) -> Graph:
    build, n_state, n_head = Builder(weights), spec.n_state, spec.n_text_head
    d_head = n_state // n_head
    embedding = build.weight("decoder.embed_tokens.weight", spec.n_vocab, n_state)
    places = build.weight("decoder.embed_positions.weight", spec.n_text_ctx, n_state)
    x = build.add("Add", build.add("Gather", embedding, "tokens"), build.add("Gather", places, "positions"))
    x = build.reshape(x, -1, n_state)
    shapes = _shapes(build, n_head, d_head)
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["rows", "n_new"]),
        helper.make_tensor_value_info("positions", TensorProto.INT64, ["rows", "n_new"]),
        floats("mask", "rows", 1, "n_new", "n_seen"),
        helper.make_tensor_value_info("wanted", TensorProto.INT64, ["n_wanted"]),
        helper.make_tensor_value_info("attended", TensorProto.INT64, ["n_attended"]),
    ]
    new_keys, new_values, attention = [], [], []
    for layer in range(spec.n_text_layer):
        name = f"decoder.layers.{layer}"
        x, keys, values = _self_attention(build, spec, x, layer, shapes)
        x, heard_where = _cross_attention(build, spec, x, layer, shapes)
        x = build.mlp(x, name, n_state, spec.n_text_hidden)
        new_keys.append(keys)
        new_values.append(values)
        attention.append(heard_where)
        inputs += [
            floats(f"self_keys.{layer}", "rows", n_head, d_head, "n_cached"),
            floats(f"self_values.{layer}", "rows", n_head, "n_cached", d_head),
            floats(f"cross_keys.{layer}", "windows", n_head, d_head, spec.n_audio_ctx),
            floats(f"cross_values.{layer}", "windows", n_head, spec.n_audio_ctx, d_head),
        ]
    x = build.norm(build.add("Gather", x, "wanted"), "decoder.layer_norm", n_state)
    head = embedding if spec.is_tied else build.weight("proj_out.weight", spec.n_vocab, n_state)
    build.add("Gemm", x, head, transB=1, result="logits")
    build.add("Concat", *new_keys, axis=1, result="new_keys")
    build.add("Concat", *new_values, axis=1, result="new_values")
    _report_attention(build, spec, attention)
    outputs = [
        floats("logits", "n_wanted", spec.n_vocab),
        floats("new_keys", "rows * n_new", spec.n_text_layer * n_state),
        floats("new_values", "rows * n_new", spec.n_text_layer * n_state),
        floats("attention", "windows", len(spec.alignment_heads), "n_attended", spec.n_audio_ctx),
    ]
    return build.graph("decoder", inputs, outputs)


def _shapes(build: Builder, n_head: int, d_head: int) -> _Shapes:
    heads = build.integers(n_head, d_head)
    rows = build.add("Concat", build.add("Shape", "tokens"), heads, axis=0)
    num_windows = build.add("Shape", "cross_keys.0", start=0, end=1)
    windows = build.add("Concat", num_windows, build.integers(-1), heads, axis=0)
    n_cached, n_new = build.add("Shape", "self_keys.0", start=3, end=4), build.add("Shape", "tokens", start=1, end=2)
    return _Shapes(rows, windows, build.add("Concat", n_cached, n_new, axis=0))


def _self_attention(build: Builder, spec: WhisperSpec, x: str, layer: int, shapes: _Shapes) -> tuple[str, str, str]:
    """x plus what it attends to among cached and new tokens; the new keys and values, (rows * n_new, n_state)."""
    n_state = spec.n_state
    name = f"decoder.layers.{layer}.self_attn"
    hidden = build.norm(x, f"{name}_layer_norm", n_state)
    query = _query(build, spec, hidden, name, shapes.by_row)
    key = build.linear(hidden, f"{name}.k_proj", n_state, n_state, has_bias=False)
    value = build.linear(hidden, f"{name}.v_proj", n_state, n_state)
    keys, values = (build.add("Reshape", part, shapes.by_row) for part in (key, value))
    keys, values = build.add("Transpose", keys, perm=[0, 2, 3, 1]), build.add("Transpose", values, perm=[0, 2, 1, 3])
    scores = [build.add("MatMul", query, part) for part in (f"self_keys.{layer}", keys)]
    masked = build.add("Add", build.add("Concat", *scores, axis=-1), "mask")
    weights = build.add("Softmax", masked, axis=-1)  # (rows, n_head, n_new, n_cached + n_new)
    cached_weights, new_weights = build.split(weights, shapes.seen)
    heard = [
        build.add("MatMul", cached_weights, f"self_values.{layer}"),
        build.add("MatMul", new_weights, values),
    ]
    return _add_heard(build, spec, x, build.add("Add", *heard), name), key, value


def _cross_attention(build: Builder, spec: WhisperSpec, x: str, layer: int, shapes: _Shapes) -> tuple[str, str]:
    """x plus what it attends to in the audio; the weights, (windows, n_head, tokens of each, n_audio_ctx)."""
    name = f"decoder.layers.{layer}.encoder_attn"
    hidden = build.norm(x, f"{name}_layer_norm", spec.n_state)
    scores = build.add("MatMul", _query(build, spec, hidden, name, shapes.by_window), f"cross_keys.{layer}")
    weights = build.add("Softmax", scores, axis=-1)
    heard = build.add("MatMul", weights, f"cross_values.{layer}")
    return _add_heard(build, spec, x, heard, name), weights


def _report_attention(build: Builder, spec: WhisperSpec, weights: list[str]) -> None:
    """What the alignment heads attend to, from the weights of each layer."""
    layers = sorted({layer for layer, _ in spec.alignment_heads})
    attended = [build.add("Gather", weights[layer], "attended", axis=2) for layer in layers]
    heads = [layers.index(layer) * spec.n_text_head + head for layer, head in spec.alignment_heads]
    build.add("Gather", build.add("Concat", *attended, axis=1), build.integers(*heads), axis=1, result="attention")


def _query(build: Builder, spec: WhisperSpec, hidden: str, name: str, shape: str) -> str:
    """The scaled queries, (rows or windows, n_head, tokens of each, d_head)."""
    scale = (spec.n_state // spec.n_text_head) ** -0.5
    query = build.linear(hidden, f"{name}.q_proj", spec.n_state, spec.n_state, scale=scale)
    return build.add("Transpose", build.add("Reshape", query, shape), perm=[0, 2, 1, 3])


def _add_heard(build: Builder, spec: WhisperSpec, x: str, heard: str, name: str) -> str:
    """x plus the projection of what its heads heard, (…, n_head, …, d_head)."""
    heard = build.reshape(build.add("Transpose", heard, perm=[0, 2, 1, 3]), -1, spec.n_state)
    return build.add("Add", x, build.linear(heard, f"{name}.out_proj", spec.n_state, spec.n_state))
