"""ONNX Runtime sessions on the CPU: a graph with its weights, and calls that copy nothing.

Weights are read from the mapped checkpoint in the page cache; ONNX Runtime keeps a packed copy of the large ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.onnx.graph_builder import Graph
from asr_api.engines.whisper.arrays import Floats
from asr_api.onnx_runtime import load_onnx_runtime

Array = Floats | NDArray[np.int64] | NDArray[np.int32] | NDArray[np.int8]

SLOW_FUSION = "BiasGeluFusion"  # slower by half than an addition and a separate activation


class Session:
    def __init__(self, graph: Graph, num_threads: int) -> None:
        onnxruntime = load_onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        # Waiting threads sleep. Spinning gains little on an idle machine, and costs a step's time again and again when
        # decoding or serving needs a core: up to three times slower at 16 rows on two shared cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        # ONNX Runtime keeps no reference to the values, so they have to outlive the session.
        self._weights = graph.weights
        new_value = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type
        values = [new_value(weight.values, weight.onnx_type) for weight in graph.weights]
        options.add_external_initializers([weight.name for weight in graph.weights], values)
        self._session = onnxruntime.InferenceSession(
            graph.model, options, providers=["CPUExecutionProvider"], disabled_optimizers=[SLOW_FUSION]
        )

    def call(self, inputs: Mapping[str, Array], results: Mapping[str, Array]) -> Call:
        """inputs, results: contiguous arrays of the right size, read and written in place"""
        return Call(self._session, inputs, results)


class Call:
    """A call of a graph with bound arrays; each `run` reads them again."""

    def __init__(self, session: Any, inputs: Mapping[str, Array], results: Mapping[str, Array]) -> None:
        self._session = session
        self._arrays = (*inputs.values(), *results.values())  # ONNX Runtime keeps no reference to them
        self._binding, ort_value = session.io_binding(), load_onnx_runtime().OrtValue
        for name, array in inputs.items():
            self._binding.bind_cpu_input(name, array)
        for name, array in results.items():
            self._binding.bind_ortvalue_output(name, ort_value.ortvalue_from_numpy(array))

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)
