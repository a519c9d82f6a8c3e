"""Our ONNX engine over windows with a wish each, all admitted together: prompt and token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asr_api.engines.onnx.engine import OnnxEngine
from asr_api.engines.protocol import EngineOptions, Pcm, WindowJob
from asr_api.options import TranscribeOptions
from asr_api.transcript import WindowTranscript
from tests.engines.listening import Heard


def open_engine(folder: Path, *, beam_size: int = 1, slots: int = 10) -> OnnxEngine:
    return OnnxEngine(
        EngineOptions(
            model_id=folder.name,
            checkpoint=folder,
            slots=slots,
            max_new_tokens=448,  # one pass over each window, as in the reference
            flash_attention_2=False,
            num_threads=1,
            beam_size=beam_size,
        )
    )


def hear(engine: OnnxEngine, windows: Sequence[Pcm], options: Sequence[TranscribeOptions]) -> list[Heard]:
    table = engine._slots
    seen = {}
    add = table.add

    def remember(job: WindowJob) -> None:
        add(job)
        seen[job.job_id] = table._slots[-1]

    table.add = remember  # type: ignore[method-assign]
    waiting = [WindowJob(index, *each) for index, each in enumerate(zip(windows, options, strict=True))]
    finished: dict[int, WindowTranscript] = {}
    while len(finished) < len(windows):
        room = engine.free_slots
        engine.admit(waiting[:room])
        del waiting[:room]
        finished |= {done.job_id: done.transcript for done in engine.step()}
    table.add = add  # type: ignore[method-assign]
    return [Heard(tuple(seen[job].prompt), tuple(seen[job].tokens), finished[job]) for job in range(len(windows))]
