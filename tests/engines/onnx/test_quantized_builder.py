"""Linear layers in 8 bits: close to the exact product, rows independent, and within 16 bits in the reduced range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.safetensors import SafetensorsReader
from asr_api.engines.cpu import has_exact_byte_products
from asr_api.engines.onnx.graph_builder import floats
from asr_api.engines.onnx.quantized_builder import LIMIT, REDUCED_LIMIT, QuantizedBuilder
from asr_api.engines.onnx.session import Session
from tests.engines.whisper_checkpoints import write_safetensors

N_IN, N_OUT = 96, 40
RANDOM = np.random.RandomState(6)
WEIGHT = (RANDOM.standard_normal((N_OUT, N_IN)) * RANDOM.uniform(0.01, 10, (N_OUT, 1))).astype(np.float32)
BIAS = RANDOM.randint(-4, 5, N_OUT).astype(np.float32)  # the same in 16 bits


@pytest.fixture(params=["float32", "float16", "bfloat16"])
def weights(request: pytest.FixtureRequest, tmp_path: Path) -> SafetensorsReader:
    write_safetensors(tmp_path / "model.safetensors", {"layer.weight": WEIGHT, "layer.bias": BIAS}, request.param)
    return SafetensorsReader(tmp_path)


def multiply(x: np.ndarray, weights: SafetensorsReader, limit: int = LIMIT) -> np.ndarray:
    builder = QuantizedBuilder(weights, limit)
    builder.add("Identity", builder.linear("x", "layer", N_IN, N_OUT), result="y")
    graph = builder.build("one", [floats("x", "rows", N_IN)], [floats("y", "rows", N_OUT)])
    integers = next(weight.values for weight in graph.weights if weight.name == "layer.weight.int8")
    assert np.abs(integers.astype(int)).max() == limit
    y = np.full((len(x), N_OUT), np.nan, np.float32)
    Session(graph, 1).call({"x": x}, {"y": y}).run()
    return y


@pytest.mark.parametrize(("limit", "error"), [(LIMIT, 0.015), (REDUCED_LIMIT, 0.025)])
def test_rows_of_any_magnitude_are_close_to_the_exact_product(
    weights: SafetensorsReader, limit: int, error: float
) -> None:
    assert 2 * 255 * REDUCED_LIMIT < 2**15
    if limit == LIMIT and not has_exact_byte_products():
        pytest.skip("this processor adds pairs of products in 16 bits; the engine uses the reduced range")
    x = (RANDOM.standard_normal((7, N_IN)) * 10.0 ** np.arange(-3, 4)[:, None]).astype(np.float32)
    x[0] = 0
    y, expected = multiply(x, weights, limit), x @ WEIGHT.T
    np.testing.assert_allclose(y[0], BIAS, atol=0.01)
    for row, true in zip(y[1:] - BIAS, expected[1:], strict=True):
        share = np.linalg.norm((row - true) / np.linalg.norm(WEIGHT, axis=1))
        assert share < error * np.linalg.norm(true / np.linalg.norm(WEIGHT, axis=1)) + 1e-4


def test_row_is_independent_of_other_rows(weights: SafetensorsReader) -> None:
    x = RANDOM.standard_normal((17, N_IN)).astype(np.float32)
    together = multiply(x, weights)
    for index in range(len(x)):
        np.testing.assert_array_equal(multiply(x[index : index + 1], weights)[0], together[index])
