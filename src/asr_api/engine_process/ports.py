"""What a scheduler needs of an engine: an engine process in the product, an engine without one in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asr_api.engine_process.supervisor import EngineListener, EngineState
from asr_api.engines.protocol import EngineInfo, WindowJob


class EnginePort(Protocol):
    """`EngineProcess` is one."""

    @property
    def state(self) -> EngineState: ...

    @property
    def info(self) -> EngineInfo: ...

    @property
    def free_slots(self) -> int: ...

    def admit(self, jobs: Sequence[WindowJob]) -> None: ...

    def cancel(self, job_ids: Sequence[int]) -> None: ...

    def subscribe(self, listener: EngineListener) -> None: ...
