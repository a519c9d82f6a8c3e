from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.engines.protocol import EngineInfo
from asr_api.engines.whisper.capabilities import with_capabilities
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.engines.whisper.tokenizer import Tokenizer
from tests.engines.whisper_checkpoints import SMALL, SMALL_EN, Shape, write_checkpoint

INFO = EngineInfo("model", "engine", "device", window_s=1.0, n_slots=4)


def info_of(folder: Path, shape: Shape, language: str | None = None) -> EngineInfo:
    write_checkpoint(folder, shape)
    config = dataclasses.replace(read_whisper_config(open_checkpoint(folder)), language=language)
    return with_capabilities(INFO, config, Tokenizer(read_tokenizer_files(folder)))


def test_multilingual(tmp_path: Path) -> None:
    info = info_of(tmp_path, SMALL)
    assert (info.model_id, info.n_slots, info.window_s) == ("model", 4, 3.0)
    assert len(info.languages) == 99
    assert info.default_language is None
    assert info.can_detect_language
    assert info.can_translate
    assert info.can_prompt
    assert info.can_sample
    assert info.has_word_timestamps


def test_english_only(tmp_path: Path) -> None:
    info = info_of(tmp_path, SMALL_EN)
    assert (info.languages, info.default_language) == (("en",), "en")
    assert not info.can_detect_language
    assert not info.can_translate


def test_fine_tuned_for_one_language(tmp_path: Path) -> None:
    info = info_of(tmp_path, SMALL, language="hi")
    assert info.default_language == "hi"
    assert not info.can_detect_language
    assert len(info.languages) == 99


@pytest.mark.parametrize(("token", "capability"), [("translate", "can_translate"), ("startofprev", "can_prompt")])
def test_missing_token(tmp_path: Path, token: str, capability: str) -> None:
    info_of(tmp_path, SMALL)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace(f"<|{token}|>", "<|unused|>"), encoding="utf-8")
    info = with_capabilities(
        INFO, read_whisper_config(open_checkpoint(tmp_path)), Tokenizer(read_tokenizer_files(tmp_path))
    )
    assert getattr(info, capability) is False
