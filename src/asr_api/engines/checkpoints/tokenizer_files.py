"""The tokenizer files of a checkpoint, as bytes, so that a format that packs them into one file can give them too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asr_api.engines.checkpoints.small_file import read_small_file

MAX_TOKENIZER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """Contents of the files by the names that the hub gives them; None for a file that the checkpoint does not have."""

    tokenizer_json: bytes | None = None  # the whole tokenizer; the others are an older layout, not needed with it
    vocab_json: bytes | None = None  # token → id
    merges_txt: bytes | None = None  # the merges of the byte-pair encoding, in order
    added_tokens_json: bytes | None = None  # special token → id


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Raises CheckpointError when a file is there and cannot be read."""
    if (tokenizer_json := _read(folder / "tokenizer.json")) is not None:
        return TokenizerFiles(tokenizer_json)
    return TokenizerFiles(
        vocab_json=_read(folder / "vocab.json"),
        merges_txt=_read(folder / "merges.txt"),
        added_tokens_json=_read(folder / "added_tokens.json"),
    )


def _read(path: Path) -> bytes | None:
    try:
        return read_small_file(path, MAX_TOKENIZER_BYTES)
    except FileNotFoundError:
        return None
