"""Rigged Whisper checkpoints of real size: every window gets the same number of tokens, whatever the audio.

The weights are random except for the decoder's position embeddings: each is a large multiple of the embedding of the
token that is to follow it. So every engine decodes the same text with its own logit filters, without any hook.

    python -m benchmarks.rigged small FOLDER

writes one of any shape in SHAPES; MODEL_ID=FOLDER then serves it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.engines.whisper_checkpoints import TINY, Shape, write_checkpoint

BASE = replace(TINY, n_state=512, n_head=8, n_audio_layer=6, n_text_layer=6)
SMALL = replace(TINY, n_state=768, n_head=12, n_audio_layer=12, n_text_layer=12)
MEDIUM = replace(TINY, n_state=1024, n_head=16, n_audio_layer=24, n_text_layer=24, dtype="float16")
LARGE = replace(MEDIUM, n_mels=128, num_languages=100, n_state=1280, n_head=20, n_audio_layer=32, n_text_layer=32)
TURBO = replace(LARGE, n_text_layer=4)
SHAPES = {"tiny": TINY, "base": BASE, "small": SMALL, "medium": MEDIUM, "turbo": TURBO, "large-v3": LARGE}
POSITION_GAIN = 40  # norm of a position embedding, in multiples of what the layers add, so that it alone decides
NUM_TOKENS = 100  # of a window, where nothing else is asked for
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
        return np.memmap(path, shape.dtype, "r+", 8 + header_bytes + start, tuple(header[name]["shape"]))

    embedding, positions = tensor("model.decoder.embed_tokens.weight"), tensor(POSITIONS)
    targets = embedding[tokens_by_position(shape, num_tokens)].astype(np.float32)
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


if __name__ == "__main__":
    name, folder = sys.argv[1:]
    write_rigged(Path(folder), SHAPES[name], NUM_TOKENS)
