"""Silero's voice activity model (MIT, silero-vad 6.2.1) over many chunks at once: (n_chunks,) probabilities of speech.

Its file, unchanged, runs one chunk a call. The weights are read from it into a graph over a sequence of chunks, five
times as fast: the convolutions become matrix products, and the Fourier transform is numpy's.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from asr_api.onnx_runtime import load_onnx_runtime
from asr_api.pcm import Pcm

Floats = NDArray[np.float32]

MODEL = Path(__file__).with_name("silero_vad_16k_op15.onnx")
CHUNK_SAMPLES = 512
CONTEXT_SAMPLES = 64  # of the chunk before
FRAME_SAMPLES, HOP_SAMPLES = 256, 128
N_FRAMES, N_BINS = 4, FRAME_SAMPLES // 2 + 1
N_STATE = 128
INT16_RANGE = np.float32(32768)
OPSET, IR_VERSION = 20, 10


class SileroVad:
    """The model on a stream of PCM: it remembers what came before. Not for several threads at once."""

    def __init__(self) -> None:
        self._session = _session()
        self.reset()

    def reset(self) -> None:
        """As before the first chunk."""
        self._context = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._state = np.zeros((2, 1, 1, N_STATE), np.float32)

    def probabilities(self, pcm: Pcm) -> Floats:
        """pcm: (n_chunks * 512,) int16, at least one chunk. Returns (n_chunks,) in [0, 1]."""
        samples = np.concatenate((self._context, pcm.astype(np.float32) / INT16_RANGE))
        inputs = {"magnitudes": _magnitudes(samples), "h": self._state[0], "c": self._state[1]}
        probabilities, hidden, cell = self._session.run(None, inputs)
        self._context = samples[-CONTEXT_SAMPLES:]
        self._state = np.stack((hidden, cell))
        result: Floats = probabilities
        return result


def _magnitudes(samples: Floats) -> Floats:
    """(n_chunks, 4 * 129) magnitudes of the four frames of each chunk, the last one mirrored at the chunk's end.

    samples: the context, then whole chunks
    """
    chunks = sliding_window_view(samples, CONTEXT_SAMPLES + CHUNK_SAMPLES)[::CHUNK_SAMPLES]
    padded = np.concatenate((chunks, chunks[:, -2 : -CONTEXT_SAMPLES - 2 : -1]), axis=1)
    frames = sliding_window_view(padded, FRAME_SAMPLES, axis=1)[:, ::HOP_SAMPLES]
    spectrum = np.fft.rfft(frames * _window())
    return np.abs(spectrum).astype(np.float32, copy=False).reshape(len(chunks), N_FRAMES * N_BINS)


@lru_cache
def _window() -> Floats:
    """Periodic Hann window."""
    phase = 2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


@lru_cache
def _session() -> Any:  # an InferenceSession, which several streams may run at once
    onnxruntime = load_onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(_sequence_graph(), options, providers=["CPUExecutionProvider"])


def _sequence_graph() -> bytes:
    """magnitudes (n, 516), h and c (1, 1, 128) → probabilities (n,), h and c after the last chunk."""
    weights = {weight.name: numpy_helper.to_array(weight) for weight in onnx.load(str(MODEL)).graph.initializer}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[np.generic]] = {}

    def add(op: str, *inputs: str) -> str:
        nodes.append(helper.make_node(op, inputs, [f"{op}{len(nodes)}"]))
        return str(nodes[-1].output[0])

    def constant(name: str, values: NDArray[np.generic]) -> str:
        constants[name] = values
        return name

    hidden, n_positions = "magnitudes", N_FRAMES
    for layer, stride in enumerate((1, 2, 2, 1)):
        name = f"model.encoder.{layer}.reparam_conv"
        matrix, bias = _as_matrix(weights[f"{name}.weight"], weights[f"{name}.bias"], n_positions, stride)
        hidden = add("Relu", add("Gemm", hidden, constant(f"w{layer}", matrix), constant(f"b{layer}", bias)))
        n_positions = -(-n_positions // stride)
    gates = [weights[f"model.decoder.rnn.{part}"] for part in ("weight_ih", "weight_hh")]
    biases = np.concatenate([weights[f"model.decoder.rnn.{part}"] for part in ("bias_ih", "bias_hh")])
    parameters = [constant("w", _onnx_order(gates[0])[None]), constant("r", _onnx_order(gates[1])[None])]
    parameters.append(constant("b", np.concatenate([_onnx_order(part) for part in np.split(biases, 2)])[None]))
    rows = add("Unsqueeze", hidden, constant("batch_axis", np.array([1])))  # (n, 1, 128)
    nodes.append(helper.make_node("LSTM", [rows, *parameters, "", "h", "c"], ["y", "hn", "cn"], hidden_size=N_STATE))
    last = add("Relu", add("Squeeze", "y", constant("lstm_axes", np.array([1, 2]))))
    weight, bias = weights["model.decoder.decoder.2.weight"], weights["model.decoder.decoder.2.bias"]
    logits = add("Gemm", last, constant("w_out", weight[:, :, 0].T), constant("b_out", bias))
    nodes.append(
        helper.make_node("Squeeze", [add("Sigmoid", logits), constant("out_axis", np.array([1]))], ["probabilities"])
    )
    floats, state = TensorProto.FLOAT, [1, 1, N_STATE]
    graph = helper.make_graph(
        nodes,
        "silero-vad-sequence",
        [helper.make_tensor_value_info("magnitudes", floats, ["n", N_FRAMES * N_BINS])]
        + [helper.make_tensor_value_info(name, floats, state) for name in ("h", "c")],
        [helper.make_tensor_value_info("probabilities", floats, ["n"])]
        + [helper.make_tensor_value_info(name, floats, state) for name in ("hn", "cn")],
        [numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized


def _as_matrix(kernel: Floats, bias: Floats, n_positions: int, stride: int) -> tuple[Floats, Floats]:
    """A convolution over few positions, padded by one zero on both sides, as one matrix (n_in, n_out) and its bias.

    kernel: (n_out, n_in, 3)
    """
    n_out, n_in, _ = kernel.shape
    n_results = -(-n_positions // stride)
    matrix = np.zeros((n_positions, n_in, n_results, n_out), np.float32)
    for result in range(n_results):
        for tap in range(3):
            position = result * stride + tap - 1
            if 0 <= position < n_positions:
                matrix[position, :, result] = kernel[:, :, tap].T
    return matrix.reshape(n_positions * n_in, n_results * n_out), np.tile(bias, n_results)


def _onnx_order(gates: Floats) -> Floats:
    """Rows in ONNX's order of the gates (input, output, forget, cell), from PyTorch's (input, forget, cell, output)."""
    entry, forget, cell, output = np.split(gates, 4)
    return np.concatenate((entry, output, forget, cell))
