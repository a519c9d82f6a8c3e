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
    (folder / "b.wav").write_bytes(wav(2, 22))
    (folder / "a.wav").write_bytes(wav(1, 11, word_s=2))
    (folder / "more" / "c.WAV").write_bytes(wav(3))
    (folder / ".trash" / "d.wav").write_bytes(wav(4))
    (folder / "notes.txt").write_text("not audio")
    return folder
