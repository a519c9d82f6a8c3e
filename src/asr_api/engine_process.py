"""The model in a process of its own: started, watched, restarted; PCM goes over in shared memory, results come back.

In: a picklable engine factory and window jobs. Out: calls to an `EngineListener`, in the event loop's thread.
Knows nothing about requests, queues or fairness.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Protocol

from asr_api.engines.protocol import Engine, EngineInfo, FinishedJob, WindowJob
from asr_api.errors import StartupError
from asr_api.metrics import Metrics


class EngineState(enum.Enum):
    LOADING = "loading"  # for the first time
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"  # it cannot be started again; the server should end
    CLOSED = "closed"


class EngineListener(Protocol):
    """What the engine process tells; every call comes in the event loop's thread."""

    def on_room(self) -> None:
        """Slots became free, or the engine became ready."""

    def on_finished(self, finished: Sequence[FinishedJob]) -> None: ...

    def on_lost(self, job_ids: Sequence[int]) -> None:
        """The engine died, or had to give up, with these jobs in it."""

    def on_failed(self, error: StartupError) -> None: ...


class EngineProcess:
    """Implements what a scheduler needs of an engine (`EngineLink`), around a process that may die."""

    def __init__(
        self,
        factory: Callable[[], Engine],
        *,
        metrics: Metrics,
        heartbeat_timeout_s: float = 60.0,
        load_timeout_s: float = 900.0,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Returns when the engine is loaded and warm. Raises StartupError when it cannot be."""

    async def wait_failed(self) -> StartupError:
        """Waits until the engine cannot be started again; the server should then end with this error."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ends the process; jobs in it are dropped."""

    @property
    def state(self) -> EngineState:
        raise NotImplementedError

    @property
    def info(self) -> EngineInfo:
        """Raises ModelLoading until the engine was ready for the first time."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        """Of the engine's process, while there is one."""
        raise NotImplementedError

    @property
    def free_slots(self) -> int:
        """0 unless ready."""
        raise NotImplementedError

    def set_listener(self, listener: EngineListener) -> None: ...

    def admit(self, jobs: Sequence[WindowJob]) -> None: ...

    def cancel(self, job_ids: Sequence[int]) -> None: ...
