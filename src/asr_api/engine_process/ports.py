"""Ports between the scheduler and an engine: `EngineState`, what a scheduler calls, and what an engine reports."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from asr_api.engines.protocol import EngineInfo, FinishedJob, WindowJob
from asr_api.errors import AsrError


class EngineState(enum.Enum):
    UNLOADED = "unloaded"
    LOADING = "loading"  # for the first time
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"  # it cannot be started again; the server should end
    CLOSED = "closed"


class EngineListener(Protocol):
    """What an engine reports; every call comes in the event loop's thread."""

    def on_capacity(self) -> None:
        """The engine became ready, or its number of slots has changed."""

    def on_finished(self, finished: Sequence[FinishedJob]) -> None: ...

    def on_refused(self, job_id: int, error: AsrError) -> None:
        """The engine cannot honour the options of this job, or lacks the memory for it."""

    def on_cancelled(self, job_ids: Sequence[int]) -> None:
        """These jobs are no longer in the engine."""

    def on_lost(self, job_ids: Sequence[int]) -> None:
        """The engine crashed, or raised, while it held these jobs."""

    def on_killed(self, job_ids: Sequence[int]) -> None:
        """The engine was killed from outside while it held these jobs."""

    def on_failed(self, error: AsrError) -> None:
        """The engine cannot be started again."""


class EnginePort(Protocol):
    """What a scheduler needs of an engine: `EngineProcess` in the product, an engine without a process in tests."""

    @property
    def state(self) -> EngineState: ...

    @property
    def info(self) -> EngineInfo:
        """Raises ModelLoading until the engine was ready for the first time."""

    @property
    def num_slots(self) -> int:
        """Slots that it can use now: fewer than those of `info` after its memory ran out."""

    @property
    def free_slots(self) -> int: ...

    def admit(self, jobs: Sequence[WindowJob]) -> None: ...

    def cancel(self, job_ids: Sequence[int]) -> None:
        """`on_cancelled` reports when they are gone, unless they have ended otherwise by then."""

    def report_to(self, listener: EngineListener) -> None:
        """Sets the one listener; to be called before the engine is started."""
