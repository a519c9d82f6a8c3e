"""Graph builder with linear layers in 8 bits: weights quantized when the graph is built, activations at run time.

Each output channel of a weight and each row of an activation has its own scale: a large row does not reduce the
precision of a small one, and the result of a row never depends on its neighbours. The rest of a graph stays float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from asr_api.engines.checkpoints.checkpoint import TensorReader
from asr_api.engines.checkpoints.stored_tensor import StoredTensor, float_values
from asr_api.engines.onnx.graph_builder import FUSED, GraphBuilder

LIMIT = 127
REDUCED_LIMIT = 63  # 2 * 255 * 63 < 2^15: for processors that add pairs of products in 16 bits
GELU_FLOOR = 0.17  # the lowest value of GELU is -0.17
MIN_SCALE = 1e-12  # a scale must not be 0


class QuantizedBuilder(GraphBuilder):
    """limit: largest magnitude of a quantized weight, LIMIT or REDUCED_LIMIT"""

    def __init__(self, weights: TensorReader, limit: int) -> None:
        super().__init__(weights)
        self._limit = limit
        self._lowest: dict[str, str] = {}  # activation → magnitude of its most negative value, where known
        self._rows: dict[str, tuple[str, str]] = {}  # activation → its integers and the peak of each row

    def read(self, name: str, dims: tuple[int, ...]) -> StoredTensor:
        """Raises CheckpointError, too, for NaN or infinity: quantization would turn them into numbers unnoticed."""
        stored = super().read(name, dims)
        if stored.steps is None:
            float_values(stored, name)
        return stored

    def linear(self, x: str, name: str, n_in: int, n_out: int, *, has_bias: bool = True) -> str:
        step, middle = self.constant(np.float32(1 / LIMIT)), self.constant(np.uint8(LIMIT + 1))
        if x not in self._rows:  # layers with the same input share its quantization
            scaled, peaks = self.scaled(x, -1)
            self._rows[x] = self.add("QuantizeLinear", scaled, step, middle), peaks
        integers, peaks = self._rows[x]
        weight, scales = self._quantized_weight(f"{name}.weight", n_out, n_in)
        product = self.add("MatMulIntegerToFloat", integers, weight, step, scales, middle, domain=FUSED)
        product = self.add("Mul", product, peaks)
        return self.add("Add", product, self.weight(f"{name}.bias", n_out)) if has_bias else product

    def gelu(self, x: str) -> str:
        result = super().gelu(x)
        self._lowest[result] = self.constant(np.float32(GELU_FLOOR))
        return result

    def scaled(self, x: str, axis: int) -> tuple[str, str]:
        """x divided by its peak, the largest magnitude along an axis; the peak."""
        axes = self.integers(axis)
        lowest = self._lowest.get(x) or self.add("Neg", self.add("ReduceMin", x, axes))
        peaks = self.add("Max", self.add("ReduceMax", x, axes), lowest, self.constant(np.float32(MIN_SCALE)))
        return self.add("Div", x, peaks), peaks

    def _quantized_weight(self, name: str, n_out: int, n_in: int) -> tuple[str, str]:
        """Names of the integers, (n_in, n_out), and of the scale of each output channel, (n_out,)."""
        integers, scales = f"{name}.int8", f"{name}.scales"
        if integers not in self.weights:
            rounded, steps = self._quantize(name, (n_out, n_in))
            self.add_weight(integers, TensorProto.INT8, np.ascontiguousarray(rounded.T))
            self.add_weight(scales, TensorProto.FLOAT, steps)
        return integers, scales

    def _quantize(self, name: str, dims: tuple[int, int]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The integers, (n_out, n_in), and what one unit of each row is worth; as stored where the file has them."""
        stored = self._checkpoint.tensor(name, dims)
        if stored.steps is not None and self._limit == LIMIT:
            return stored.values.view(np.int8), stored.steps
        values = float_values(stored, name)
        peaks = np.maximum(values.max(axis=1), -values.min(axis=1))
        steps = np.maximum(peaks, np.float32(MIN_SCALE)) / np.float32(self._limit)
        scaled = values / steps[:, None]
        return np.rint(scaled, out=scaled).astype(np.int8), steps
