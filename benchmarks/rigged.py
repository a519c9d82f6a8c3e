"""Rigged Whisper checkpoints of real size: every window gets the same number of tokens, whatever the audio.

The weights are random except for the decoder's position embeddings: each is a large multiple of the embedding of the
token that is to follow it. So every engine decodes the same text with its own logit filters, without any hook.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.engines.whisper_checkpoints import TINY, Shape, write_checkpoint

BASE = replace(TINY, n_state=512, n_head=8, n_audio_layer=6, n_text_layer=6)
SMALL = replace(TINY, n_state=768, n_head=12, n_audio_layer=12, n_text_layer=12)
SHAPES = {"tiny": TINY, "base": BASE, "small": SMALL}
POSITION_GAIN = 40  # norm of a position embedding, in multiples of what the layers add, so that it alone decides
POSITIONS = "model.decoder.embed_positions.weight"


def write_rigged(folder: Path, shape: Shape, num_tokens: int) -> Path:
    """A checkpoint with `num_tokens` tokens per window: a timestamp, text without repetitions, a timestamp."""
    write_checkpoint(folder, shape)
    path = folder / "model.safetensors"
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))

    def tensor(name: str) -> np.memmap:
        start, _ = header[name]["data_offsets"]
        return np.memmap(path, np.float32, "r+", 8 + header_bytes + start, tuple(header[name]["shape"]))

    embedding, positions = tensor("model.decoder.embed_tokens.weight"), tensor(POSITIONS)
    targets = embedding[tokens_by_position(shape, num_tokens)]
    positions[: len(targets)] = (
        POSITION_GAIN * np.sqrt(shape.n_state) * targets / np.linalg.norm(targets, axis=1, keepdims=True)
    )
    positions[len(targets) :] = positions[len(targets) - 1]
    positions.flush()
    return folder


def tokens_by_position(shape: Shape, num_tokens: int) -> list[int]:
    """The token after each position. Language and task are in the prompt, so the text begins after the third."""
    first_timestamp = shape.special("notimestamps") + 1
    text = np.random.default_rng(6).choice(np.arange(1000, shape.end), num_tokens - 2, replace=False).tolist()
    prompt = [shape.special("en"), shape.special("transcribe")]
    return [*prompt, first_timestamp, *text, first_timestamp + shape.n_audio_ctx, shape.end]
