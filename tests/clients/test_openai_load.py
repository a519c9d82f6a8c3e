"""OpenAI's Python clients all at once, and clients that leave: no text is mixed up, and no slot stays busy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.openai_calls import MODEL, openai_options
from tests.server.running import Server, serving, wav

NUM_CLIENTS = 100
FREED_S = 2.0
pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A window takes 30 s."""
    with serving(tmp_path_factory.mktemp("slow"), {"step_s": 0.03, "steps_per_window": 1000}) as server:
        yield server


def numbers_of(client: int) -> list[int]:
    return [client, 100 + client, 299 - client]


@pytest.mark.anyio
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_hundred_clients_get_their_own_text(scripted: Server, is_streamed: bool) -> None:
    async def text_of(numbers: list[int]) -> str:
        file = ("audio.wav", wav(*numbers))
        if not is_streamed:
            return (await client.audio.transcriptions.create(file=file, model=MODEL)).text
        stream = await client.audio.transcriptions.create(file=file, model=MODEL, stream=True)
        *_, done = [event async for event in stream]
        return done.text if done.type == "transcript.text.done" else ""

    async with AsyncOpenAI(**openai_options(scripted)) as client:
        texts = await asyncio.gather(*(text_of(numbers_of(number)) for number in range(1, NUM_CLIENTS + 1)))
    assert texts == [" ".join(map(str, numbers_of(number))) for number in range(1, NUM_CLIENTS + 1)]


def assert_freed(server: Server) -> None:
    for name in ("asr_busy_slots", "asr_open_requests", "asr_queued_windows"):
        server.wait_for_metric(name, 0, FREED_S)


def test_a_closed_stream_frees_its_slot(slow: Server) -> None:
    with OpenAI(**openai_options(slow)) as client:
        stream = client.audio.transcriptions.create(file=("a.wav", wav(7)), model=MODEL, stream=True)
        slow.wait_for_metric("asr_busy_slots", 1)
        stream.close()
        assert_freed(slow)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_timeout_frees_its_slot(slow: Server, is_streamed: bool) -> None:
    with OpenAI(**openai_options(slow) | {"timeout": 1.0}) as client, pytest.raises(openai.APITimeoutError):
        client.audio.transcriptions.create(file=("a.wav", wav(7)), model=MODEL, stream=is_streamed)
    assert_freed(slow)


@pytest.mark.anyio
async def test_a_cancelled_call_frees_its_slot(slow: Server) -> None:
    async with AsyncOpenAI(**openai_options(slow)) as client:
        call = asyncio.create_task(client.audio.transcriptions.create(file=("a.wav", wav(7)), model=MODEL))
        await asyncio.to_thread(slow.wait_for_metric, "asr_busy_slots", 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(assert_freed, slow)
