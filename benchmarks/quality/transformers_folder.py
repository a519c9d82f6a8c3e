"""Writes an opened Whisper checkpoint of any format as a folder of transformers: configuration, weights, tokenizer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

from asr_api.engines.checkpoints.checkpoint import Checkpoint
from tests.engines.whisper_checkpoints import Shape, tensor_shapes, write_json, write_safetensors


def write_transformers_folder(checkpoint: Checkpoint, folder: Path) -> None:
    """Weights are written last, so that a folder with weights is complete. Raises CheckpointError."""
    shapes = tensor_shapes(shape_of(checkpoint.config))
    tensors = {name: checkpoint.tensors.numbers(name.removeprefix("model."), dims) for name, dims in shapes}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", checkpoint.config)
    write_json(folder / "generation_config.json", checkpoint.generation_config)
    (folder / "tokenizer.json").write_bytes(checkpoint.tokenizer.tokenizer_json or b"")
    write_safetensors(folder / "model.safetensors", tensors)


def shape_of(config: dict[str, object]) -> Shape:
    def number(name: str) -> int:
        return cast("int", config[name])

    shape = Shape(
        n_mels=number("num_mel_bins"),
        n_state=number("d_model"),
        n_head=number("encoder_attention_heads"),
        n_audio_layer=number("encoder_layers"),
        n_text_layer=number("decoder_layers"),
        n_audio_ctx=number("max_source_positions"),
        n_text_ctx=number("max_target_positions"),
        n_text_tokens=0,
    )
    return replace(shape, n_text_tokens=number("vocab_size") - shape.n_vocab)
