"""The two graphs of a Whisper model, as serialised ONNX: the encoder, and one step of the decoder.

In go a WhisperSpec and its weights. A graph is a few kilobytes: a weight is only named in it, after the tensor in the
checkpoint, and its values stay where they are. Building takes milliseconds, so it is done at each start and never kept.

    encoder  log_mel (batch, n_mels, n_frames)              → cross_keys.{layer}, cross_values.{layer}
    decoder  tokens, positions (rows), self_mask, caches    → logits (rows, n_vocab), new_keys, new_values

Keys are kept transposed, (…, d_head, n_ctx), so that a query times the keys is a plain product. A step does not copy
its cache: the keys and values of the token at hand are scored beside the cached ones and come out for the caller to
store. Hidden states are (batch * n_ctx, n_state), for then each linear layer is one Gemm on the weight as stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from asr_api.engines.whisper.spec import WhisperSpec
from asr_api.engines.whisper.weights import Stored, Weights

OPSET = 20  # the first with Gelu
IR_VERSION = 10
EPSILON = 1e-5  # of every layer norm
ONNX_TYPES = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}


@dataclass(frozen=True, slots=True, eq=False)
class NamedWeight:
    """A tensor that a session must be given together with the graph. onnx_type: of TensorProto"""

    name: str
    onnx_type: int
    values: Stored


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    model: bytes
    weights: tuple[NamedWeight, ...]


class _Builder:
    """Nodes, constants and named weights of one graph; each call returns the name of its result."""

    def __init__(self, weights: Weights) -> None:
        self.checkpoint = weights
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, NamedWeight] = {}
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, op: str, *inputs: str, result: str = "", domain: str = "", **attributes: object) -> str:
        result = result or f"{op}.{len(self.nodes)}"
        node = helper.make_node(op, list(inputs), [result], domain=domain)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self.nodes.append(node)
        return result

    def weight(self, name: str, *dims: int) -> str:
        """A tensor of the checkpoint; one of 16 bits is widened, once, when the session folds its constants."""
        tensor = self.checkpoint.tensor(name, dims)
        self.weights[name] = NamedWeight(name, ONNX_TYPES[tensor.dtype], tensor.values)
        return name if tensor.dtype == "F32" else self.add("Cast", name, to=TensorProto.FLOAT)

    def integers(self, *values: int) -> str:
        name = f"i{list(values)}"
        self.constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def number(self, value: float) -> str:
        name = f"f{value}"
        self.constants[name] = numpy_helper.from_array(np.array(value, np.float32), name)
        return name

    def reshape(self, x: str, *dims: int, result: str = "") -> str:
        """A 0 keeps a dimension, a -1 is what is left."""
        return self.add("Reshape", x, self.integers(*dims), result=result)

    def linear(self, x: str, name: str, n_in: int, n_out: int, *, has_bias: bool = True) -> str:
        bias = [self.weight(f"{name}.bias", n_out)] if has_bias else []
        return self.add("Gemm", x, self.weight(f"{name}.weight", n_out, n_in), *bias, transB=1)

    def norm(self, x: str, name: str, n_state: int) -> str:
        scale, bias = self.weight(f"{name}.weight", n_state), self.weight(f"{name}.bias", n_state)
        return self.add("LayerNormalization", x, scale, bias, epsilon=EPSILON)

    def mlp(self, x: str, name: str, n_state: int, n_hidden: int) -> str:
        """x plus its two-layer perceptron."""
        hidden = self.norm(x, f"{name}.final_layer_norm", n_state)
        hidden = self.add("Gelu", self.linear(hidden, f"{name}.fc1", n_state, n_hidden))
        return self.add("Add", x, self.linear(hidden, f"{name}.fc2", n_hidden, n_state))

    def graph(self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> Graph:
        weights = [_named_only(weight) for weight in self.weights.values()]
        graph = helper.make_graph(self.nodes, name, inputs, outputs, [*weights, *self.constants.values()])
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return Graph(model.SerializeToString(), tuple(self.weights.values()))


def encoder_graph(spec: WhisperSpec, weights: Weights) -> Graph:
    """Log-mel to the keys and values that every decoder layer attends to."""
    build, n_state, n_ctx = _Builder(weights), spec.n_state, spec.n_audio_ctx
    x = "log_mel"
    for index, n_in in ((1, spec.n_mels), (2, n_state)):
        name = f"encoder.conv{index}"
        weight, bias = build.weight(f"{name}.weight", n_state, n_in, 3), build.weight(f"{name}.bias", n_state)
        x = build.add("Conv", x, weight, bias, pads=[1, 1], strides=[index])
        x = build.add("Gelu", x)  # (batch, n_state, n_frames / index)
    x = build.add("Transpose", x, perm=[0, 2, 1])
    x = build.add("Add", x, build.weight("encoder.embed_positions.weight", n_ctx, n_state))
    x = build.reshape(x, -1, n_state)
    for layer in range(spec.n_audio_layer):
        name = f"encoder.layers.{layer}"
        x = _encoder_attention(build, spec, x, name)
        x = build.mlp(x, name, n_state, spec.n_audio_hidden)
    x = build.norm(x, "encoder.layer_norm", n_state)  # the audio features
    n_head = spec.n_text_head
    d_head = n_state // n_head
    outputs = []
    for layer in range(spec.n_text_layer):
        name = f"decoder.layers.{layer}.encoder_attn"
        keys = build.linear(x, f"{name}.k_proj", n_state, n_state, has_bias=False)
        values = build.linear(x, f"{name}.v_proj", n_state, n_state)
        keys, values = (build.reshape(part, -1, n_ctx, n_head, d_head) for part in (keys, values))
        build.add("Transpose", keys, perm=[0, 2, 3, 1], result=f"cross_keys.{layer}")
        build.add("Transpose", values, perm=[0, 2, 1, 3], result=f"cross_values.{layer}")
        outputs += [
            _floats(f"cross_keys.{layer}", "batch", n_head, d_head, n_ctx),
            _floats(f"cross_values.{layer}", "batch", n_head, n_ctx, d_head),
        ]
    return build.graph("encoder", [_floats("log_mel", "batch", spec.n_mels, spec.n_frames)], outputs)


def _encoder_attention(build: _Builder, spec: WhisperSpec, x: str, name: str) -> str:
    """x plus what it attends to; ONNX Runtime's fused attention never holds the n_ctx by n_ctx scores."""
    n_state = spec.n_state
    hidden = build.norm(x, f"{name}.self_attn_layer_norm", n_state)
    name = f"{name}.self_attn"
    parts = [build.linear(hidden, f"{name}.{part}_proj", n_state, n_state, has_bias=part != "k") for part in "qkv"]
    parts = [build.reshape(part, -1, spec.n_audio_ctx, n_state) for part in parts]
    heard = build.add("MultiHeadAttention", *parts, num_heads=spec.n_audio_head, domain="com.microsoft")
    heard = build.reshape(heard, -1, n_state)
    return build.add("Add", x, build.linear(heard, f"{name}.out_proj", n_state, n_state))


def decoder_graph(spec: WhisperSpec, weights: Weights) -> Graph:
    """One token of each row to the logits of the next; rows are independent and at positions of their own."""
    build, n_state, n_head = _Builder(weights), spec.n_state, spec.n_text_head
    d_head = n_state // n_head
    embedding = build.weight("decoder.embed_tokens.weight", spec.n_vocab, n_state)
    positions = build.weight("decoder.embed_positions.weight", spec.n_text_ctx, n_state)
    x = build.add("Add", build.add("Gather", embedding, "tokens"), build.add("Gather", positions, "positions"))
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["rows"]),
        helper.make_tensor_value_info("positions", TensorProto.INT64, ["rows"]),
        _floats("self_mask", "rows", 1, 1, "n_cached"),
    ]
    new_keys, new_values = [], []
    for layer in range(spec.n_text_layer):
        name = f"decoder.layers.{layer}"
        x, key, value = _self_attention(build, spec, x, layer)
        x = _cross_attention(build, spec, x, layer)
        x = build.mlp(x, name, n_state, spec.n_text_hidden)
        new_keys.append(build.reshape(key, 1, -1, n_head, d_head))
        new_values.append(build.reshape(value, 1, -1, n_head, d_head))
        inputs += [
            _floats(f"self_keys.{layer}", "rows", n_head, d_head, "n_cached"),
            _floats(f"self_values.{layer}", "rows", n_head, "n_cached", d_head),
            _floats(f"cross_keys.{layer}", "rows", n_head, d_head, spec.n_audio_ctx),
            _floats(f"cross_values.{layer}", "rows", n_head, spec.n_audio_ctx, d_head),
        ]
    x = build.norm(x, "decoder.layer_norm", n_state)
    head = embedding if spec.is_tied else build.weight("proj_out.weight", spec.n_vocab, n_state)
    build.add("Gemm", x, head, transB=1, result="logits")
    build.add("Concat", *new_keys, axis=0, result="new_keys")
    build.add("Concat", *new_values, axis=0, result="new_values")
    outputs = [
        _floats("logits", "rows", spec.n_vocab),
        _floats("new_keys", spec.n_text_layer, "rows", n_head, d_head),
        _floats("new_values", spec.n_text_layer, "rows", n_head, d_head),
    ]
    return build.graph("decoder", inputs, outputs)


def _self_attention(build: _Builder, spec: WhisperSpec, x: str, layer: int) -> tuple[str, str, str]:
    """x plus what it attends to among the cached tokens and itself; also its own key and value."""
    n_state, n_head = spec.n_state, spec.n_text_head
    d_head = n_state // n_head
    name = f"decoder.layers.{layer}.self_attn"
    hidden = build.norm(x, f"{name}_layer_norm", n_state)
    query = _query(build, spec, hidden, name)
    key = build.linear(hidden, f"{name}.k_proj", n_state, n_state, has_bias=False)
    value = build.linear(hidden, f"{name}.v_proj", n_state, n_state)
    own_key = build.reshape(key, -1, n_head, d_head, 1)
    own_value = build.reshape(value, -1, n_head, 1, d_head)
    cached = build.add("Add", build.add("MatMul", query, f"self_keys.{layer}"), "self_mask")
    own = build.add("MatMul", query, own_key)  # (rows, n_head, 1, 1)
    weights = build.add("Softmax", build.add("Concat", cached, own, axis=-1), axis=-1)
    own_weight = build.add("Slice", weights, *(build.integers(number) for number in (-1, 2**31, -1)))
    cached_weights = build.add("Slice", weights, *(build.integers(number) for number in (0, -1, -1)))
    heard = build.add(
        "Add",
        build.add("MatMul", cached_weights, f"self_values.{layer}"),
        build.add("Mul", own_weight, own_value),
    )
    heard = build.reshape(heard, -1, n_state)
    return build.add("Add", x, build.linear(heard, f"{name}.out_proj", n_state, n_state)), key, value


def _cross_attention(build: _Builder, spec: WhisperSpec, x: str, layer: int) -> str:
    """x plus what it attends to in the audio."""
    n_state = spec.n_state
    name = f"decoder.layers.{layer}.encoder_attn"
    hidden = build.norm(x, f"{name}_layer_norm", n_state)
    scores = build.add("MatMul", _query(build, spec, hidden, name), f"cross_keys.{layer}")
    heard = build.add("MatMul", build.add("Softmax", scores, axis=-1), f"cross_values.{layer}")
    heard = build.reshape(heard, -1, n_state)
    return build.add("Add", x, build.linear(heard, f"{name}.out_proj", n_state, n_state))


def _query(build: _Builder, spec: WhisperSpec, hidden: str, name: str) -> str:
    """The scaled query, (rows, n_head, 1, d_head)."""
    d_head = spec.n_state // spec.n_text_head
    query = build.linear(hidden, f"{name}.q_proj", spec.n_state, spec.n_state)
    return build.reshape(build.add("Mul", query, build.number(d_head**-0.5)), -1, spec.n_text_head, 1, d_head)


def _floats(name: str, *dims: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims))


def _named_only(weight: NamedWeight) -> onnx.TensorProto:
    """A weight without values: ONNX's way to say that they come from elsewhere."""
    tensor = onnx.TensorProto(name=weight.name, dims=weight.values.shape, data_type=weight.onnx_type)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="checkpoint")
    return tensor
