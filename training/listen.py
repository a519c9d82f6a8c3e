"""Waves → what the server's own engine hears in them, so that evaluation sees what a user would see.

In go an exported folder and waves of up to 30 s; out come window transcripts, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr_api.engines.protocol import ComputeType, EngineOptions, WindowJob
from asr_api.engines.select import open_engine
from asr_api.options import TranscribeOptions
from asr_api.transcript import WindowTranscript
from training.windows import Wave

MAX_NEW_TOKENS = 440
"""A full window in one pass."""


class Listener:
    """An exported model behind the engine that the server would choose."""

    def __init__(
        self, folder: Path, num_threads: int = 0, compute_type: ComputeType = "auto", beam_size: int = 1
    ) -> None:
        options = EngineOptions(
            str(folder),
            folder,
            max_new_tokens=MAX_NEW_TOKENS,
            num_threads=num_threads,
            compute_type=compute_type,
            beam_size=beam_size,
        )
        self._engine = open_engine(options)

    def hear(self, waves: Sequence[Wave], options: TranscribeOptions | None = None) -> list[WindowTranscript]:
        """What is said in each wave; (n_samples,) float32 in [-1, 1], 16 kHz."""
        options = options or TranscribeOptions()
        waiting = [WindowJob(number, _pcm(wave), options) for number, wave in enumerate(waves)]
        found: dict[int, WindowTranscript] = {}
        while len(found) < len(waves):
            room = self._engine.free_slots
            self._engine.admit(waiting[:room])
            waiting = waiting[room:]
            found |= {done.job_id: done.transcript for done in self._engine.step()}
        return [found[number] for number in range(len(waves))]


def text_of(transcript: WindowTranscript) -> str:
    """The text of all segments, without a space in front."""
    return "".join(segment.text for segment in transcript.segments).strip()


def _pcm(wave: Wave) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)
