"""Tokenizer files of a folder: the new layout, the older one, none."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_api.engines.checkpoints.tokenizer_files import TokenizerFiles, read_tokenizer_files
from asr_api.errors import CheckpointError
from tests.engines.checkpoints.fake_hub import write_files

OLDER = {"vocab.json": b"1", "merges.txt": b"2", "added_tokens.json": b"3"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tokenizer.json": b"0", **OLDER}, TokenizerFiles(b"0")),
        (OLDER, TokenizerFiles(None, b"1", b"2", b"3")),
        ({}, TokenizerFiles()),
    ],
)
def test_layouts(files: dict[str, bytes], expected: TokenizerFiles, tmp_path: Path) -> None:
    assert read_tokenizer_files(write_files(tmp_path, files)) == expected


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not a regular file"):
        read_tokenizer_files(tmp_path)
