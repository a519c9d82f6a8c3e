"""Request scope: cancellation with a reason, at any point of the work, and deadlines."""

from __future__ import annotations

import asyncio
import time

import pytest

from asr_api.errors import AsrError, DeadlineExceeded, DeadlineUnreachable, ServerDraining
from asr_api.request import RequestScope

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("num_steps", range(2, 8))
async def test_work_ends_with_the_reason_wherever_it_is(num_steps: int) -> None:
    request, num_done = RequestScope(), 0

    async def work() -> None:
        nonlocal num_done
        async with request.running():
            for _ in range(1000):
                await asyncio.sleep(0)
                num_done += 1

    working = asyncio.create_task(work())
    for _ in range(num_steps):
        await asyncio.sleep(0)
    request.cancel(ServerDraining("first"))
    request.cancel(ServerDraining("second"))
    with pytest.raises(ServerDraining, match="first"):
        await working
    assert request.is_cancelled
    assert num_done < 20


async def test_a_cancelled_request_starts_no_further_work() -> None:
    request = RequestScope()
    request.cancel(ServerDraining("over"))
    started_s = time.monotonic()
    with pytest.raises(ServerDraining):
        async with request.running():
            await asyncio.sleep(10)
    assert time.monotonic() - started_s < 5


async def test_a_deadline_ends_work_and_a_timeout_inside_stays_one() -> None:
    request = RequestScope(deadline_s=time.monotonic() + 0.05)
    with pytest.raises(DeadlineExceeded, match="passed its deadline"):
        async with request.running():
            await asyncio.sleep(5)
    with pytest.raises(TimeoutError):
        async with RequestScope().running(), asyncio.timeout(0.01):
            await asyncio.sleep(5)


async def test_a_detached_request_is_the_same_without_its_deadline_and_cancellation() -> None:
    request = RequestScope("id", "10.0.0.7", "a/b", 3, deadline_s=0.0, tenant="a hash")
    request.cancel(ServerDraining("over"))
    detached = request.detached()
    named = (detached.request_id, detached.client, detached.model, detached.priority, detached.tenant)
    assert named == ("id", "10.0.0.7", "a/b", 3, "a hash")
    async with detached.running():
        await asyncio.sleep(0)
    assert not detached.is_cancelled


async def test_work_in_time_is_not_touched() -> None:
    request = RequestScope(deadline_s=time.monotonic() + 5)
    for _ in range(2):
        async with request.running():
            await asyncio.sleep(0)
    request.cancel(ServerDraining("late"))
    await asyncio.sleep(0)


async def test_a_limit_of_time_counts_from_the_arrival_and_at_once() -> None:
    request = RequestScope()

    async def work() -> None:
        async with request.running():
            for timeout_s in (60, 0.05, 90):
                request.limit_time(timeout_s)
            await asyncio.sleep(5)

    with pytest.raises(DeadlineExceeded):
        await work()
    assert request.deadline_s == request.arrived_s + 0.05
    assert request.left_s < 0


@pytest.mark.parametrize(
    ("reason", "has_missed"), [(None, True), (DeadlineUnreachable("busy"), True), (ServerDraining("over"), False)]
)
async def test_a_missed_deadline_is_known_while_the_work_ends_and_later(
    reason: AsrError | None, has_missed: bool
) -> None:
    request, seen = RequestScope(), list[bool]()

    async def work() -> None:
        async with request.running():
            seen.append(request.has_missed_deadline)
            request.limit_time(0.01) if reason is None else request.cancel(reason)
            try:
                await asyncio.sleep(5)
            finally:
                seen.append(request.has_missed_deadline)

    with pytest.raises(DeadlineExceeded if reason is None else type(reason)):
        await work()
    assert [*seen, request.has_missed_deadline] == [False, has_missed, has_missed]


async def test_the_listener_of_detached_work_can_still_be_cancelled() -> None:
    request = RequestScope(deadline_s=time.monotonic() + 5)
    detached = request.detached()
    assert request.listener is request
    detached.listener.cancel(ServerDraining("over"))
    with pytest.raises(ServerDraining):
        async with request.running():
            await asyncio.sleep(5)
    assert not detached.is_cancelled
