"""What an exchange promises to the work that reads from it."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from starlette.types import Message

from asr_api.errors import ServerDraining
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.request_limits import RequestLimits

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("num_steps", range(2, 8))
async def test_an_upload_ends_with_the_server_whatever_piece_of_it_is_just_coming(num_steps: int) -> None:
    pieces = itertools.count()

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x", "more_body": next(pieces) < 1_000}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    async def read() -> None:
        while (await exchange.receive())["more_body"]:
            pass

    headers = [(b"transfer-encoding", b"chunked")]
    exchange = RequestLimits(
        {"type": "http", "method": "POST", "path": "/asr", "headers": headers}, receive, send, 2**20
    )
    entrance = ServiceHandle()
    working = asyncio.create_task(entrance.run(read()))
    for _ in range(num_steps):
        await asyncio.sleep(0)
    entrance.abort()
    with pytest.raises(ServerDraining):
        await working
    assert next(pieces) < 20
