"""Model pool: model id → `ServedModel`, an engine process with its scheduler, window length and capabilities.

Today it holds one model, which is loaded at the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from asr_api.engine_process.ports import EnginePort, EngineState
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import AsrError, DeadlineUnreachable, ModelNotFound, Unavailable
from asr_api.longform.pieces import WindowLength
from asr_api.metrics import ModelMetrics
from asr_api.request import RequestScope
from asr_api.scheduler.scheduler import Scheduler


class ManagedEngine(EnginePort, Protocol):
    """An engine that its owner starts and closes; `EngineProcess` is one."""

    async def start(self) -> None:
        """Returns when it is ready. Raises StartupError when it never will be."""

    async def wait_failed(self) -> AsrError: ...

    async def close(self) -> None: ...


class ServedModel:
    """One model of the pool."""

    def __init__(
        self,
        model_id: str,
        engine: ManagedEngine,
        scheduler: Scheduler,
        metrics: ModelMetrics,
        length: WindowLength | None = None,
    ) -> None:
        """scheduler: of this engine; metrics: of this model"""
        self.model_id = model_id
        self.scheduler = scheduler
        self.metrics = metrics
        self._engine = engine
        self._length = length or WindowLength()

    @property
    def state(self) -> EngineState:
        return self._engine.state

    @property
    def info(self) -> EngineInfo:
        """Its capabilities. Raises ModelLoading until it was ready for the first time."""
        return self._engine.info

    @property
    def window_length(self) -> WindowLength:
        """What is configured, bounded by what the model takes. Raises ModelLoading as `info` does."""
        window_s = min(self._length.window_s, self.info.window_s)
        return WindowLength(window_s, min(self._length.stride_s, window_s / 2))

    async def start(self) -> None:
        """Returns when the model is ready. Raises StartupError when it never will be."""
        await self._engine.start()

    async def wait_failed(self) -> AsrError:
        """Waits until the engine cannot be started again; the server should then end with this error."""
        return await self._engine.wait_failed()

    def check_ready(self) -> None:
        """Raises ModelLoading, EngineRestarting or ServerDraining."""
        self.scheduler.check_ready()

    def check_capacity(self, account: str = "") -> None:
        """As Scheduler.check_capacity, and counts what it refuses."""
        try:
            self.scheduler.check_capacity(account)
        except Unavailable:
            self.metrics.requests["refused"].inc()
            raise

    def check_deadline(self, request: RequestScope) -> None:
        """Raises DeadlineUnreachable, and counts it, if others keep the engine busy until the request's deadline."""
        try:
            self.scheduler.check_deadline(request)
        except DeadlineUnreachable:
            self.metrics.requests["refused"].inc()
            raise

    async def aclose(self) -> None:
        """Fails the requests that are still open and ends the engine."""
        self.scheduler.stop()
        await self._engine.close()


class ModelPool:
    """All models that this service has; the first one is the default."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        """models: at least one, each with another id"""
        self._models = {model.model_id: model for model in models}
        self._default = models[0]

    def get(self, model_id: str | None = None) -> ServedModel:
        """None is the default model. Raises ModelNotFound."""
        if model_id is None:
            return self._default
        if model_id not in self._models:
            raise ModelNotFound(f"There is no model {model_id[:80]!r} here; this server has {', '.join(self._models)}.")
        return self._models[model_id]

    async def start(self) -> None:
        """Returns when all models are ready. Raises StartupError when one never will be."""
        await asyncio.gather(*(model.start() for model in self._models.values()))

    async def wait_failed(self) -> AsrError:
        """Waits until a model cannot be started again; the server should then end with this error."""
        waiting = [asyncio.ensure_future(model.wait_failed()) for model in self._models.values()]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in waiting:
                task.cancel()

    async def drain(self) -> None:
        """Refuses new requests and returns when no transcription is open."""
        for model in self._models.values():
            model.scheduler.refuse_new()
        await asyncio.gather(*(model.scheduler.wait_until_idle() for model in self._models.values()))

    @property
    def num_open_requests(self) -> int:
        return sum(model.scheduler.num_open_requests for model in self._models.values())

    async def aclose(self) -> None:
        await asyncio.gather(*(model.aclose() for model in self._models.values()))
