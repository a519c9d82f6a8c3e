"""Tokenizer files of a folder: the new layout, the older one, none."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.errors import CheckpointError
from tests.engines.checkpoints.fake_hub import write_files

OLDER = {"vocab.json": b"1", "merges.txt": b"2", "added_tokens.json": b"3"}


def test_a_whole_tokenizer_goes_before_the_older_layout(tmp_path: Path) -> None:
    files = read_tokenizer_files(write_files(tmp_path, {"tokenizer.json": b"0", **OLDER}))
    assert (files.tokenizer_json, files.vocab_json, files.merges_txt, files.added_tokens_json) == (
        b"0",
        None,
        None,
        None,
    )


def test_the_older_layout_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    files = read_tokenizer_files(write_files(tmp_path, OLDER))
    assert (files.tokenizer_json, files.vocab_json, files.merges_txt, files.added_tokens_json) == (
        None,
        b"1",
        b"2",
        b"3",
    )


def test_files_that_are_not_there_are_none(tmp_path: Path) -> None:
    files = read_tokenizer_files(tmp_path)
    assert files.tokenizer_json is files.vocab_json is files.merges_txt is files.added_tokens_json is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read \(Is a directory\)"):
        read_tokenizer_files(tmp_path)
