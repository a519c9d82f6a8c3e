"""Floor 3: one bounded, fair queue of windows in front of the engine."""

from __future__ import annotations

from asr_api.engine_process.ports import EnginePort
from asr_api.scheduler.fair_queue import RequestQueue
from asr_api.scheduler.scheduler import Scheduler

__all__ = ["EnginePort", "RequestQueue", "Scheduler"]
