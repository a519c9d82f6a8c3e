"""A tokenizer from vocabulary.json or vocabulary.txt alone: the merges of byte-pair encoding follow from the ids.

OpenAI's tokenizers number their tokens in the order of the merges, so a token is the merge of the two pieces into which
the merges before it join its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from asr_api.engines.checkpoints.json_file import parse_json_value
from asr_api.engines.checkpoints.small_file import read_small_file
from asr_api.engines.checkpoints.tokenizer_files import MAX_TOKENIZER_BYTES, TokenizerFiles
from asr_api.errors import CheckpointError

MAX_TOKEN_CHARS = 200  # the longest of OpenAI's has 128; finding the merges of one takes quadratic time
NAMES = ("vocabulary.json", "vocabulary.txt")
END = "<|endoftext|>"  # the first special token; those behind it are special, too


def read_vocabulary(folder: Path) -> TokenizerFiles:
    """Raises CheckpointError when there is no vocabulary, or it is not one of Whisper."""
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        raise CheckpointError("The checkpoint has no tokenizer.json and no vocabulary; fetch the checkpoint again.")
    try:
        data = read_small_file(path, MAX_TOKENIZER_BYTES)
        tokens = parse_json_value(data) if path.suffix == ".json" else data.decode().removesuffix("\n").split("\n")
        ids = _ids(tokens)
        pieces = list(ids)[: ids[END]]
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"The checkpoint's {path.name} is not a list of Whisper's tokens; fetch the checkpoint again."
        ) from error
    merges = "\n".join(f"{left} {right}" for left, right in _merges(pieces, ids))
    return TokenizerFiles(vocab_json=json.dumps(ids).encode(), merges_txt=merges.encode())


def _ids(tokens: object) -> dict[str, int]:
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise TypeError("not a list of texts")
    if max(map(len, tokens), default=0) > MAX_TOKEN_CHARS:
        raise ValueError("a token is too long")
    return {token: index for index, token in enumerate(tokens)}


def _merges(pieces: Sequence[str], ids: dict[str, int]) -> Iterator[tuple[str, str]]:
    for piece in pieces:
        parts = list(piece)
        while len(parts) > 2:
            rank, index = min((ids.get(a + b, len(ids)), i) for i, (a, b) in enumerate(pairwise(parts)))
            if rank >= ids[piece]:
                break
            parts[index : index + 2] = [parts[index] + parts[index + 1]]
        if len(parts) == 2:
            yield parts[0], parts[1]
