"""Random checkpoints of the golden shapes. Collects no tests without torch, which the default tests do not need."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.engines.golden_tokens import SEED, SHAPES
from tests.engines.whisper_checkpoints import write_checkpoint

if find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write_checkpoint(root / name, shape, SEED) for name, shape in SHAPES.items()}
