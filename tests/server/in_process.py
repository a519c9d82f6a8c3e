"""The asr-api command run inside the test's process, with the scripted engine: quicker than a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from asr_api import compose
from asr_api.cli.main import main
from asr_api.engines.checkpoints.resolve import CheckpointFiles
from tests.engines.scripted import Script
from tests.loudness_detector import LoudnessDetector
from tests.server.scripted_server import open_scripted


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str


class Cli:
    """Runs the command in this process, with the scripted engine, in a folder of its own."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._capfd = capfd
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)
        monkeypatch.setenv("CACHE_DIR", str(folder))
        monkeypatch.setattr(compose, "SileroVad", LoudnessDetector)
        monkeypatch.setattr(compose, "resolve_checkpoint", lambda *_, **__: CheckpointFiles(folder))

    def run(self, *arguments: str, script: Script = Script()) -> Ended:  # noqa: B008  # frozen
        self._monkeypatch.setattr(compose, "open_engine", partial(open_scripted, script))
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Ended(code, *self._capfd.readouterr())
