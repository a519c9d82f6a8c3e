"""Fixtures for tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.in_process import Cli
from tests.server.running import wav


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return Cli(capfd, monkeypatch, tmp_path)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    (folder / "more").mkdir(parents=True)
    (folder / ".trash").mkdir()
    audio = {"b.wav": wav(2, 22), "a.wav": wav(1, 11, word_s=2), "more/c.WAV": wav(3), ".trash/d.wav": wav(4)}
    for name, data in {**audio, "notes.txt": b"not audio"}.items():
        (folder / name).write_bytes(data)
    return folder
