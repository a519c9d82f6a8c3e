"""Tensors of a CTranslate2 checkpoint under transformers' names: fused ones taken apart, integers with their steps.

CTranslate2 joins query, key and value of self-attention to one matrix, and key and value of cross-attention to another.
The bias of keys, which it fills with zeros, is never read: it has no effect on attention.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.checkpoints.ctranslate2.model_file import ModelFile, Variable
from asr_api.engines.checkpoints.stored_tensor import Dims, StoredTensor, check_dims, float_values, missing_tensor
from asr_api.errors import CheckpointError

# transformers' layer → CTranslate2's, which part of it, of how many. {side} is encoder or decoder.
LAYERS = {
    "self_attn.q_proj": ("self_attention/linear_0", 0, 3),
    "self_attn.k_proj": ("self_attention/linear_0", 1, 3),
    "self_attn.v_proj": ("self_attention/linear_0", 2, 3),
    "self_attn.out_proj": ("self_attention/linear_1", 0, 1),
    "self_attn_layer_norm": ("self_attention/layer_norm", 0, 1),
    "encoder_attn.q_proj": ("attention/linear_0", 0, 1),
    "encoder_attn.k_proj": ("attention/linear_1", 0, 2),
    "encoder_attn.v_proj": ("attention/linear_1", 1, 2),
    "encoder_attn.out_proj": ("attention/linear_2", 0, 1),
    "encoder_attn_layer_norm": ("attention/layer_norm", 0, 1),
    "fc1": ("ffn/linear_0", 0, 1),
    "fc2": ("ffn/linear_1", 0, 1),
    "final_layer_norm": ("ffn/layer_norm", 0, 1),
}
NORM_PARTS = {"weight": "gamma", "bias": "beta"}
SINGLE = {
    "encoder.embed_positions.weight": "encoder/position_encodings/encodings",
    "decoder.embed_positions.weight": "decoder/position_encodings/encodings",
    "decoder.embed_tokens.weight": "decoder/embeddings/weight",
    "proj_out.weight": "decoder/projection/weight",
}
IN_LAYER = re.compile(r"(encoder|decoder)\.layers\.(\d+)\.(.+)\.(weight|bias)")
OUTSIDE = re.compile(r"(encoder|decoder)\.(layer_norm|conv\d)\.(weight|bias)")


@dataclass(frozen=True, slots=True)
class _Place:
    """The rows of a variable that are one tensor: part `part` of `num_parts` equal ones."""

    variable: str
    part: int = 0
    num_parts: int = 1


class Ctranslate2Reader:
    """Implements `asr_api.engines.checkpoints.checkpoint.TensorReader`."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file

    def tensor(self, name: str, dims: Dims) -> StoredTensor:
        """Tensors in 16-bit integers, which no engine computes with, are given as F32."""
        place = _place(name)
        variable = self._file.variables.get(place.variable) if place else None
        if place is None or variable is None or not variable.dims:
            raise missing_tensor(name)
        rows, *rest = variable.dims
        check_dims(name, (rows // place.num_parts, *rest) if rows % place.num_parts == 0 else variable.dims, dims)
        values = self._file.values(variable, place.part * dims[0], dims[0])
        if variable.dtype not in ("I8", "I16"):
            return StoredTensor(_float_type(variable, name), values)  # type: ignore[arg-type]  # one of StoredValues
        steps = self._steps(place, variable, name)
        if variable.dtype == "I16":
            return StoredTensor("F32", values.astype(np.float32) * steps[0])
        return StoredTensor("I8", values, steps)  # type: ignore[arg-type]

    def numbers(self, name: str, dims: Dims) -> NDArray[np.float32]:
        return float_values(self.tensor(name, dims), name)

    def forget(self) -> None:
        self._file.forget()

    def _steps(self, place: _Place, variable: Variable, name: str) -> NDArray[np.float32]:
        """What one unit of each row is worth; the file has the inverse, one of each row in 8 bits, one in all in 16."""
        scale = self._file.variables.get(f"{place.variable}_scale")
        allowed = [(variable.dims[0],)] if variable.dtype == "I8" else [(), (1,)]
        if scale is None or scale.dtype != "F32" or scale.dims not in allowed:
            raise CheckpointError(
                f"The checkpoint's tensor {name} is of integers without scales that fit; fetch the checkpoint again."
            )
        num_rows = variable.dims[0] // place.num_parts
        rows = (place.part * num_rows, num_rows) if variable.dtype == "I8" else (0, 1)
        with np.errstate(all="ignore"):
            steps = np.reciprocal(self._file.values(scale, *rows).astype(np.float32))
        if not (np.isfinite(steps) & (steps > 0)).all():
            raise CheckpointError(
                f"The checkpoint's weights are broken: {name} has scales that are not positive numbers; fetch the "
                "checkpoint again."
            )
        return steps


def _place(name: str) -> _Place | None:
    if name in SINGLE:
        return _Place(SINGLE[name])
    if match := OUTSIDE.fullmatch(name):
        side, layer, part = match.groups()
        return _Place(f"{side}/{layer}/{NORM_PARTS[part] if layer == 'layer_norm' else part}")
    match = IN_LAYER.fullmatch(name)
    if match is None or match[3] not in LAYERS:
        return None
    side, index, layer, part = match.groups()
    theirs, number, num_parts = LAYERS[layer]
    part = NORM_PARTS[part] if theirs.endswith("layer_norm") else part
    return _Place(f"{side}/layer_{index}/{theirs}/{part}", number, num_parts)


def _float_type(variable: Variable, name: str) -> str:
    if variable.dtype == "I32":
        raise CheckpointError(
            f"The checkpoint's tensor {name} is of 32-bit integers, which no Whisper model has; fetch the checkpoint "
            "again."
        )
    return variable.dtype
