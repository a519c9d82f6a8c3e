"""Replies that are worked out while the connection is open: one body, or a stream of events, with heartbeats.

Clients and proxies drop a connection on which nothing comes for a while: Node's fetch after 300 s, Cloudflare after
100 s. So a body that takes long is preceded by blanks, which JSON allows, and a stream of events has comments.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from asr_api.errors import AsrError, InternalError

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # nginx would hold the events back
MAX_UNSENT_EVENTS = 16

Guard = Callable[[Receive], AbstractAsyncContextManager[None]]
"""Around the work: raises what ends it early, such as ClientDisconnect."""


@dataclass(frozen=True, slots=True)
class ReplyHeartbeat:
    """patience_s: until the headers are sent without a body; interval_s: between heartbeats from then on"""

    patience_s: float
    interval_s: float
    content: bytes


# Errors have their own status as long as the headers are not sent. Those of a file come at its beginning, as a rule.
JSON_HEARTBEAT = ReplyHeartbeat(patience_s=50.0, interval_s=20.0, content=b" ")
EVENT_HEARTBEAT = ReplyHeartbeat(patience_s=2.0, interval_s=15.0, content=b": heartbeat\n\n")

MAX_SILENT_S = 280.0  # below the 300 s of Node's fetch


def is_near(left_s: float) -> bool:
    """Whether a deadline should be waited for without heartbeats, so that its error has its own status."""
    return left_s < MAX_SILENT_S


class WorkReply(Response):
    """The response that `work` returns; the connection is closed if the work fails after the first heartbeat.

    The client then sends the request again, and gets the error with its status.
    """

    def __init__(
        self, work: Callable[[], Coroutine[None, None, Response]], guard: Guard, heartbeat: ReplyHeartbeat | None
    ) -> None:
        """heartbeat: None where the format allows none"""
        super().__init__(media_type="application/json")
        self._work = work
        self._guard = guard
        self._heartbeat = heartbeat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._guard(receive):
            task = asyncio.create_task(self._work())
            try:
                has_begun = await self._wait(task, send)
                response = await task
            finally:
                await _end(task)  # before the guard closes what it works with
        if has_begun:
            await send({"type": "http.response.body", "body": response.body})
        else:
            await response(scope, receive, send)

    async def _wait(self, task: asyncio.Task[Response], send: Send) -> bool:
        """Returns whether the reply has begun when the task is done."""
        if self._heartbeat is None:
            await asyncio.wait([task])
            return False
        await asyncio.wait([task], timeout=self._heartbeat.patience_s)
        if task.done():
            return False
        del self.headers["content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while not task.done():
            await send({"type": "http.response.body", "body": self._heartbeat.content, "more_body": True})
            await asyncio.wait([task], timeout=self._heartbeat.interval_s)
        return True


class EventStreamReply(Response):
    """Server-sent events, each written as `events` yields it; an error after the first byte is an event, too."""

    def __init__(
        self,
        events: Callable[[], AsyncGenerator[str, None]],
        guard: Guard,
        error_event: Callable[[AsrError], str],
        heartbeat: ReplyHeartbeat = EVENT_HEARTBEAT,
    ) -> None:
        super().__init__(media_type=EVENT_STREAM, headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._guard = guard
        self._error_event = error_event
        self._heartbeat = heartbeat
        self._has_begun = False
        self._is_complete = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._guard(receive):
                await self._send_events(send)
        except ClientDisconnect:
            if not self._is_complete:  # OpenAI's client leaves as soon as it has the last event
                raise
        except AsrError as error:
            if not self._has_begun:
                raise
            scope["state"]["error_code"] = error.code
            await self._send(send, self._error_event(error).encode())
        except Exception:
            if self._has_begun:
                sentence = "The server failed unexpectedly; its log has the details of the request."
                await self._send(send, self._error_event(InternalError(sentence)).encode())
            raise
        await send({"type": "http.response.body"})

    async def _send_events(self, send: Send) -> None:
        produced, unsent = anyio.create_memory_object_stream[str](MAX_UNSENT_EVENTS)
        task = asyncio.create_task(self._produce(produced))
        try:
            with unsent:
                while (event := await self._next(unsent)) is not None:
                    await self._send(send, event)
            await task
        finally:
            has_ended = task.done() and not task.cancelled() and task.exception() is None
            self._is_complete = has_ended and unsent.statistics().current_buffer_used == 0
            await _end(task)

    async def _next(self, unsent: MemoryObjectReceiveStream[str]) -> bytes | None:
        """The next event, or a heartbeat; None after the last event."""
        try:
            async with asyncio.timeout(self._heartbeat.interval_s if self._has_begun else self._heartbeat.patience_s):
                return (await unsent.receive()).encode()
        except TimeoutError:
            return self._heartbeat.content
        except anyio.EndOfStream:
            return None

    async def _produce(self, produced: MemoryObjectSendStream[str]) -> None:
        with produced:
            async with aclosing(self._events()) as events:
                async for event in events:
                    await produced.send(event)

    async def _send(self, send: Send, content: bytes) -> None:
        if not self._has_begun:
            self._has_begun = True
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": content, "more_body": True})


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
