from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.errors import CheckpointError
from tests.engines.whisper_checkpoints import SMALL, SMALL_128, SMALL_EN, Shape, write_checkpoint


def change(path: Path, **changes: object) -> None:
    value = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {key: entry for key, entry in value.items() if entry is not ...}
    path.write_text(json.dumps(kept), encoding="utf-8")


@pytest.mark.parametrize("shape", [SMALL, SMALL_EN, SMALL_128])
def test_dimensions(tmp_path: Path, shape: Shape) -> None:
    config = read_whisper_config(open_checkpoint(write_checkpoint(tmp_path, shape)))
    assert (config.n_mels, config.n_state, config.n_vocab) == (shape.n_mels, shape.n_state, shape.n_vocab)
    assert (config.n_audio_head, config.n_audio_layer, config.n_audio_ctx) == (
        shape.n_head,
        shape.n_audio_layer,
        shape.n_audio_ctx,
    )
    assert (config.n_text_head, config.n_text_layer, config.n_text_ctx) == (
        shape.n_head,
        shape.n_text_layer,
        shape.n_text_ctx,
    )
    assert config.is_multilingual is shape.is_multilingual
    assert config.window_s == 3.0
    assert config.begin_suppress_tokens == (220, shape.end)
    assert config.max_initial_timestamp == 50


def test_defaults_for_older_checkpoints(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, SMALL)
    (tmp_path / "generation_config.json").unlink()
    change(tmp_path / "config.json", suppress_tokens=[3, -1, 4], begin_suppress_tokens=None)
    config = read_whisper_config(open_checkpoint(tmp_path))
    assert config.is_multilingual is False  # by the size of its vocabulary
    assert config.suppress_tokens == (3, 4)
    assert config.begin_suppress_tokens == ()
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
        ({"decoder_attention_heads": 5}, "decoder_attention_heads 5"),
    ],
)
def test_unsupported_config_is_refused(tmp_path: Path, changes: dict[str, object], named: str) -> None:
    write_checkpoint(tmp_path, SMALL)
    change(tmp_path / "config.json", **changes)
    with pytest.raises(CheckpointError, match=named) as caught:
        read_whisper_config(open_checkpoint(tmp_path))
    assert str(caught.value).endswith(".")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("language", ["hindi", "hi", "<|hi|>"])
def test_language_of_a_fine_tuned_checkpoint(tmp_path: Path, language: str) -> None:
    write_checkpoint(tmp_path, SMALL)
    change(tmp_path / "generation_config.json", language=language)
    assert read_whisper_config(open_checkpoint(tmp_path)).language == "hi"
    change(tmp_path / "generation_config.json", language="klingon")
    with pytest.raises(CheckpointError, match="klingon"):
        read_whisper_config(open_checkpoint(tmp_path))


@pytest.mark.parametrize("content", ["", "[]", "{", "\udcff"])
def test_invalid_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_whisper_config(open_checkpoint(tmp_path))


def test_alignment_heads(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, SMALL)
    assert read_whisper_config(open_checkpoint(tmp_path)).alignment_heads == ((1, 0), (1, 1))
    change(tmp_path / "generation_config.json", alignment_heads=[[1, 1], [0, 0]])
    assert read_whisper_config(open_checkpoint(tmp_path)).alignment_heads == ((0, 0), (1, 1))


@pytest.mark.parametrize("heads", [[[0, 2]], [[2, 0]], [[0]], [[-1, 0]], "all", [[0, 0], [0, 0]], [["0", 1]]])
def test_invalid_alignment_heads_are_refused(tmp_path: Path, heads: object) -> None:
    write_checkpoint(tmp_path, SMALL)
    change(tmp_path / "generation_config.json", alignment_heads=heads)
    with pytest.raises(CheckpointError, match="alignment_heads"):
        read_whisper_config(open_checkpoint(tmp_path))
