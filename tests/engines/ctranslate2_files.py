"""Writes checkpoints in CTranslate2's format from those of transformers' names, in every type that the format has."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from tests.engines.whisper_checkpoints import Floats, write_json

CODES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4, "bfloat16": 5}
SETTINGS = {
    "suppress_ids": "suppress_tokens",
    "suppress_ids_begin": "begin_suppress_tokens",
    "alignment_heads": "alignment_heads",
}
Variables = dict[str, np.ndarray[Any, Any]]


def write_ctranslate2(source: Path, folder: Path, dtype: str = "float32") -> Path:
    """The checkpoint of `source`, a folder as transformers writes it, in another folder. dtype: of CODES"""
    folder.mkdir(parents=True, exist_ok=True)
    generation_config = json.loads((source / "generation_config.json").read_text())
    settings = {key: generation_config[name] for key, name in SETTINGS.items() if name in generation_config}
    write_json(folder / "config.json", settings)
    shutil.copy(source / "tokenizer.json", folder)
    write_model_file(folder / "model.bin", ctranslate2_variables(source), dtype)
    return folder


def ctranslate2_variables(source: Path) -> Variables:
    """CTranslate2's names; float32, and int16 or int8 for the scalars of the architecture."""
    config = read_whisper_config(open_checkpoint(source))
    tensors = open_checkpoint(source).tensors

    def get(name: str, *dims: int) -> Floats:
        return tensors.numbers(name, dims)

    d = config.n_state
    variables: Variables = {
        "encoder/num_heads": np.int16(config.n_audio_head),  # type: ignore[dict-item]
        "decoder/num_heads": np.int16(config.n_text_head),  # type: ignore[dict-item]
        "decoder/activation": np.int8(3),  # type: ignore[dict-item]
        "encoder/conv1/weight": get("encoder.conv1.weight", d, config.n_mels, 3),
        "encoder/conv1/bias": get("encoder.conv1.bias", d),
        "encoder/conv2/weight": get("encoder.conv2.weight", d, d, 3),
        "encoder/conv2/bias": get("encoder.conv2.bias", d),
        "encoder/position_encodings/encodings": get("encoder.embed_positions.weight", config.n_audio_ctx, d),
        "decoder/position_encodings/encodings": get("decoder.embed_positions.weight", config.n_text_ctx, d),
        "decoder/embeddings/weight": get("decoder.embed_tokens.weight", config.n_vocab, d),
    }
    if not config.is_tied:
        variables["decoder/projection/weight"] = get("proj_out.weight", config.n_vocab, d)
    for side, name, theirs, n_in, n_out, parts in _linear_layers(config):
        weights = [get(f"{name}{part}.weight", n_out, n_in) for part in parts]
        biases = [np.zeros(d, np.float32) if "k_proj" in part else get(f"{name}{part}.bias", n_out) for part in parts]
        variables[f"{side}/{theirs}/weight"] = np.concatenate(weights)
        variables[f"{side}/{theirs}/bias"] = np.concatenate(biases)
    for name, theirs in _norms(config):
        variables[f"{theirs}/gamma"], variables[f"{theirs}/beta"] = get(f"{name}.weight", d), get(f"{name}.bias", d)
    return dict(sorted(variables.items()))


def _linear_layers(config: WhisperConfig) -> Iterator[tuple[str, str, str, int, int, tuple[str, ...]]]:
    d = config.n_state
    for side, n_layer, hidden in (
        ("encoder", config.n_audio_layer, config.n_audio_hidden),
        ("decoder", config.n_text_layer, config.n_text_hidden),
    ):
        for layer in range(n_layer):
            name, theirs = f"{side}.layers.{layer}.", f"layer_{layer}"
            projections = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
            yield side, name, f"{theirs}/self_attention/linear_0", d, d, projections
            yield side, name, f"{theirs}/self_attention/linear_1", d, d, ("self_attn.out_proj",)
            if side == "decoder":
                yield side, name, f"{theirs}/attention/linear_0", d, d, ("encoder_attn.q_proj",)
                parts = ("encoder_attn.k_proj", "encoder_attn.v_proj")
                yield side, name, f"{theirs}/attention/linear_1", d, d, parts
                yield side, name, f"{theirs}/attention/linear_2", d, d, ("encoder_attn.out_proj",)
            yield side, name, f"{theirs}/ffn/linear_0", d, hidden, ("fc1",)
            yield side, name, f"{theirs}/ffn/linear_1", hidden, d, ("fc2",)


def _norms(config: WhisperConfig) -> Iterator[tuple[str, str]]:
    for side, n_layer in (("encoder", config.n_audio_layer), ("decoder", config.n_text_layer)):
        yield f"{side}.layer_norm", f"{side}/layer_norm"
        for layer in range(n_layer):
            ours, theirs = f"{side}.layers.{layer}", f"{side}/layer_{layer}"
            yield f"{ours}.self_attn_layer_norm", f"{theirs}/self_attention/layer_norm"
            yield f"{ours}.final_layer_norm", f"{theirs}/ffn/layer_norm"
            if side == "decoder":
                yield f"{ours}.encoder_attn_layer_norm", f"{theirs}/attention/layer_norm"


def write_model_file(path: Path, variables: Variables, dtype: str = "float32") -> None:
    """Norms, biases and positions of quantised files stay float32. A tied projection is an alias."""
    records: list[tuple[str, str, np.ndarray[Any, Any]]] = []
    for name, values in variables.items():
        records += _stored(name, np.asarray(values), dtype)
    aliases = [] if "decoder/projection/weight" in variables else [("weight", "weight")]
    if aliases and dtype in ("int8", "int16"):
        aliases.append(("weight_scale", "weight_scale"))
    with path.open("wb") as file:
        file.write(struct.pack("<I", 6) + _name("WhisperSpec") + struct.pack("<II", 3, len(records)))
        for name, code, values in records:
            dims = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
            file.write(_name(name) + dims + struct.pack("<BI", CODES[code], values.nbytes) + values.tobytes())
        file.write(struct.pack("<I", len(aliases)))
        for alias, name in aliases:
            file.write(_name(f"decoder/projection/{alias}") + _name(f"decoder/embeddings/{name}"))


def _stored(name: str, values: np.ndarray[Any, Any], dtype: str) -> Iterator[tuple[str, str, np.ndarray[Any, Any]]]:
    if values.ndim == 0 or values.dtype != np.float32:
        yield name, str(values.dtype), values
    elif dtype in ("int8", "int16") and name.endswith("/weight"):
        axes = tuple(range(1, values.ndim)) if dtype == "int8" else None
        scale = np.float32(127 if dtype == "int8" else 1024) / np.abs(values).max(axis=axes)
        wide = scale.reshape(-1, *[1] * (values.ndim - 1)) if dtype == "int8" else scale
        yield name, dtype, np.rint(values * wide).astype(dtype)
        yield f"{name}_scale", "float32", scale.astype(np.float32)
    elif dtype == "bfloat16":
        yield name, dtype, (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.uint16)
    else:
        stored = dtype if dtype == "float16" else "float32"
        yield name, stored, values.astype(stored)


def _name(name: str) -> bytes:
    return struct.pack("<H", len(name) + 1) + name.encode() + b"\0"
