"""Spool budget: all spools together and each account are bounded, and nothing stays counted when a spool is closed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass

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


@dataclass
class Disk:
    """What `shutil.disk_usage` tells of a disk with the spools of a budget and the files of others."""

    budget: SpoolBudget
    total: int
    others: int = 0

    @property
    def free(self) -> int:
        return self.total - self.others - self.budget.num_bytes

    def fill(self) -> int:
        """Bytes that fit into the budget, for accounts that each take as much as they may."""
        budget = self.budget
        for account in range(self.total):
            reservation = budget.reserve(f"account {account}")
            with pytest.raises(SpoolFull):  # noqa: PT012  # every account reaches its share
                while True:
                    reservation.grow(1)
        return budget.num_bytes


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(SpoolBudget(), total=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    return disk


def test_without_a_limit_it_is_most_of_the_free_disk_however_much_spools_hold(disk: Disk) -> None:
    assert disk.fill() == 799  # of 800, as each account leaves as much as it takes
    assert disk.free == 201


def test_what_others_write_makes_it_smaller(disk: Disk) -> None:
    first = disk.budget.reserve("a")
    first.grow(300)
    disk.others = 500
    second = disk.budget.reserve("b")  # 80% of the 300 bytes in spools and the 200 that are free
    second.grow(50)
    with pytest.raises(SpoolFull, match="your share"):
        second.grow(1)
    disk.others = 700
    with pytest.raises(SpoolFull, match="is full"):
        disk.budget.reserve("c").grow(1)
    first.release()
    disk.budget.reserve("c").grow(95)


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
    async with GrowingSpool(open_unnamed_file(), budget.reserve("a")) as spool:
        following = spool.duplicate()
        with pytest.raises(error):
            await spool.fill(chunks(900 if error is SpoolFull else 400, ConnectionResetError()), max_bytes)
    assert budget.num_bytes > 0
    await following.aclose()
    assert budget.num_bytes == 0


async def test_nothing_stays_counted_after_a_cancellation() -> None:
    budget = SpoolBudget(2**30)

    async def receive() -> None:
        async with GrowingSpool(open_unnamed_file(), budget.reserve("a")) as spool:
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
