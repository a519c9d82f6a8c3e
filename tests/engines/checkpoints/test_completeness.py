"""The names of the files that a folder lacks to be a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.completeness import check_complete, missing_files
from asr_api.errors import CheckpointError
from tests.engines.checkpoints.fake_hub import WHOLE, write_files


@pytest.mark.parametrize("model_type", ["wav2vec2", "whisper"])
def test_vocabulary_is_enough_for_other_models(model_type: str, tmp_path: Path) -> None:
    files = {"config.json": json.dumps({"model_type": model_type}).encode(), "vocab.json": b"{}"}
    missing = missing_files(write_files(tmp_path, files | {"model.safetensors": b""}))
    assert missing == ([] if model_type == "wav2vec2" else ["tokenizer.json"])


def test_missing_shard_is_named(tmp_path: Path) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": dict(zip(["a", "b"], names, strict=True))}
    write_files(tmp_path, {**WHOLE, names[0]: b"", "model.safetensors.index.json": json.dumps(index).encode()})
    assert missing_files(tmp_path) == [names[1]]


def test_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(CheckpointError, match=r"MODEL_ID=some/model cannot be read \(Permission denied\); check"):
        check_complete(tmp_path, "some/model")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *(("model.safetensors.index.json", index) for index in (b"{", b"[]", b"{}", b'{"weight_map": {}}')),
        ("model.safetensors.index.json", b'{"weight_map": 1}'),
        *(("config.json", config) for config in (b"{", b"[]", b"\xff")),
    ],
)
def test_unreadable_file_is_named(tmp_path: Path, file: str, content: bytes) -> None:
    (missing,) = missing_files(write_files(tmp_path, {**WHOLE, file: content}))
    assert file in missing
