"""Linear layers in 8 bits: weights once, as the graph is built, and activations as they come.

Each output of a weight and each row of an activation has a scale of its own: a loud row costs a quiet one nothing, and
what becomes of a row never depends on its neighbours. The rest of a graph stays float32. Knows nothing about Whisper.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from asr_api.engines.checkpoints.checkpoint import StoredTensor, TensorReader
from asr_api.engines.onnx.graph_builder import FUSED, Builder, NamedWeight

LIMIT = 127
REDUCED_LIMIT = 63  # 2 * 255 * 63 < 2^15: for processors that add pairs of products in 16 bits
GELU_FLOOR = 0.17  # its lowest value is -0.17
TINY = 1e-12  # of a scale, which must not be 0


class QuantizedBuilder(Builder):
    """limit: of the magnitude of a weight, LIMIT or REDUCED_LIMIT"""

    def __init__(self, weights: TensorReader, limit: int) -> None:
        super().__init__(weights)
        self._limit = limit
        self._lowest: dict[str, str] = {}  # activation → the magnitude of its most negative value, where it is known
        self._rows: dict[str, tuple[str, str]] = {}  # activation → its integers and the peaks of its rows

    def tensor(self, name: str, dims: tuple[int, ...]) -> StoredTensor:
        """Raises CheckpointError, too, when it holds what is no number: rounding would make one of it, unnoticed."""
        self._checkpoint.numbers(name, dims)
        return super().tensor(name, dims)

    def linear(self, x: str, name: str, n_in: int, n_out: int, *, has_bias: bool = True) -> str:
        step, middle = self.constant(np.float32(1 / LIMIT)), self.constant(np.uint8(LIMIT + 1))
        if x not in self._rows:  # layers that read the same share it
            scaled, peaks = self.scaled(x, -1)
            self._rows[x] = self.add("QuantizeLinear", scaled, step, middle), peaks
        integers, peaks = self._rows[x]
        weight, steps = self._quantized_weight(f"{name}.weight", n_out, n_in)
        product = self.add("MatMulIntegerToFloat", integers, weight, step, steps, middle, domain=FUSED)
        product = self.add("Mul", product, peaks)
        return self.add("Add", product, self.weight(f"{name}.bias", n_out)) if has_bias else product

    def gelu(self, x: str) -> str:
        result = super().gelu(x)
        self._lowest[result] = self.constant(np.float32(GELU_FLOOR))
        return result

    def scaled(self, x: str, axis: int) -> tuple[str, str]:
        """x divided by its largest magnitude along an axis; that magnitude."""
        axes = self.integers(axis)
        lowest = self._lowest.get(x) or self.add("Neg", self.add("ReduceMin", x, axes))
        peaks = self.add("Max", self.add("ReduceMax", x, axes), lowest, self.constant(np.float32(TINY)))
        return self.add("Div", x, peaks), peaks

    def _quantized_weight(self, name: str, n_out: int, n_in: int) -> tuple[str, str]:
        """Names of the integers, (n_in, n_out), and of the size of a step of each output, (n_out,)."""
        integers, steps = f"{name}.int8", f"{name}.steps"
        if integers not in self.weights:
            values = self._checkpoint.numbers(name, (n_out, n_in))
            sizes = np.maximum(np.abs(values).max(axis=1), np.float32(TINY)) / np.float32(self._limit)
            rounded = np.rint(values / sizes[:, None]).astype(np.int8)
            self.weights[integers] = NamedWeight(integers, TensorProto.INT8, np.ascontiguousarray(rounded.T))
            self.weights[steps] = NamedWeight(steps, TensorProto.FLOAT, sizes)
        return integers, steps
