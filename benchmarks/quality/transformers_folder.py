"""Writes an opened Whisper checkpoint of any format as a folder of transformers: configuration, weights, tokenizer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from asr_api.engines.checkpoints.checkpoint import Checkpoint
from asr_api.text.languages import LANGUAGES
from tests.engines.whisper_checkpoints import Shape, tensor_shapes, write_json, write_safetensors

MIN_MULTILINGUAL = 51_865  # size of the vocabulary of the smallest multilingual model, one more than that of English
SPECIAL_TOKENS = {
    "bos_token_id": "endoftext",
    "eos_token_id": "endoftext",
    "pad_token_id": "endoftext",
    "decoder_start_token_id": "startoftranscript",
    "no_timestamps_token_id": "notimestamps",
    "prev_sot_token_id": "startofprev",
}


def write_transformers_folder(checkpoint: Checkpoint, folder: Path) -> None:
    """Weights are written last, so that a folder with weights is complete. Raises CheckpointError."""
    shapes = tensor_shapes(shape_of(checkpoint.config))
    tensors = {name: checkpoint.tensors.numbers(name.removeprefix("model."), dims) for name, dims in shapes}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", checkpoint.config | {"model_type": checkpoint.model_type})
    tokenizer_json = checkpoint.tokenizer.tokenizer_json or b"{}"
    (folder / "tokenizer.json").write_bytes(tokenizer_json)
    known = defaults(json.loads(tokenizer_json), cast("int", checkpoint.config["vocab_size"]))
    known["max_length"] = checkpoint.config["max_target_positions"]  # without it, generate ends after 20 tokens
    write_json(folder / "generation_config.json", known | checkpoint.generation_config)
    write_safetensors(folder / "model.safetensors", tensors)


def defaults(tokenizer: dict[str, Any], n_vocab: int) -> dict[str, object]:
    """What generate needs, and a checkpoint of another format may not have: ids of special tokens, and one limit."""
    ids = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", ())}
    found: dict[str, object] = {
        name: ids[f"<|{token}|>"] for name, token in SPECIAL_TOKENS.items() if f"<|{token}|>" in ids
    }
    found |= {"max_initial_timestamp_index": 50, "is_multilingual": n_vocab >= MIN_MULTILINGUAL}
    if n_vocab >= MIN_MULTILINGUAL:
        languages = (f"<|{code}|>" for code in LANGUAGES)
        found["lang_to_id"] = {token: ids[token] for token in languages if token in ids}
        found["task_to_id"] = {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")}
    return found


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
