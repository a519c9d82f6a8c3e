"""`System`, the port of a speech-to-text system: loads a model and transcribes one file at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

from benchmarks.quality.model import Model
from benchmarks.quality.transcription import Transcription

Transcribe: TypeAlias = Callable[[Path, bool], Transcription]  # a file, and whether the times of words are needed


class System(Protocol):
    """One system with one set of settings; package: what has to be installed, and whose version is reported"""

    @property
    def package(self) -> str: ...

    def convert(self, model: Model) -> Path:
        """The folder of the model in the format of the system. Raises Missing."""

    def opened(self, folder: Path, num_threads: int) -> AbstractContextManager[Transcribe]: ...
