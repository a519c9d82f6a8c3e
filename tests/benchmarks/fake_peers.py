"""Fake engines for benchmarks/peers: a fast one, a slow one, one that cannot be loaded, and one that exits."""

# ruff: noqa: ARG002 – fake engines ignore their arguments

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.catalogue import CATALOGUE
from benchmarks.peers.peer import Counts, LoadedEngine

FAST, SLOW, MISSING, EXITING = "asr-api", "faster-whisper int8 b8, cut", "whisper.cpp q8_0", "OpenVINO GenAI int8"


@dataclass
class FakePeer:
    """seconds: for one file; num_left: files until the process exits; with none the engine cannot be loaded"""

    seconds: float = 0.0
    num_left: int = 100
    package: str = "numpy"

    def convert(self, checkpoint: Path, cache: Path) -> Path:
        return checkpoint

    def open(self, model: Path, num_threads: int) -> LoadedEngine:
        if not self.num_left:
            raise ModuleNotFoundError("no such engine")
        return LoadedEngine(os.getpid(), self.transcribe)

    def transcribe(self, path: Path) -> Counts:
        print("output of an engine", flush=True)
        if not self.num_left:
            os._exit(9)
        self.num_left -= 1
        time.sleep(self.seconds)
        return Counts(num_windows=20, num_tokens=2_000)


FAKES = {FAST: FakePeer(0.05), SLOW: FakePeer(0.1), MISSING: FakePeer(num_left=0), EXITING: FakePeer(num_left=2)}


def install() -> None:
    CATALOGUE.update(FAKES)
