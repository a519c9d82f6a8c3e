from __future__ import annotations

from pathlib import Path

import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.errors import CheckpointError
from tests.engines.whisper_checkpoints import SMALL, change_json, write_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path, SMALL)


def read(folder: Path) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(folder))


def test_defaults_for_older_checkpoints(folder: Path) -> None:
    (folder / "generation_config.json").unlink()
    change_json(folder / "config.json", suppress_tokens=[3, -1, 4], begin_suppress_tokens=None)
    config = read(folder)
    assert config.is_multilingual is False  # by the size of its vocabulary
    assert (config.suppress_tokens, config.begin_suppress_tokens) == ((3, 4), ())
    assert config.max_initial_timestamp == 50
    assert config.is_tied
    assert config.language is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "wav2vec2"}, "'wav2vec2'"),
        ({"model_type": ...}, "model_type"),
        ({"activation_function": "relu"}, "'relu'"),
        ({"d_model": ...}, "d_model"),
        ({"d_model": "64"}, "d_model"),
        ({"d_model": True}, "d_model"),
        ({"encoder_layers": -1}, "encoder_layers"),
        ({"decoder_layers": 2**30}, "decoder_layers is 1073741824, not a whole number from 1 to 1000"),
        ({"vocab_size": 10**60}, "vocab_size is 1000"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1, not true or false"),
        ({"decoder_attention_heads": 5}, "decoder_attention_heads 5"),
    ],
)
def test_unsupported_config_is_refused(folder: Path, changes: dict[str, object], named: str) -> None:
    change_json(folder / "config.json", **changes)
    with pytest.raises(CheckpointError, match=named) as caught:
        read(folder)
    assert str(caught.value).endswith(".")
    assert str(folder) not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("content", ["", "[]", "{", "\udcff"])
def test_invalid_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read(tmp_path)


@pytest.mark.parametrize("language", ["hindi", "hi", "<|hi|>"])
def test_language_of_a_fine_tuned_checkpoint(folder: Path, language: str) -> None:
    change_json(folder / "generation_config.json", language=language)
    assert read(folder).language == "hi"


def test_alignment_heads(folder: Path) -> None:
    assert read(folder).alignment_heads == ((1, 0), (1, 1))
    change_json(folder / "generation_config.json", alignment_heads=[[1, 1], [0, 0]])
    config = read(folder)
    assert (config.alignment_heads, config.notes) == (((0, 0), (1, 1)), ())


@pytest.mark.parametrize("heads", [[[7, 0], [10, 17], [25, 6]], [[0, 2]], [[2, 0]], [[0, 0], [7, 1]], [[10**60, 0]]])
def test_alignment_heads_of_a_deeper_teacher_are_replaced_with_a_note(folder: Path, heads: list[list[int]]) -> None:
    change_json(folder / "generation_config.json", alignment_heads=heads)
    config = read(folder)
    assert config.alignment_heads == ((1, 0), (1, 1))  # as without the setting
    (note,) = config.notes
    assert "2 layers with 2 heads" in note
    assert len(note) < 400


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("language", "klingon"),
        *(("alignment_heads", heads) for heads in ([[0]], [[-1, 0]], "all", [["0", 1]], [[0.0, 1]], [[True, 0]], 7)),
    ],
)
def test_invalid_generation_config_is_refused(folder: Path, key: str, value: object) -> None:
    change_json(folder / "generation_config.json", **{key: value})
    with pytest.raises(CheckpointError, match=key):
        read(folder)
