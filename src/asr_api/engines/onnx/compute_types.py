"""Compute types on a CPU: chooses one for COMPUTE_TYPE and the processor; opens the encoder and builder for it."""

from __future__ import annotations

from asr_api.engines.checkpoints.checkpoint import TensorReader
from asr_api.engines.cpu import has_bfloat16_products, has_exact_byte_products
from asr_api.engines.onnx import openvino_encoder
from asr_api.engines.onnx.encoder_graph import Encoder, OnnxEncoder
from asr_api.engines.onnx.graph_builder import GraphBuilder
from asr_api.engines.onnx.quantized_builder import LIMIT, REDUCED_LIMIT, QuantizedBuilder
from asr_api.engines.protocol import ComputeType, EngineOptions
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.errors import SettingsError


def choose_compute_type(requested: ComputeType) -> ComputeType:
    """Never `auto`. Raises SettingsError when the processor or the installation does not support the requested type."""
    if requested == "auto":
        return "int8_bfloat16" if has_bfloat16_products() and openvino_encoder.is_installed() else "int8"
    if requested == "int8_bfloat16" and not has_bfloat16_products():
        raise SettingsError("COMPUTE_TYPE is 'int8_bfloat16', and this processor has no AMX; use auto or int8.")
    if requested == "int8_bfloat16" and not openvino_encoder.is_installed():
        raise SettingsError(
            f"COMPUTE_TYPE is 'int8_bfloat16', which needs {openvino_encoder.INSTALL}; or use auto or int8."
        )
    return requested


def open_builder(weights: TensorReader, compute_type: ComputeType) -> GraphBuilder:
    if compute_type == "float32":
        return GraphBuilder(weights)
    return QuantizedBuilder(weights, LIMIT if has_exact_byte_products() else REDUCED_LIMIT)


def open_encoder(config: WhisperConfig, weights: TensorReader, compute_type: ComputeType, num_threads: int) -> Encoder:
    if compute_type == "int8_bfloat16":
        return openvino_encoder.OpenVinoEncoder(config, weights, num_threads)
    return OnnxEncoder(config, open_builder(weights, compute_type), num_threads)


def notes(options: EngineOptions) -> tuple[str, ...]:
    """Lines to print at start."""
    lines = []
    if options.flash_attention_2:
        lines.append("FLASH_ATTENTION_2 has no effect on a CPU: it is a GPU kernel.")
    if options.compute_type == "auto" and has_bfloat16_products() and not openvino_encoder.is_installed():
        lines.append(
            f"This processor has AMX, with which the encoder takes a third of the time: {openvino_encoder.INSTALL}"
        )
    return tuple(lines)
