"""faster-whisper as a peer: sequential or batched, with its voice activity detection or cut every 30 s.

`condition_on_previous_text` is off, because no other engine here has it.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.peer import Counts, LoadedEngine

if TYPE_CHECKING:
    from faster_whisper.transcribe import Segment

WINDOW_S = 30


@dataclass(frozen=True, slots=True)
class FasterWhisper:
    """batch_size: 0 is `WhisperModel.transcribe`, else `BatchedInferencePipeline` with voice activity detection.

    is_cut: windows of 30 s are given instead
    """

    compute_type: str
    batch_size: int = 0
    is_cut: bool = False
    package: str = "faster-whisper"

    def convert(self, checkpoint: Path, cache: Path) -> Path:
        from ctranslate2.converters import TransformersConverter

        folder = cache / f"ctranslate2-{self.compute_type}"
        if not folder.exists():
            copied = ["tokenizer.json", "preprocessor_config.json"]
            TransformersConverter(str(checkpoint), copy_files=copied).convert(
                str(folder), quantization=self.compute_type
            )
        return folder

    def open(self, model: Path, num_threads: int) -> LoadedEngine:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        whisper = WhisperModel(str(model), device="cpu", compute_type=self.compute_type, cpu_threads=num_threads)

        end = whisper.hf_tokenizer.token_to_id("<|endoftext|>")

        def text_tokens(segments: list[Segment]) -> int:
            return sum(token < end for segment in segments for token in segment.tokens)

        def sequential(path: Path) -> Counts:
            segments, _ = whisper.transcribe(str(path), language="en", beam_size=1, condition_on_previous_text=False)
            segments = list(segments)
            return Counts(len({segment.seek for segment in segments}), text_tokens(segments))

        def batched(path: Path) -> Counts:
            cuts = {"vad_filter": False, "clip_timestamps": windows(path)} if self.is_cut else {}
            segments, _ = pipeline.transcribe(str(path), language="en", beam_size=1, batch_size=self.batch_size, **cuts)
            segments = list(segments)
            return Counts(len(segments), text_tokens(segments))

        pipeline = BatchedInferencePipeline(whisper)
        return LoadedEngine(os.getpid(), batched if self.batch_size else sequential)


def windows(path: Path) -> list[dict[str, float]]:
    """Windows of 30 s, in the form of faster-whisper."""
    from benchmarks.peers.audio import length_s

    duration_s = length_s(path)
    starts = range(0, math.ceil(duration_s), WINDOW_S)
    return [{"start": start, "end": min(start + WINDOW_S, duration_s)} for start in starts]
