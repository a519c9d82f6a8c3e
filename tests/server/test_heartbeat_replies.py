"""Heartbeat replies: quick work has its own status, slow work keeps the connection alive, failures are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive

from asr_api.errors import AsrError, InvalidAudio
from asr_api.server.heartbeat_replies import EventStreamReply, ReplyHeartbeat, WorkReply

pytestmark = pytest.mark.anyio

QUICK = ReplyHeartbeat(patience_s=30, interval_s=30, content=b" ")
SLOW = ReplyHeartbeat(patience_s=0.02, interval_s=0.02, content=b" ")
FAILURE = InvalidAudio("The audio is damaged; send the whole file.")


@asynccontextmanager
async def connected(_receive: Receive) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def soon_gone(_receive: Receive) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(0.05):
            yield
    except TimeoutError:
        raise ClientDisconnect from None


async def sent_by(reply: Response, sent: list[Message] | None = None) -> list[Message]:
    messages = [] if sent is None else sent

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        messages.append(message)

    await reply({"type": "http", "state": {}}, receive, send)
    return messages


def body_of(messages: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in messages)


async def test_quick_work_has_its_own_status_and_headers() -> None:
    async def work() -> Response:
        return Response(b"[]", 201, {"x-figure": "7"})

    start, body = await sent_by(WorkReply(work, connected, QUICK))
    assert start["status"] == 201
    assert {(b"x-figure", b"7"), (b"content-length", b"2")} <= set(start["headers"])
    assert body["body"] == b"[]"


async def test_slow_work_sends_blanks_before_its_json() -> None:
    async def work() -> Response:
        await asyncio.sleep(0.1)
        return Response(b'{"text": ""}')

    messages = await sent_by(WorkReply(work, connected, SLOW))
    assert messages[0]["status"] == 200
    assert b"content-length" not in dict(messages[0]["headers"])
    assert body_of(messages).startswith(b"  ")
    assert json.loads(body_of(messages)) == {"text": ""}


async def test_a_format_without_heartbeats_waits() -> None:
    async def work() -> Response:
        await asyncio.sleep(0.1)
        return Response(b"Hello", 200)

    assert len(await sent_by(WorkReply(work, connected, None))) == 2


@pytest.mark.parametrize(("heartbeat", "num_sent"), [(QUICK, 0), (None, 0)])
async def test_a_failure_before_the_headers_is_raised(heartbeat: ReplyHeartbeat | None, num_sent: int) -> None:
    async def work() -> Response:
        raise FAILURE

    sent: list[Message] = []
    with pytest.raises(InvalidAudio):
        await sent_by(WorkReply(work, connected, heartbeat), sent)
    assert len(sent) == num_sent


async def test_a_failure_behind_the_headers_breaks_the_reply_off() -> None:
    async def work() -> Response:
        await asyncio.sleep(0.1)
        raise FAILURE

    sent: list[Message] = []
    with pytest.raises(InvalidAudio):
        await sent_by(WorkReply(work, connected, SLOW), sent)
    assert sent[0]["status"] == 200
    assert all(message["more_body"] for message in sent[1:])


async def test_work_ends_when_the_client_leaves() -> None:
    has_ended = asyncio.Event()

    async def work() -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            has_ended.set()
        raise AssertionError

    @asynccontextmanager
    async def guard(receive: Receive) -> AsyncIterator[None]:
        try:
            async with soon_gone(receive):
                yield
        finally:
            assert has_ended.is_set()

    with pytest.raises(ClientDisconnect):
        await sent_by(WorkReply(work, guard, SLOW))


def stream(events: Any, *, guard: Any = connected, heartbeat: ReplyHeartbeat = QUICK) -> EventStreamReply:
    def error_event(error: AsrError) -> str:
        return f"data: {error.code}\n\n"

    return EventStreamReply(events, guard, error_event, heartbeat)


async def test_events_are_sent_as_they_come() -> None:
    goes_on = asyncio.Event()
    sent: list[Message] = []

    async def events() -> AsyncGenerator[str, None]:
        yield "data: 1\n\n"
        await goes_on.wait()
        yield "data: 2\n\n"

    sending = asyncio.create_task(sent_by(stream(events), sent))
    await asyncio.sleep(0.05)
    assert body_of(sent) == b"data: 1\n\n"
    goes_on.set()
    await sending
    assert body_of(sent) == b"data: 1\n\ndata: 2\n\n"
    assert not sent[-1].get("more_body")


async def test_comments_keep_a_silent_stream_alive() -> None:
    async def events() -> AsyncGenerator[str, None]:
        await asyncio.sleep(0.1)
        yield "data: 1\n\n"

    comments = ReplyHeartbeat(0.02, 0.02, b": heartbeat\n\n")
    body = body_of(await sent_by(stream(events, heartbeat=comments)))
    assert body.count(b": heartbeat\n\n") >= 2
    assert body.endswith(b"data: 1\n\n")


async def test_a_failing_stream_is_refused_or_ends_with_an_error() -> None:
    async def failing() -> AsyncGenerator[str, None]:
        raise FAILURE
        yield ""

    async def failing_later() -> AsyncGenerator[str, None]:
        yield "data: 1\n\n"
        raise FAILURE

    with pytest.raises(InvalidAudio):
        await sent_by(stream(failing))
    assert body_of(await sent_by(stream(failing_later))) == b"data: 1\n\ndata: invalid_audio\n\n"


async def test_an_unexpected_failure_is_told_and_raised() -> None:
    async def failing() -> AsyncGenerator[str, None]:
        yield "data: 1\n\n"
        raise RuntimeError

    sent: list[Message] = []
    with pytest.raises(RuntimeError):
        await sent_by(stream(failing), sent)
    assert body_of(sent).endswith(b"data: internal_error\n\n")


async def test_a_stream_ends_when_the_client_leaves() -> None:
    has_ended = asyncio.Event()

    async def events() -> AsyncGenerator[str, None]:
        try:
            while True:
                await asyncio.sleep(0)
                yield "data: 1\n\n"
        finally:
            has_ended.set()

    with pytest.raises(ClientDisconnect):
        await sent_by(stream(events, guard=soon_gone))
    assert has_ended.is_set()


async def test_a_client_may_leave_when_it_has_the_last_event() -> None:
    """As OpenAI's, which reads no further than `[DONE]`."""

    async def events() -> AsyncGenerator[str, None]:
        yield "data: [DONE]\n\n"

    @asynccontextmanager
    async def left_at_the_end(_receive: Receive) -> AsyncIterator[None]:
        yield
        raise ClientDisconnect

    messages = await sent_by(stream(events, guard=left_at_the_end))
    assert body_of(messages) == b"data: [DONE]\n\n"
    assert messages[-1] == {"type": "http.response.body"}


async def test_a_slow_reader_holds_the_work_back() -> None:
    num_made = 0

    async def events() -> AsyncGenerator[str, None]:
        nonlocal num_made
        for num_made in range(1, 1_000):  # noqa: B007
            yield "data: 1\n\n"

    async def send(_message: Message) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ClientDisconnect):
        await stream(events, guard=soon_gone)({"type": "http", "state": {}}, _never, send)
    assert num_made < 30


async def _never() -> Message:
    raise AssertionError
