"""Runs a CUDA engine over windows and keeps prompt and token ids: on a graphics card if there is one.

Needs torch, but no other engine's libraries: a machine with a card may have no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from asr_api.engines.cuda.device_window import FinishedWindow
from asr_api.engines.cuda.engine import CudaEngine
from asr_api.engines.cuda.open_engine import open_cuda_engine
from asr_api.engines.protocol import EngineOptions, FinishedJob, WindowJob
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from asr_api.transcript import WindowTranscript

AUTO = DecodeOptions(temperatures=(0.0,))
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True, slots=True)
class Heard:
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    transcript: WindowTranscript


def open_cuda(
    folder: Path, *, n_slots: int = 4, max_new_tokens: int = 448, beam_size: int = 1, has_graphs: bool = True
) -> CudaEngine:
    """In float32, whatever the device, because tokens are compared. has_graphs: on a graphics card"""
    options = EngineOptions(
        model_id=folder.name,
        checkpoint=folder,
        n_slots=n_slots,
        max_new_tokens=max_new_tokens,
        flash_attention_2=False,
        num_threads=1,
        beam_size=beam_size,
    )
    engine = open_cuda_engine(options, device=DEVICE, dtype=torch.float32)
    if DEVICE == "cuda" and has_graphs:
        engine.warm_up()
    return engine


def listen(
    engine: CudaEngine, windows: Sequence[Pcm], options: DecodeOptions | Sequence[DecodeOptions] = AUTO
) -> list[Heard]:
    """What each window gave, in order; all are admitted at once, or as slots become free.

    options: of all windows, or of each
    """
    said: dict[int, Heard] = {}
    finish = engine._finish

    def remember(finished: FinishedWindow) -> FinishedJob:
        done = finish(finished)
        tokens = finished.attempt.candidate.tokens
        said[done.job_id] = Heard(finished.window.slot.prompt.tokens, tokens, done.transcript)
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
