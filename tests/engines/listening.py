"""Runs an ONNX engine over windows and keeps what a transcript no longer tells: prompt and token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.onnx.engine import OnnxEngine
from asr_api.engines.protocol import Engine, EngineOptions, WindowJob
from asr_api.options import TranscribeOptions
from asr_api.transcript import WindowTranscript

AUTO = TranscribeOptions()


@dataclass(frozen=True, slots=True)
class Heard:
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    transcript: WindowTranscript


def open_onnx(folder: Path, *, slots: int = 4, max_new_tokens: int = 448, num_threads: int = 1) -> OnnxEngine:
    return OnnxEngine(
        EngineOptions(
            model_id=folder.name,
            checkpoint=folder,
            slots=slots,
            max_new_tokens=max_new_tokens,
            flash_attention_2=False,
            num_threads=num_threads,
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


def listen(engine: OnnxEngine, windows: Sequence[NDArray[np.int16]], options: TranscribeOptions = AUTO) -> list[Heard]:
    """What each window gave, in order; all are admitted at once, or as slots become free."""
    table = engine._slots
    seen = {}
    add = table.add

    def remember(job: WindowJob) -> None:
        add(job)
        seen[job.job_id] = table._slots[-1]

    table.add = remember  # type: ignore[method-assign]
    waiting = [WindowJob(index, pcm, options) for index, pcm in enumerate(windows)]
    finished: dict[int, WindowTranscript] = {}
    while len(finished) < len(windows):
        room = engine.free_slots
        engine.admit(waiting[:room])
        del waiting[:room]
        finished |= {done.job_id: done.transcript for done in engine.step()}
    table.add = add  # type: ignore[method-assign]
    return [Heard(tuple(seen[job].prompt), tuple(seen[job].tokens), finished[job]) for job in range(len(windows))]
