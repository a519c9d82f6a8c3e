"""Whisper checkpoints of true size that always say the same: so many tokens, whatever they hear.

The weights are random, but for the decoder's position embeddings: each is a large multiple of the embedding of the
token that shall follow there. So every engine writes the same text with all of its own rules, and none needs a hook.
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
LOUDNESS = 40  # of a position embedding, in multiples of what the layers add: they have no say
POSITIONS = "model.decoder.embed_positions.weight"


def write_rigged(folder: Path, shape: Shape, num_tokens: int) -> Path:
    """A checkpoint that says `num_tokens` tokens a window: a timestamp, text without repetitions, a timestamp."""
    write_checkpoint(folder, shape)
    path = folder / "model.safetensors"
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))

    def tensor(name: str) -> np.memmap:
        start, _ = header[name]["data_offsets"]
        return np.memmap(path, np.float32, "r+", 8 + header_bytes + start, tuple(header[name]["shape"]))

    embedding, positions = tensor("model.decoder.embed_tokens.weight"), tensor(POSITIONS)
    said = embedding[said_tokens(shape, num_tokens)]
    positions[: len(said)] = LOUDNESS * np.sqrt(shape.n_state) * said / np.linalg.norm(said, axis=1, keepdims=True)
    positions[len(said) :] = positions[len(said) - 1]
    positions.flush()
    return folder


def said_tokens(shape: Shape, num_tokens: int) -> list[int]:
    """What follows each position: language and task are the prompt's, so the text begins after the third."""
    first_stamp = shape.special("notimestamps") + 1
    text = np.random.default_rng(6).choice(np.arange(1000, shape.end), num_tokens - 2, replace=False).tolist()
    prompt = [shape.special("en"), shape.special("transcribe")]
    return [*prompt, first_stamp, *text, first_stamp + shape.n_audio_ctx, shape.end]
