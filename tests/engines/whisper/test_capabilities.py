from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.engines.protocol import EngineInfo
from asr_api.engines.whisper.capabilities import ENGLISH_ONLY, with_capabilities
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.tokenizer import Tokenizer
from tests.engines.whisper_checkpoints import SMALL, write_tokenizer_json

INFO = EngineInfo("model", "engine", "device", window_s=1.0, n_slots=4, can_sample=False, has_word_timestamps=False)
LANGUAGES = tuple(name.strip("<|>") for name in SMALL.specials[2:101])
MULTILINGUAL = dataclasses.replace(INFO, window_s=3.0, languages=LANGUAGES, can_sample=True, has_word_timestamps=True)


@pytest.mark.parametrize(
    ("changes", "missing_token", "expected"),
    [
        ({}, "", {}),
        (
            {"is_multilingual": False},
            "",
            {"languages": ("en",), "default_language": "en", "can_detect_language": False, "can_translate": False}
            | {"notes": (ENGLISH_ONLY,)},
        ),
        ({"language": "hi"}, "", {"default_language": "hi", "can_detect_language": False}),
        ({}, "translate", {"can_translate": False}),
        ({}, "startofprev", {"can_prompt": False}),
        ({"notes": ("A note.",)}, "", {"notes": ("A note.",)}),
    ],
)
def test_capabilities(
    config: WhisperConfig, tmp_path: Path, changes: dict[str, Any], missing_token: str, expected: dict[str, Any]
) -> None:
    write_tokenizer_json(tmp_path, SMALL)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace(f"<|{missing_token}|>", "<|unused|>"), encoding="utf-8")
    tokenizer = Tokenizer(read_tokenizer_files(tmp_path))
    info = with_capabilities(INFO, dataclasses.replace(config, **changes), tokenizer)
    assert info == dataclasses.replace(MULTILINGUAL, **expected)
