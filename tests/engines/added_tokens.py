"""Checkpoints with tokens behind the last timestamp, as adding tokens and resizing the embeddings leaves them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.engines.whisper_checkpoints import change_json, write_json, write_safetensors

EMBEDDING = "model.decoder.embed_tokens.weight"
GAIN = 1.15  # the model prefers a new token to the one that it resembles


def write_with_added_tokens(source: Path, folder: Path, words: Mapping[str, str], special: tuple[str, ...] = ()) -> int:
    """A copy of a checkpoint; returns the id of the first added token.

    words:   new token → the token of the vocabulary that it resembles, such as " half" → "Ġhalf"
    special: those of the new tokens that are special
    """
    shutil.copytree(source, folder)
    path, tokenizer = folder / "model.safetensors", json.loads((folder / "tokenizer.json").read_bytes())
    tensors = _read_tensors(path)
    table = tensors[EMBEDDING]
    vocab = tokenizer["model"]["vocab"]
    rows = np.stack([GAIN * table[vocab[like]] for like in words.values()])
    write_safetensors(path, tensors | {EMBEDDING: np.concatenate([table, rows])})
    change_json(folder / "config.json", vocab_size=len(table) + len(rows))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tokenizer["added_tokens"] += [
        {"id": len(table) + index, "content": word, "special": word in special, **flags}
        for index, word in enumerate(words)
    ]
    write_json(folder / "tokenizer.json", tokenizer)
    return len(table)


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
    """By the names of the file, as float32."""
    data = path.read_bytes()
    first = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:first])
    header.pop("__metadata__", None)
    types = {"F32": np.float32, "F16": np.float16}
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values = np.frombuffer(data[first + start : first + end], types[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"]).astype(np.float32)
    return tensors
