"""Engine factories that travel to an engine process. Imports nothing that the process must not load."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import replace

from asr_api.engines.protocol import Engine, EngineInfo
from tests.engines.scripted import Script, ScriptedEngine

FOREIGN = ("fastapi", "starlette", "uvicorn", "pydantic", "httpx", "prometheus_client", "av", "pytest", "asyncio")


class ImportReportingEngine(ScriptedEngine):
    """Lists in its notes the libraries of the service that its process has loaded."""

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, notes=tuple(name for name in FOREIGN if name in sys.modules))


def scripted(script: Script | None = None) -> Callable[[], Engine]:
    return functools.partial(ScriptedEngine, script or Script())


def broken() -> Engine:
    raise RuntimeError("the graphics card is on fire")
