"""Fake systems for benchmarks/quality: one that writes names of files, one that fails on some, one not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.catalogue import CATALOGUE
from benchmarks.quality.model import Model
from benchmarks.quality.recording import Word
from benchmarks.quality.system import Transcribe
from benchmarks.quality.transcription import Transcription

GOOD, FAILING, MISSING = "asr-api auto", "faster-whisper beam 1", "transformers"


@dataclass(frozen=True, slots=True)
class FakeSystem:
    """bad: name of a file that cannot be transcribed; each use of a system adds a line to the file `opened`"""

    bad: str = ""
    package: str = "numpy"

    def convert(self, model: Model) -> Path:
        return model.folder

    @contextmanager
    def opened(self, folder: Path, num_threads: int) -> Iterator[Transcribe]:
        with (folder / "opened").open("a") as file:
            file.write(f"{num_threads}\n")

        def transcribe(path: Path, has_words: bool) -> Transcription:
            if path.name == self.bad:
                raise ValueError("it is not audio")
            return Transcription(f"text of {path.stem}", "en", (Word(0.5, "text"),) if has_words else ())

        yield transcribe


FAKES = {GOOD: FakeSystem(), FAILING: FakeSystem(bad="b.wav"), MISSING: FakeSystem(package="not-installed")}


def install() -> None:
    CATALOGUE.update(FAKES)
