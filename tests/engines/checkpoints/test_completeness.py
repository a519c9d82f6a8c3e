"""Every file that a checkpoint needs is found to be missing by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.completeness import missing_files
from tests.engines.checkpoints.fake_hub import WHOLE, write_files


@pytest.mark.parametrize("model_type", ["wav2vec2", "whisper"])
def test_a_vocabulary_alone_is_enough_for_other_models(model_type: str, tmp_path: Path) -> None:
    files = {"config.json": json.dumps({"model_type": model_type}).encode(), "vocab.json": b"{}"}
    missing = missing_files(write_files(tmp_path, files | {"model.safetensors": b""}))
    assert missing == ([] if model_type == "wav2vec2" else ["tokenizer.json"])


def test_every_shard_of_an_index_must_be_there(tmp_path: Path) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": dict(zip(["a", "b"], names, strict=True))}
    write_files(tmp_path, {**WHOLE, names[0]: b"", "model.safetensors.index.json": json.dumps(index).encode()})
    assert missing_files(tmp_path) == [names[1]]


@pytest.mark.parametrize("index", [b"{", b"[]", b"{}", b'{"weight_map": {}}', b'{"weight_map": 1}'])
def test_an_unreadable_index_is_named(tmp_path: Path, index: bytes) -> None:
    write_files(tmp_path, {**WHOLE, "model.safetensors.index.json": index})
    (missing,) = missing_files(tmp_path)
    assert "model.safetensors.index.json" in missing


@pytest.mark.parametrize("config", [b"{", b"[]", b"\xff"])
def test_an_unreadable_configuration_is_named(tmp_path: Path, config: bytes) -> None:
    (missing,) = missing_files(write_files(tmp_path, {**WHOLE, "config.json": config}))
    assert "config.json" in missing
