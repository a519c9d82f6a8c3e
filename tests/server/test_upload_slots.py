"""Upload slots: slow senders are dropped, fast ones and downloads are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from asr_api.errors import RequestTimeout, ServerOverloaded
from asr_api.server import upload_slots
from asr_api.server.upload_slots import DOWNLOADS, UploadSlots

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_slots, "EVICTION_GRACE_S", 0.05)


async def send(slots: UploadSlots, num_bytes: int, account: str = "") -> None:
    """Sends this number of bytes at once, and then none."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield bytes(num_bytes)
        await asyncio.Event().wait()

    async with slots.slot(account) as slot:
        async for _ in slot.measured(chunks()):
            pass


async def expect_refusal(slots: UploadSlots, num_slots: int) -> None:
    with pytest.raises(ServerOverloaded, match=f"receiving {num_slots} recordings"):
        async with slots.slot():
            pass


async def test_when_all_slots_are_taken_the_slowest_sender_is_dropped() -> None:
    slots = UploadSlots(3)
    senders = [asyncio.create_task(send(slots, num_bytes)) for num_bytes in (10**6, 4, 10**6)]
    await asyncio.sleep(0.1)
    async with slots.slot():
        with pytest.raises(RequestTimeout, match="while all 3 upload slots were taken: it came slower than 16 KiB/s"):
            await senders[1]
        await expect_refusal(slots, 3)
    assert not senders[0].done()
    for sender in (senders[0], senders[2]):
        sender.cancel()
    await asyncio.wait(senders)
    async with slots.slot(), slots.slot(), slots.slot():
        pass


async def test_a_new_sender_is_not_slow_yet_and_a_download_is_never_slow() -> None:
    slots = UploadSlots(2)
    sender = asyncio.create_task(send(slots, 4))
    async with slots.slot():  # a download, which is not measured
        await asyncio.sleep(0.01)
        await expect_refusal(slots, 2)
        await asyncio.sleep(0.1)
        async with slots.slot() as slot:
            assert slot.bytes_per_s == float("inf")
            await expect_refusal(slots, 2)
    with pytest.raises(RequestTimeout):
        await sender


async def test_a_sender_that_stalls_is_dropped_although_slots_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_slots, "GRACE_S", 0.1)
    with pytest.raises(RequestTimeout, match="The body came slower than 16 KiB/s; use a faster connection"):
        await asyncio.wait_for(send(UploadSlots(2), 4), 5)


async def test_a_timeout_of_the_work_is_not_hidden() -> None:
    with pytest.raises(TimeoutError):
        async with UploadSlots(1).slot():
            raise TimeoutError


async def test_a_sender_that_falls_silent_is_dropped_however_fast_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_slots, "MAX_SILENCE_S", 0.1)
    with pytest.raises(RequestTimeout, match=r"The body stopped for 0\.1 s"):
        await send(UploadSlots(1), 10**8)


async def test_when_all_slots_are_taken_a_silent_sender_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_slots, "EVICTION_SILENCE_S", 0.05)
    slots = UploadSlots(1)
    sender = asyncio.create_task(send(slots, 10**8))
    await asyncio.sleep(0.1)
    async with slots.slot():
        with pytest.raises(RequestTimeout, match="while all 1 upload slots were taken"):
            await sender


async def test_an_account_without_a_slot_gets_one_beyond_the_limit() -> None:
    async with AsyncExitStack() as taken:
        slots = UploadSlots(8)
        for _ in range(8):
            await taken.enter_async_context(slots.slot("many"))
        for account in ("first", "second"):
            await taken.enter_async_context(slots.slot(account))
        for account in ("many", "first"):
            with pytest.raises(ServerOverloaded):
                await taken.enter_async_context(slots.slot(account))


async def test_beyond_that_a_new_account_takes_the_place_of_the_one_with_most_slots() -> None:
    """Within the grace of its uploads, too."""
    slots = UploadSlots(8)
    senders = [asyncio.create_task(send(slots, 10**6, "many")) for _ in range(10)]
    await asyncio.sleep(0.01)
    refused = [sender for sender in senders if sender.done()]
    assert [type(sender.exception()) for sender in refused] == [ServerOverloaded, ServerOverloaded]
    async with slots.slot("first"), slots.slot("second"), slots.slot("third"):
        await asyncio.sleep(0.01)
        dropped = [sender for sender in senders if sender.done() and sender not in refused]
        assert [type(sender.exception()) for sender in dropped] == [RequestTimeout]
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)


async def test_accounts_with_a_quarter_of_the_slots_or_less_keep_them() -> None:
    async with AsyncExitStack() as taken:
        slots = UploadSlots(8)
        for number in range(8):
            await taken.enter_async_context(slots.slot(f"account {number // 2}"))
        for account in ("first", "second"):
            await taken.enter_async_context(slots.slot(account))
        with pytest.raises(ServerOverloaded):
            await taken.enter_async_context(slots.slot("third"))


async def test_the_error_of_a_download_speaks_of_links() -> None:
    slots = UploadSlots(4, DOWNLOADS)

    async def download() -> None:
        async with slots.slot("many"):
            await asyncio.Event().wait()

    async with asyncio.timeout(5), AsyncExitStack() as taken:
        downloads = [asyncio.create_task(download()) for _ in range(4)]
        await asyncio.sleep(0)
        for account in ("first", "second"):
            await taken.enter_async_context(slots.slot(account))
        done, pending = await asyncio.wait(downloads, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(RequestTimeout, match="download of the link was dropped while all 4 download slots were"):
            done.pop().result()
        for other in pending:
            other.cancel()
        await asyncio.wait(pending)
