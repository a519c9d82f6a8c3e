"""A graph and a checkpoint's tensors → an ONNX Runtime session on the processor.

Weights reach ONNX Runtime as the checkpoint stores them: a mapped float32 tensor is read from the page cache where it
lies, so starting writes nothing to disk. ONNX Runtime packs the big ones its own way and forgets the original.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from asr_api.engines.onnx.graph import Graph
from asr_api.engines.whisper.weights import Weights

Floats = NDArray[np.float32]
Array = NDArray[np.float32] | NDArray[np.int64]


class Session:
    """One graph, ready to run."""

    def __init__(self, graph: Graph, weights: Weights, num_threads: int) -> None:
        """Raises CheckpointError when a tensor is missing or of other dimensions."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        # Between two operators of one run threads wait actively, between runs they sleep: idle costs nothing.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3
        # ONNX Runtime keeps no reference to memory of ours, so what is not its own has to outlive the session.
        self._mapped: list[Floats] = []
        names = [weight.name for weight in graph.weights]
        values = [self._handed_over(weights.tensor(weight.name, weight.dims)) for weight in graph.weights]
        options.add_external_initializers(names, values)
        self._session = onnxruntime.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])

    def run(self, inputs: dict[str, Array]) -> list[Floats]:
        """All results, in the graph's order. Contiguous inputs are read in place."""
        results: list[Floats] = self._session.run(None, inputs)
        return results

    def run_into(self, inputs: dict[str, Array], results: dict[str, Floats]) -> None:
        """Writes the results into contiguous arrays of the right size, without a copy."""
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name, array in results.items():
            binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        self._session.run_with_iobinding(binding)

    def _handed_over(self, tensor: Floats) -> onnxruntime.OrtValue:
        if not tensor.flags.writeable:  # a view of the mapped file
            self._mapped.append(tensor)
            return onnxruntime.OrtValue.ortvalue_from_numpy(tensor)
        # Widened from 16 bits: given away, so that it is freed once packed.
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(tensor.shape, np.float32)
        value.update_inplace(tensor)
        return value
