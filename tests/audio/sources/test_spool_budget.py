"""Spool budget: all spools together and each account are bounded, and nothing stays counted when a spool is closed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.spool import open_unnamed_file, spool_chunks
from asr_api.audio.sources.spool_budget import SpoolBudget
from asr_api.errors import BodyTooLarge, SpoolFull

pytestmark = pytest.mark.anyio


async def chunks(num_bytes: int, error: Exception | None = None) -> AsyncIterator[bytes]:
    for _ in range(num_bytes // 10):
        yield bytes(10)
        await asyncio.sleep(0)
    if error is not None:
        raise error


def test_an_account_gets_half_and_leaves_something_for_others() -> None:
    budget = SpoolBudget(1200)
    budget.reserve("a").grow(600)
    with pytest.raises(SpoolFull, match="your share") as caught:
        budget.reserve("a").grow(1)
    assert caught.value.retry_after_s
    budget.reserve("b").grow(300)
    with pytest.raises(SpoolFull, match="your share"):
        budget.reserve("b").grow(1)
    budget.reserve("c").grow(150)
    with pytest.raises(SpoolFull, match="is full"):
        budget.reserve("d").grow(151)
    assert budget.num_bytes == 1050


def test_without_a_limit_it_is_most_of_the_free_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = SpoolBudget()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    first = budget.reserve("a")
    first.grow(400)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(SpoolFull):
        budget.reserve("b").grow(81)
    budget.reserve("b").grow(40)


async def test_a_file_counts_once_and_until_its_last_owner_closes_it() -> None:
    budget = SpoolBudget(1000)
    async with await spool_chunks(chunks(200), 200, reservation=budget.reserve("a")) as spool:
        duplicate = spool.duplicate()
        assert budget.num_bytes == 200
        await duplicate.duplicate().aclose()
    await spool.aclose()
    assert budget.num_bytes == 200
    await duplicate.aclose()
    assert budget.num_bytes == 0


@pytest.mark.parametrize("error", [ConnectionResetError, BodyTooLarge, SpoolFull])
async def test_nothing_stays_counted_after_an_error(error: type[Exception]) -> None:
    budget, max_bytes = SpoolBudget(1000), 300 if error is BodyTooLarge else 2000
    content = chunks(900 if error is SpoolFull else 400, ConnectionResetError())
    with pytest.raises(error):
        await spool_chunks(content, max_bytes, reservation=budget.reserve("a"))
    assert budget.num_bytes == 0
    async with GrowingSpool(open_unnamed_file(None), budget.reserve("a")) as spool:
        following = spool.duplicate()
        with pytest.raises(error):
            await spool.fill(chunks(900 if error is SpoolFull else 400, ConnectionResetError()), max_bytes)
    assert budget.num_bytes > 0
    await following.aclose()
    assert budget.num_bytes == 0


async def test_nothing_stays_counted_after_a_cancellation() -> None:
    budget = SpoolBudget(2**30)

    async def receive() -> None:
        async with GrowingSpool(open_unnamed_file(None), budget.reserve("a")) as spool:
            await spool.fill(chunks(2**28), 2**30)

    running = [
        asyncio.create_task(receive()),
        asyncio.create_task(spool_chunks(chunks(2**28), 2**30, reservation=budget.reserve("b"))),
    ]
    await asyncio.sleep(0.05)
    assert budget.num_bytes > 0
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    async with asyncio.timeout(5):
        while budget.num_bytes:  # noqa: ASYNC110  # files are closed in threads
            await asyncio.sleep(0.01)
