"""Out of memory: fewer windows at once, none is lost, and slowly more again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

import pytest

from asr_api.engine_process.slot_limit import WINDOWS_PER_SLOT, SlotLimit, is_out_of_memory
from asr_api.engine_process.supervisor import EngineProcess
from asr_api.engines.protocol import Engine, FinishedJob
from asr_api.errors import OutOfMemory
from asr_api.metrics import Metrics
from tests.engines.scripted import Script, ScriptedEngine, number_pcm
from tests.scheduler.test_scheduler import words
from tests.service import MODEL, ServiceHarness

pytestmark = pytest.mark.anyio


@dataclass(slots=True, eq=False)
class FullEngine(ScriptedEngine):
    """Out of memory in steps with more windows than fit, or in a part of them."""

    num_fitting: int = 0
    failing_part: float = 1.0
    random: Random = field(default_factory=lambda: Random(1))

    def step(self) -> list[FinishedJob]:
        if len(self.running) > self.num_fitting and self.random.random() < self.failing_part:
            raise MemoryError("the script says that there is none left")
        return ScriptedEngine.step(self)


@contextlib.asynccontextmanager
async def running(factory: Callable[[], Engine]) -> AsyncIterator[ServiceHarness]:
    metrics = Metrics()
    engine = EngineProcess(factory, metrics=metrics.for_model(MODEL))
    service = ServiceHarness(engine=engine, metrics=metrics)
    with service.open:
        try:
            await engine.start()
            yield service
        finally:
            await engine.close()


async def test_no_window_fails_while_more_than_one_slot_is_left() -> None:
    async with running(partial(FullEngine, Script(n_slots=16), num_fitting=1, failing_part=0.2)) as service:
        queue = service.queue()
        numbers = [1 + number % 200 for number in range(2000)]
        results = [service.submit(queue, number_pcm([number]))[0] for number in numbers]
        await asyncio.wait_for(asyncio.gather(*results), 60)
        assert [words(result) for result in results] == [f" {number}" for number in numbers]
        assert service.count("asr_engine_restarts_total") == 0


async def test_the_slots_settle_where_the_windows_fit() -> None:
    script = Script(n_slots=16, step_s=0.002, steps_per_window=5)  # so slow that the slots are always taken
    async with running(partial(FullEngine, script, num_fitting=3)) as service:
        queue = service.queue()
        results = service.submit(queue, number_pcm([7]), num_windows=100)
        await asyncio.wait_for(asyncio.gather(*results), 20)
        assert service.count("asr_slots") <= 4


async def test_a_window_without_memory_even_alone_fails_and_may_be_sent_again() -> None:
    async with running(partial(FullEngine, Script(n_slots=2))) as service:
        results = service.submit(service.queue(), number_pcm([7]), num_windows=2)
        errors = await asyncio.wait_for(asyncio.gather(*results, return_exceptions=True), 10)
        assert [type(error) for error in errors] == [OutOfMemory, OutOfMemory]
        assert errors[0].status == 503  # type: ignore[union-attr]
        assert errors[0].retry_after_s  # type: ignore[union-attr]
        assert service.count("asr_engine_restarts_total") == 0


def test_slots_are_halved_and_come_back_one_by_one() -> None:
    limit = SlotLimit(16)
    limit.lower(9)
    assert limit.num_slots == 4
    for num_slots in range(5, 17):
        assert not limit.note_finished(WINDOWS_PER_SLOT - 1)
        assert limit.note_finished(1)
        assert limit.num_slots == num_slots
    assert not limit.note_finished(1000)


class OutOfMemoryError(RuntimeError):
    """Of the name of PyTorch's."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 10000000000"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"), True),
        (RuntimeError("the tensors have different shapes"), False),
    ],
    ids=str,
)
def test_exceptions_for_want_of_memory_are_known_without_the_libraries(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
