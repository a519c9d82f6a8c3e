"""`RequestRecord`: what the log and the trace of a request tell: its model, its audio, the times of its stages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Stage = Literal["receive", "decode", "queue", "engine", "format"]


@dataclass(slots=True)
class StageRecord:
    """Windows pass a stage beside each other, so the sum may exceed the time from its beginning to its end.

    started_s, ended_s: on the clock of time.monotonic; total_s: sum
    """

    started_s: float
    ended_s: float
    total_s: float = 0.0
    num: int = 0


@dataclass(slots=True, eq=False)
class RequestRecord:
    """Filled wherever the work is done. A request that joins the transcription of another one has no stages of it.

    model:       id; empty until the request is admitted
    audio_ms:    transcribed so far
    traceparent: W3C's header for its span; empty when it is not traced
    """

    model: str = ""
    audio_ms: int = 0
    received_bytes: int = 0
    traceparent: str = ""
    stages: dict[Stage, StageRecord] = field(default_factory=dict)

    def add(self, stage: Stage, started_s: float, ended_s: float) -> None:
        """On the clock of time.monotonic."""
        times = self.stages.get(stage)
        if times is None:
            times = self.stages[stage] = StageRecord(started_s, ended_s)
        times.started_s = min(times.started_s, started_s)
        times.ended_s = max(times.ended_s, ended_s)
        times.total_s += ended_s - started_s
        times.num += 1

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Adds the time of the block, also of one that fails."""
        started_s = time.monotonic()
        try:
            yield
        finally:
            self.add(stage, started_s, time.monotonic())
