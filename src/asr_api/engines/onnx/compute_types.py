"""Which numbers the engine computes with: COMPUTE_TYPE and the processor → an encoder, and the decoder's builder."""

from __future__ import annotations

from asr_api.engines.checkpoints.checkpoint import TensorReader
from asr_api.engines.cpu import has_bfloat16_products, has_exact_byte_products
from asr_api.engines.onnx import openvino_encoder as bfloat16
from asr_api.engines.onnx.encoder_graph import Encoder, OnnxEncoder
from asr_api.engines.onnx.graph_builder import Builder
from asr_api.engines.onnx.quantized_builder import LIMIT, REDUCED_LIMIT, QuantizedBuilder
from asr_api.engines.protocol import ComputeType, EngineOptions
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.errors import SettingsError


def chosen_type(wanted: ComputeType) -> ComputeType:
    """Never `auto`. Raises SettingsError when the processor or the installation lacks what is wanted."""
    if wanted == "auto":
        return "int8_bfloat16" if has_bfloat16_products() and bfloat16.is_installed() else "int8"
    if wanted == "int8_bfloat16" and not has_bfloat16_products():
        raise SettingsError("COMPUTE_TYPE is 'int8_bfloat16', and this processor has no AMX; use auto or int8.")
    if wanted == "int8_bfloat16" and not bfloat16.is_installed():
        raise SettingsError(f"COMPUTE_TYPE is 'int8_bfloat16', which needs {bfloat16.INSTALL}; or use auto or int8.")
    return wanted


def builder(weights: TensorReader, compute_type: ComputeType) -> Builder:
    if compute_type == "float32":
        return Builder(weights)
    return QuantizedBuilder(weights, LIMIT if has_exact_byte_products() else REDUCED_LIMIT)


def encoder(config: WhisperConfig, weights: TensorReader, compute_type: ComputeType, num_threads: int) -> Encoder:
    if compute_type == "int8_bfloat16":
        return bfloat16.OpenVinoEncoder(config, weights, num_threads)
    return OnnxEncoder(config, builder(weights, compute_type), num_threads)


def notes(options: EngineOptions) -> tuple[str, ...]:
    """What is worth saying at start."""
    found = []
    if options.flash_attention_2:
        found.append("FLASH_ATTENTION_2 has no effect on a CPU: it is a GPU kernel.")
    if options.compute_type == "auto" and has_bfloat16_products() and not bfloat16.is_installed():
        found.append(f"This processor has AMX, with which the encoder takes a third of the time: {bfloat16.INSTALL}")
    return tuple(found)
