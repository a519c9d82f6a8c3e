"""Floor 3: one bounded, fair queue of windows in front of the engine."""

from __future__ import annotations

from asr_api.scheduler.lanes import Lane
from asr_api.scheduler.link import EngineLink
from asr_api.scheduler.scheduler import Scheduler

__all__ = ["EngineLink", "Lane", "Scheduler"]
