"""The Whisper encoder in bfloat16 with OpenVINO: log-mel to keys and values of cross-attention in 8 bits.

For processors with AMX, which multiply bfloat16 matrices an order of magnitude faster than float32 ones; ONNX Runtime
has neither bfloat16 products nor bfloat16 attention. The package is optional (`asr-api[openvino]`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from asr_api.engines.checkpoints.checkpoint import TensorReader
from asr_api.engines.onnx.quantized_builder import LIMIT, MIN_SCALE
from asr_api.engines.onnx.session import Array
from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.config import LAYER_NORM_EPSILON, WhisperConfig
from asr_api.install_hint import install_command

INSTALL = install_command("openvino")
HEADS_FIRST = (0, 2, 1, 3)  # and back
DECOMPRESSION = "decompression_0"  # marks a conversion that OpenVINO must not compute ahead and store

_Node = Any  # OpenVINO's operators have no types


def is_installed() -> bool:
    return find_spec("openvino") is not None


class OpenVinoEncoder:
    """Implements `asr_api.engines.onnx.encoder_graph.Encoder` for KV caches in 8 bits."""

    def __init__(self, config: WhisperConfig, weights: TensorReader, num_threads: int) -> None:
        """Raises CheckpointError when a tensor is missing, has other dimensions or contains NaN or infinity."""
        openvino = load_openvino()
        self._wrap = openvino.Tensor
        compiled = openvino.Core().compile_model(
            _Graph(config, weights).model(),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16",
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": num_threads,
                "ENABLE_CPU_PINNING": False,  # other threads of this process need the same cores
            },
        )
        self._request = compiled.create_infer_request()

    def encode(self, log_mel: Floats, cross: Mapping[str, Array]) -> None:
        self._request.set_tensor("log_mel", self._wrap(log_mel[None], shared_memory=True))
        for name, array in cross.items():
            self._request.set_tensor(name, self._wrap(array, shared_memory=True))
        self._request.infer()


class _Graph:
    """`encoder_graph` in OpenVINO's operators; a node in, a node out. Hidden states: (1, n_ctx, n_state)"""

    def __init__(self, config: WhisperConfig, weights: TensorReader) -> None:
        self._openvino = load_openvino()
        self._op = self._openvino.opset13
        self._config = config
        self._weights = weights

    def model(self) -> Any:
        op, config = self._op, self._config
        log_mel = op.parameter([1, config.n_mels, config.n_frames], np.float32, name="log_mel")
        log_mel.output(0).set_names({"log_mel"})
        x = log_mel
        for index, n_in in ((1, config.n_mels), (2, config.n_state)):
            name = f"encoder.conv{index}"
            x = op.convolution(x, self._weight(f"{name}.weight", config.n_state, n_in, 3), [index], [1], [1], [1])
            x = op.add(x, op.constant(self._weights.numbers(f"{name}.bias", (config.n_state,))[:, None]))
            x = op.gelu(x, "erf")
        x = op.transpose(x, self._integers(0, 2, 1))
        x = op.add(x, self._weight("encoder.embed_positions.weight", config.n_audio_ctx, config.n_state))
        for layer in range(config.n_audio_layer):
            x = self._mlp(self._attention(x, f"encoder.layers.{layer}"), f"encoder.layers.{layer}")
        hidden = self._norm(x, "encoder.layer_norm")
        results = []
        for layer in range(config.n_text_layer):
            name = f"decoder.layers.{layer}.encoder_attn"
            keys = self._linear(hidden, f"{name}.k_proj", has_bias=False)
            results += self._store(keys, "key", layer)
            results += self._store(self._linear(hidden, f"{name}.v_proj"), "value", layer)
        return self._openvino.Model(results, [log_mel], "encoder")

    def _attention(self, x: _Node, name: str) -> _Node:
        op, config = self._op, self._config
        hidden, name = self._norm(x, f"{name}.self_attn_layer_norm"), f"{name}.self_attn"
        parts = [self._linear(hidden, f"{name}.{part}_proj", has_bias=part != "k") for part in "qkv"]
        attended = op.scaled_dot_product_attention(*(self._heads(part, config.n_audio_head) for part in parts))
        attended = op.transpose(attended, self._integers(*HEADS_FIRST))
        attended = op.reshape(attended, self._integers(1, config.n_audio_ctx, config.n_state), special_zero=False)
        return op.add(x, self._linear(attended, f"{name}.out_proj"))

    def _mlp(self, x: _Node, name: str) -> _Node:
        n_hidden = self._config.n_audio_hidden
        hidden = self._linear(self._norm(x, f"{name}.final_layer_norm"), f"{name}.fc1", n_out=n_hidden)
        return self._op.add(x, self._linear(self._op.gelu(hidden, "erf"), f"{name}.fc2", n_in=n_hidden))

    def _store(self, x: _Node, kind: str, layer: int) -> list[_Node]:
        """Keys or values and the scales of their channels, in the layout that the decoder reads."""
        op = self._op
        peaks = op.reduce_max(op.abs(x), self._integers(1), keep_dims=True)
        scales = op.multiply(op.maximum(peaks, op.constant(np.float32(MIN_SCALE))), op.constant(np.float32(1 / LIMIT)))
        rounded = op.convert(op.round(op.divide(x, scales), "half_to_even"), "i8")
        results = [self._heads(rounded, self._config.n_text_head), scales]
        for result, name in zip(results, (f"cross_{kind}s.{layer}", f"{kind}_scales.{layer}"), strict=True):
            result.output(0).set_names({name})
        return results

    def _linear(self, x: _Node, name: str, *, n_in: int = 0, n_out: int = 0, has_bias: bool = True) -> _Node:
        """n_in, n_out: n_state by default"""
        n_in, n_out = n_in or self._config.n_state, n_out or self._config.n_state
        product = self._op.matmul(x, self._weight(f"{name}.weight", n_out, n_in), False, True)
        return self._op.add(product, self._weight(f"{name}.bias", n_out)) if has_bias else product

    def _norm(self, x: _Node, name: str) -> _Node:
        n_state = self._config.n_state
        x = self._op.mvn(x, self._integers(-1), True, LAYER_NORM_EPSILON, "inside_sqrt")
        x = self._op.multiply(x, self._weight(f"{name}.weight", n_state))
        return self._op.add(x, self._weight(f"{name}.bias", n_state))

    def _heads(self, x: _Node, n_head: int) -> _Node:
        """(1, n_ctx, n_state) → (1, n_head, n_ctx, d_head)"""
        dims = self._integers(1, self._config.n_audio_ctx, n_head, self._config.n_state // n_head)
        return self._op.transpose(self._op.reshape(x, dims, special_zero=False), self._integers(*HEADS_FIRST))

    def _weight(self, name: str, *dims: int) -> _Node:
        """The mapped tensor itself, so that OpenVINO's own in bfloat16 is the only copy.

        Of a tensor stored in bfloat16, OpenVINO also keeps a float32 copy.
        """
        values, stored = self._weights.numbers(name, dims), self._weights.tensor(name, dims)
        if stored.dtype != "F16":
            return self._op.constant(values, shared_memory=True)
        converted = self._op.convert(self._op.constant(stored.values, shared_memory=True), "f32")
        converted.get_rt_info()[DECOMPRESSION] = ""
        return converted

    def _integers(self, *values: int) -> _Node:
        return self._op.constant(np.array(values, np.int64))


def load_openvino() -> Any:
    """Imports OpenVINO without its model conversion tools, which send telemetry when they are imported."""
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # None blocks the import
    import openvino
    import openvino.opset13

    return openvino
