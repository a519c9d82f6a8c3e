"""Engines for benchmarks/peers that need no package: a quick one, a slow one, one that cannot be opened, one that dies."""

# ruff: noqa: ARG002 – engines that hear nothing

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.catalogue import CATALOGUE
from benchmarks.peers.peer import Heard, Opened

QUICK, SLOW, ABSENT, MORTAL = "asr-api", "faster-whisper int8 b8, cut", "whisper.cpp q8_0", "OpenVINO GenAI int8"


@dataclass
class FakePeer:
    """seconds: that it takes for a file; num_left: files before it dies, none of them: it cannot be opened"""

    seconds: float = 0.0
    num_left: int = 100
    package: str = "numpy"

    def convert(self, checkpoint: Path, cache: Path) -> Path:
        return checkpoint

    def open(self, model: Path, num_threads: int) -> Opened:
        if not self.num_left:
            raise ModuleNotFoundError("no such engine")
        return Opened(os.getpid(), self.transcribe)

    def transcribe(self, path: Path) -> Heard:
        print("what engines print", flush=True)
        if not self.num_left:
            os._exit(9)
        self.num_left -= 1
        time.sleep(self.seconds)
        return Heard(num_windows=20, num_tokens=2_000)


FAKES = {QUICK: FakePeer(0.05), SLOW: FakePeer(0.1), ABSENT: FakePeer(num_left=0), MORTAL: FakePeer(num_left=2)}


def install() -> None:
    CATALOGUE.update(FAKES)
