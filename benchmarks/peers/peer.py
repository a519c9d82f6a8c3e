"""`Peer`, the port of an engine: converts a checkpoint once, loads it in its own process, and transcribes files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Counts:
    """What an engine decoded in one file, by its own count.

    num_windows: decodings of a window
    num_tokens:  tokens of text, without timestamps and end-of-text
    """

    num_windows: int
    num_tokens: int


@dataclass(frozen=True, slots=True)
class LoadedEngine:
    """process_id: of the process whose descendants, too, belong to the engine"""

    process_id: int
    transcribe: Callable[[Path], Counts]


class Peer(Protocol):
    """One engine with one set of settings; package: whose version is reported"""

    @property
    def package(self) -> str: ...

    def convert(self, checkpoint: Path, cache: Path) -> Path:
        """The model in the format of the engine, made of a transformers folder and kept in `cache`."""

    def open(self, model: Path, num_threads: int) -> LoadedEngine: ...
