"""Transcribes windows with a Whisper engine and records the prompt and all sampled tokens of each window.

Imports no engine before it is opened: a machine may have the libraries of only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from asr_api.engines.protocol import Engine, EngineOptions, WindowJob
from asr_api.engines.whisper.fallback import Candidate
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from asr_api.transcript import WindowTranscript, Word

if TYPE_CHECKING:
    from asr_api.engines.onnx.engine import OnnxEngine

DEFAULTS, AT_ZERO = DecodeOptions(), DecodeOptions(temperatures=(0.0,))


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


def open_onnx(folder: Path, **options: Any) -> OnnxEngine:
    """options: of `EngineOptions`"""
    from asr_api.engines.onnx.open_engine import open_onnx_engine

    defaults = EngineOptions(folder.name, folder, n_slots=4, max_new_tokens=448, num_threads=1, compute_type="float32")
    return open_onnx_engine(replace(defaults, **options), TracingBuilder)


def transcribe(
    engine: Engine, windows: Sequence[Pcm], options: DecodeOptions | Sequence[DecodeOptions] = AT_ZERO
) -> list[TracedTranscript]:
    """The transcript of each window, in order.

    engine:  opened with `TracingBuilder`
    options: of all windows, or of each
    """
    transcripts = plain_transcripts(engine, windows, options)
    assert all(isinstance(transcript, TracedTranscript) for transcript in transcripts)
    return cast("list[TracedTranscript]", transcripts)


def plain_transcripts(
    engine: Engine, windows: Sequence[Pcm], options: DecodeOptions | Sequence[DecodeOptions] = DEFAULTS
) -> list[WindowTranscript]:
    all_options = [options] * len(windows) if isinstance(options, DecodeOptions) else options
    pairs = zip(windows, all_options, strict=True)
    finished = run_jobs(engine, [WindowJob(index, *pair) for index, pair in enumerate(pairs)])
    return [finished[job_id] for job_id in range(len(windows))]


def tokens_of(transcripts: Sequence[TracedTranscript]) -> list[tuple[int, ...]]:
    return [transcript.tokens for transcript in transcripts]


def run_jobs(engine: Engine, jobs: Sequence[WindowJob]) -> dict[int, WindowTranscript]:
    """Admits jobs as slots become free, and steps until all are finished."""
    waiting, finished = list(jobs), dict[int, WindowTranscript]()
    while len(finished) < len(jobs):
        free = engine.free_slots
        engine.admit(waiting[:free])
        del waiting[:free]
        finished |= {done.job_id: done.transcript for done in engine.step()}
    return finished


def finish_all(engine: Engine, num_jobs: int) -> dict[int, WindowTranscript]:
    """Steps until so many jobs are finished; none may be reported twice."""
    finished: dict[int, WindowTranscript] = {}
    for _ in range(10_000):
        if len(finished) >= num_jobs:
            return finished
        for done in engine.step():
            assert done.job_id not in finished
            finished[done.job_id] = done.transcript
    raise AssertionError(f"{len(finished)} of {num_jobs} jobs finished")
