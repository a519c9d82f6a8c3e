"""ONNX graph builder: collects nodes, constants and named weights, and serialises the graph.

A weight is only named in the graph; its values stay in the mapped checkpoint. Building takes milliseconds, so graphs
are built at each start and never stored. Hidden states are (rows, n_state), because each linear layer is then one Gemm
on the weight as stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from asr_api.engines.checkpoints.checkpoint import TensorReader
from asr_api.engines.checkpoints.stored_tensor import StoredTensor, StoredValues, float_values
from asr_api.engines.whisper.config import LAYER_NORM_EPSILON

OPSET = 20  # the first with Gelu
FUSED = "com.microsoft"  # domain of ONNX Runtime's own operators
IR_VERSION = 10
ONNX_TYPES = {
    "F32": TensorProto.FLOAT,
    "F16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "I8": TensorProto.INT8,
}


@dataclass(frozen=True, slots=True, eq=False)
class NamedWeight:
    """A tensor that a session needs beside the graph."""

    name: str
    onnx_type: int  # of TensorProto
    values: StoredValues


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    model: bytes
    weights: tuple[NamedWeight, ...]


class GraphBuilder:
    """Nodes, constants and named weights of one graph; each call returns the name of its result."""

    def __init__(self, weights: TensorReader) -> None:
        self._checkpoint = weights
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, NamedWeight] = {}
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, op: str, *inputs: str, result: str = "", domain: str = "", **attributes: object) -> str:
        result = result or f"{op}.{len(self.nodes)}"
        node = helper.make_node(op, list(inputs), [result], domain=domain)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self.nodes.append(node)
        return result

    def read(self, name: str, dims: tuple[int, ...]) -> StoredTensor:
        """A tensor of the checkpoint."""
        return self._checkpoint.tensor(name, dims)

    def add_weight(self, name: str, onnx_type: int, values: StoredValues) -> str:
        """Each one must be used: ONNX Runtime drops those that are not, and then misses them."""
        self.weights[name] = NamedWeight(name, onnx_type, values)
        return name

    def weight(self, name: str, *dims: int) -> str:
        """A 16-bit tensor is converted once, when the session folds its constants, and one of integers here."""
        stored = self.read(name, dims)
        if stored.steps is not None:  # under another name, because embeddings are looked up in integers
            return self.add_weight(f"{name}.float32", TensorProto.FLOAT, float_values(stored, name))
        self.add_weight(name, ONNX_TYPES[stored.dtype], stored.values)
        return name if stored.dtype == "F32" else self.add("Cast", name, to=TensorProto.FLOAT)

    def embed(self, name: str, ids: str, *dims: int) -> str:
        """Rows of an embedding table. Only the rows are converted to float32, so that the table is never copied."""
        stored = self.read(name, dims)
        rows = self.add("Gather", self.add_weight(name, ONNX_TYPES[stored.dtype], stored.values), ids)
        if stored.dtype != "F32":
            rows = self.add("Cast", rows, to=TensorProto.FLOAT)
        if stored.steps is None:
            return rows
        steps = self.add_weight(f"{name}.steps", TensorProto.FLOAT, stored.steps[:, None])
        return self.add("Mul", rows, self.add("Gather", steps, ids))

    def constant(self, values: NDArray[np.generic] | np.generic) -> str:
        name = f"{values.dtype}{values.tolist()}"
        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def reshape(self, x: str, *dims: int) -> str:
        return self.add("Reshape", x, self.integers(*dims))

    def linear(self, x: str, name: str, n_in: int, n_out: int, *, has_bias: bool = True) -> str:
        """x: (rows, n_in)"""
        bias = [self.weight(f"{name}.bias", n_out)] if has_bias else []
        return self.add("Gemm", x, self.weight(f"{name}.weight", n_out, n_in), *bias, transB=1)

    def norm(self, x: str, name: str, n_state: int) -> str:
        scale, bias = self.weight(f"{name}.weight", n_state), self.weight(f"{name}.bias", n_state)
        return self.add("LayerNormalization", x, scale, bias, epsilon=LAYER_NORM_EPSILON)

    def qkv(self, x: str, name: str, n_state: int) -> list[str]:
        """Queries, keys and values of a self-attention, after its layer norm."""
        hidden = self.norm(x, f"{name}_layer_norm", n_state)
        return [self.linear(hidden, f"{name}.{part}_proj", n_state, n_state, has_bias=part != "k") for part in "qkv"]

    def project(self, x: str, attended: str, name: str, n_state: int) -> str:
        """x plus the output projection of attention heads."""
        projected = self.linear(self.reshape(attended, -1, n_state), f"{name}.out_proj", n_state, n_state)
        return self.add("Add", x, projected)

    def gelu(self, x: str) -> str:
        return self.add("Gelu", x)

    def mlp(self, x: str, name: str, n_state: int, n_hidden: int) -> str:
        """x plus its two-layer perceptron."""
        hidden = self.norm(x, f"{name}.final_layer_norm", n_state)
        hidden = self.gelu(self.linear(hidden, f"{name}.fc1", n_state, n_hidden))
        return self.add("Add", x, self.linear(hidden, f"{name}.fc2", n_hidden, n_state))

    def build(self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> Graph:
        weights = [_named_only(weight) for weight in self.weights.values()]
        graph = helper.make_graph(self.nodes, name, inputs, outputs, [*weights, *self.constants.values()])
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return Graph(model.SerializeToString(), tuple(self.weights.values()))


def floats(name: str, *dims: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims))


def integers(name: str, *dims: int | str, bits: int = 64) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, getattr(TensorProto, f"INT{bits}"), list(dims))


def _named_only(weight: NamedWeight) -> onnx.TensorProto:
    """A weight without values, marked as external data."""
    tensor = onnx.TensorProto(name=weight.name, dims=weight.values.shape, data_type=weight.onnx_type)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="checkpoint")
    return tensor
