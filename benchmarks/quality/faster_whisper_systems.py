"""faster-whisper as a system, sequential or batched, with its own defaults but for the beam size.

Words are asked for only where their times are measured, because they change where the next window begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.model import Model, ctranslate2_folder
from benchmarks.quality.recording import Word
from benchmarks.quality.system import Transcribe
from benchmarks.quality.transcription import Transcription


@dataclass(frozen=True, slots=True)
class FasterWhisper:
    beam_size: int
    is_batched: bool
    package: str = "faster-whisper"

    def convert(self, model: Model) -> Path:
        return ctranslate2_folder(model)

    @contextmanager
    def opened(self, folder: Path, num_threads: int) -> Iterator[Transcribe]:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        whisper = WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=num_threads)
        engine = BatchedInferencePipeline(whisper) if self.is_batched else whisper

        def transcribe(path: Path, has_words: bool) -> Transcription:
            found, about = engine.transcribe(str(path), beam_size=self.beam_size, word_timestamps=has_words)
            segments = list(found)
            words = (word for segment in segments for word in segment.words or ())
            timed = tuple(Word(float(word.start), word.word) for word in words)
            return Transcription("".join(segment.text for segment in segments), about.language, timed)

        yield transcribe
