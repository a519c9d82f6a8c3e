"""Runs an ONNX engine over windows and keeps what a transcript no longer tells: prompt and token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.onnx.batch import Batch
from asr_api.engines.onnx.engine import OnnxEngine
from asr_api.engines.protocol import ComputeType, Engine, EngineOptions, FinishedJob, WindowJob
from asr_api.engines.whisper.fallback import Attempt
from asr_api.options import DecodeOptions
from asr_api.transcript import WindowTranscript

AUTO = DecodeOptions(temperatures=(0.0,))


@dataclass(frozen=True, slots=True)
class Heard:
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    transcript: WindowTranscript


def open_onnx(
    folder: Path,
    *,
    n_slots: int = 4,
    max_new_tokens: int = 448,
    num_threads: int = 1,
    beam_size: int = 1,
    compute_type: ComputeType = "float32",
) -> OnnxEngine:
    return OnnxEngine(
        EngineOptions(
            model_id=folder.name,
            checkpoint=folder,
            n_slots=n_slots,
            max_new_tokens=max_new_tokens,
            num_threads=num_threads,
            beam_size=beam_size,
            compute_type=compute_type,
        )
    )


def finish_all(engine: Engine, num_jobs: int) -> dict[int, WindowTranscript]:
    """Steps until so many jobs are done."""
    finished: dict[int, WindowTranscript] = {}
    for _ in range(10_000):
        if len(finished) == num_jobs:
            return finished
        finished |= {done.job_id: done.transcript for done in engine.step()}
    raise AssertionError(f"{len(finished)} of {num_jobs} jobs finished")


def listen(
    engine: OnnxEngine,
    windows: Sequence[NDArray[np.int16]],
    options: DecodeOptions | Sequence[DecodeOptions] = AUTO,
) -> list[Heard]:
    """What each window gave, in order; all are admitted at once, or as slots become free.

    options: of all windows, or of each
    """
    said: dict[int, Heard] = {}
    finish = engine._finish

    def remember(batch: Batch, index: int, attempt: Attempt) -> FinishedJob:
        prompt = batch.passes[index].slot.prompt
        done = finish(batch, index, attempt)
        said[done.job_id] = Heard(prompt.tokens, attempt.candidate.tokens, done.transcript)
        return done

    engine._finish = remember  # type: ignore[method-assign]
    each_options = [options] * len(windows) if isinstance(options, DecodeOptions) else options
    waiting = [WindowJob(index, *each) for index, each in enumerate(zip(windows, each_options, strict=True))]
    while len(said) < len(windows):
        room = engine.free_slots
        engine.admit(waiting[:room])
        del waiting[:room]
        engine.step()
    engine._finish = finish  # type: ignore[method-assign]
    return [said[job] for job in range(len(windows))]
