"""A small multilingual checkpoint, its config and its tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.tokenizer import Tokenizer
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture(scope="session")
def config(small: Path) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(small))


@pytest.fixture(scope="session")
def tokenizer(small: Path) -> Tokenizer:
    return Tokenizer(read_tokenizer_files(small))
