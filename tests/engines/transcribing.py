"""Transcribes windows with a Whisper engine and records the prompt and all sampled tokens of each window.

Imports no engine before it is opened: a machine may have the libraries of only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from asr_api.engines.protocol import ComputeType, Engine, EngineOptions, WindowJob
from asr_api.engines.whisper.fallback import Candidate
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from asr_api.transcript import WindowTranscript, Word

if TYPE_CHECKING:
    from asr_api.engines.onnx.engine import OnnxEngine

AT_ZERO = DecodeOptions(temperatures=(0.0,))


@dataclass(frozen=True, slots=True)
class TracedTranscript(WindowTranscript):
    """A transcript with the tokens behind it. tokens: all that were sampled, timestamps included, the end excluded"""

    prompt: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()


class TracingBuilder(TranscriptBuilder):
    """Builds `TracedTranscript`s."""

    def transcript(self, slot: Slot, candidate: Candidate, words: Sequence[tuple[Word, ...]] = ()) -> TracedTranscript:
        plain = super().transcript(slot, candidate, words)
        values = {field.name: getattr(plain, field.name) for field in fields(plain)}
        return TracedTranscript(**values, prompt=slot.prompt.tokens, tokens=candidate.tokens)


def open_onnx(
    folder: Path,
    *,
    n_slots: int = 4,
    max_new_tokens: int = 448,
    num_threads: int = 1,
    beam_size: int = 1,
    compute_type: ComputeType = "float32",
) -> OnnxEngine:
    from asr_api.engines.onnx.open_engine import open_onnx_engine

    options = EngineOptions(
        model_id=folder.name,
        checkpoint=folder,
        n_slots=n_slots,
        max_new_tokens=max_new_tokens,
        num_threads=num_threads,
        beam_size=beam_size,
        compute_type=compute_type,
    )
    return open_onnx_engine(options, TracingBuilder)


def transcribe(
    engine: Engine, windows: Sequence[Pcm], options: DecodeOptions | Sequence[DecodeOptions] = AT_ZERO
) -> list[TracedTranscript]:
    """The transcript of each window, in order; windows are admitted all at once, or as slots become free.

    engine:  opened with `TracingBuilder`
    options: of all windows, or of each
    """
    all_options = [options] * len(windows) if isinstance(options, DecodeOptions) else options
    waiting = [WindowJob(index, *pair) for index, pair in enumerate(zip(windows, all_options, strict=True))]
    finished: dict[int, TracedTranscript] = {}
    while len(finished) < len(windows):
        free = engine.free_slots
        engine.admit(waiting[:free])
        del waiting[:free]
        for done in engine.step():
            assert isinstance(done.transcript, TracedTranscript)
            finished[done.job_id] = done.transcript
    return [finished[job_id] for job_id in range(len(windows))]


def finish_all(engine: Engine, num_jobs: int) -> dict[int, WindowTranscript]:
    """Steps until so many jobs are finished."""
    finished: dict[int, WindowTranscript] = {}
    for _ in range(10_000):
        if len(finished) == num_jobs:
            return finished
        finished |= {done.job_id: done.transcript for done in engine.step()}
    raise AssertionError(f"{len(finished)} of {num_jobs} jobs finished")
