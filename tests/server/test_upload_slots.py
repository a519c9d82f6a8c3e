"""Who sends next to nothing keeps nobody out, and nobody who sends is sent away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from asr_api.errors import RequestTimeout, ServerOverloaded
from asr_api.server import upload_slots as receiving
from asr_api.server.upload_slots import UploadSlot, UploadSlots

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "GRACE_S", 0.05)


async def send(places: UploadSlots, num_bytes: int) -> None:
    """So many bytes at once, and then nothing more for ever."""

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(num_bytes)
        await asyncio.Event().wait()

    async with places.place() as place:
        async for _ in place.counted(chunks()):
            pass


async def test_when_every_place_is_taken_the_slowest_sender_gives_its_own() -> None:
    places = UploadSlots(3)
    senders = [asyncio.create_task(send(places, num_bytes)) for num_bytes in (10**6, 4, 10**6)]
    await asyncio.sleep(0.1)
    async with places.place():
        with pytest.raises(RequestTimeout, match="slower than 16 KiB/s while others waited"):
            await senders[1]
        with pytest.raises(ServerOverloaded, match="receiving 3 recordings"):
            async with places.place():
                pass
    assert not senders[0].done()
    for sender in (senders[0], senders[2]):
        sender.cancel()
    await asyncio.wait(senders)
    async with places.place(), places.place(), places.place():
        pass


async def test_at_first_nobody_is_slow_and_downloads_never_are() -> None:
    places = UploadSlots(2)
    sender = asyncio.create_task(send(places, 4))
    async with places.place():  # as a download, which nobody counts
        await asyncio.sleep(0.01)
        with pytest.raises(ServerOverloaded):
            async with places.place():
                pass
        await asyncio.sleep(0.1)
        async with places.place() as place:
            assert place.bytes_per_s == float("inf")
            with pytest.raises(ServerOverloaded):
                async with places.place():
                    pass
    with pytest.raises(RequestTimeout):
        await sender


async def test_errors_of_what_comes_in_stay_what_they_are() -> None:
    async def run_late(place: UploadSlot) -> None:
        assert place.bytes_per_s == float("inf")
        raise TimeoutError

    with pytest.raises(TimeoutError):
        async with UploadSlots(1).place() as place:
            await run_late(place)
