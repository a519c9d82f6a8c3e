"""Random Whisper checkpoints of the golden shapes, and the config and the tokenizer of the multilingual one."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.tokenizer import Tokenizer
from tests.engines.golden_tokens import SEED, SHAPES
from tests.engines.whisper_checkpoints import write_checkpoint


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write_checkpoint(root / name, shape, SEED) for name, shape in SHAPES.items()}


@pytest.fixture(scope="session")
def config(folders: dict[str, Path]) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(folders["multilingual"]))


@pytest.fixture(scope="session")
def tokenizer(folders: dict[str, Path]) -> Tokenizer:
    return Tokenizer(open_checkpoint(folders["multilingual"]).tokenizer)
