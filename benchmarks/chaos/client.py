"""HTTP client of the load: sends one request in a given manner over a connection of its own; gives what came back."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from benchmarks.chaos.bad_requests import HttpRequest
from benchmarks.chaos.planned_requests import LEAVING, Manner

BLOCK_BYTES = 2**18
SLOW_BYTES_PER_S, TOO_SLOW_BYTES_PER_S = 48 * 1024, 2 * 1024
SLOW_PART_BYTES = 256 * 1024  # of a body; the rest is sent at once
DECODING_S = 0.3  # from the end of the upload until decoding has begun, as a rule
HUNG, CLOSED, LEFT = "hung", "closed", "left"


@dataclass(frozen=True, slots=True)
class Answer:
    """status: 0 without an answer; code: of an error; problem: "", or HUNG, CLOSED or LEFT, and why

    has_begun: the status came, perhaps with a part of the body
    """

    status: int = 0
    code: str = ""
    text: str = ""
    retry_after_s: float | None = None
    problem: str = ""
    has_begun: bool = False
    is_stream: bool = False


class _Left(Exception):
    """The client leaves, as its manner says."""


def send(port: int, request: HttpRequest, manner: Manner, patience_s: float) -> Answer:
    """Waits for the whole answer, for at most patience_s."""
    connection = _Connection(port, time.monotonic() + patience_s)
    try:
        connection.send(request, manner)
        return connection.receive(manner)
    except _Left:
        return Answer(problem=LEFT)
    except TimeoutError:
        return Answer(problem=LEFT if manner in LEAVING else HUNG, has_begun=connection.has_begun)
    except (OSError, HTTPException) as error:
        if manner in LEAVING:  # the server may close first, which is as good
            return Answer(problem=LEFT)
        return Answer(problem=f"{CLOSED}: {type(error).__name__}", has_begun=connection.has_begun)
    finally:
        connection.close()


class _Connection:
    def __init__(self, port: int, deadline_s: float) -> None:
        self.has_begun = False
        self._deadline_s = deadline_s
        self._http = HTTPConnection("127.0.0.1", port)
        self._socket: socket.socket | None = None

    def close(self) -> None:
        self._http.close()
        if self._socket is not None:
            self._socket.close()

    def send(self, request: HttpRequest, manner: Manner) -> None:
        self._http.timeout = self._left_s()
        self._http.connect()
        self._socket = self._http.sock
        if manner is Manner.LEAVES_IN_HEADERS:
            self._socket.sendall(f"POST {request.path} HTTP/1.1\r\nHost: localhost\r\nContent-Le".encode())
            raise _Left
        self._http.putrequest("POST", request.path)
        for name, value in request.headers.items():
            self._http.putheader(name, value)
        self._http.putheader("content-length", str(len(request.body)))
        with suppress(ConnectionError):  # the server may answer before it has the whole body
            self._http.endheaders()
            self._send_body(request.body, manner)

    def _send_body(self, body: bytes, manner: Manner) -> None:
        if manner is Manner.LEAVES_IN_UPLOAD:
            self._http.send(body[: len(body) // 2])
            raise _Left
        start = 0
        if manner in {Manner.SLOW, Manner.TOO_SLOW}:
            start = self._send_slowly(body, SLOW_BYTES_PER_S if manner is Manner.SLOW else TOO_SLOW_BYTES_PER_S)
        for block_start in range(start, len(body), BLOCK_BYTES):
            self._limit()
            self._http.send(body[block_start : block_start + BLOCK_BYTES])
        if manner is Manner.LEAVES_QUEUED:
            raise _Left

    def _send_slowly(self, body: bytes, bytes_per_s: int) -> int:
        """Returns how many bytes were sent."""
        size, end = bytes_per_s // 4, min(len(body), SLOW_PART_BYTES)
        for start in range(0, end, size):
            self._limit()
            self._http.send(body[start : min(start + size, end)])
            time.sleep(0.25)
        return end

    def receive(self, manner: Manner) -> Answer:
        if manner is Manner.LEAVES_DECODING:
            time.sleep(DECODING_S)
            raise _Left
        self._limit()
        response = self._http.getresponse()
        self.has_begun = True
        parts = []
        while part := self._read(response):
            parts.append(part)
            if manner is Manner.LEAVES_IN_REPLY:
                raise _Left
        if response.length:
            raise ConnectionError("the body is shorter than its Content-Length")
        return parse_answer(response.status, dict(response.getheaders()), b"".join(parts))

    def _read(self, response: HTTPResponse) -> bytes:
        self._limit()
        return response.read1(BLOCK_BYTES)

    def _limit(self) -> None:
        assert self._socket is not None  # noqa: S101
        self._socket.settimeout(self._left_s())

    def _left_s(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


def parse_answer(status: int, headers: dict[str, str], body: bytes) -> Answer:
    """Of a complete body. A stream of events without its last event counts as closed."""
    headers = {name.lower(): value for name, value in headers.items()}
    retry_after_s = float(headers["retry-after"]) if "retry-after" in headers else None
    is_stream = headers.get("content-type", "").startswith("text/event-stream")
    try:
        reply = _last_event(body) if is_stream else json.loads(body)
    except ValueError as error:
        return Answer(status, problem=f"{CLOSED}: {error}", has_begun=True, is_stream=is_stream)
    if "error" in reply:
        code = reply["error"].get("code") if isinstance(reply["error"], dict) else reply.get("code")
        return Answer(status, str(code), "", retry_after_s, has_begun=True, is_stream=is_stream)
    return Answer(status, "", str(reply.get("text", "")), retry_after_s, has_begun=True, is_stream=is_stream)


def _last_event(body: bytes) -> dict[str, Any]:
    """The event with the whole text, or with an error. Raises ValueError without one."""
    for line in reversed(body.decode().splitlines()):
        if line.startswith("data: {"):
            event: dict[str, Any] = json.loads(line.removeprefix("data: "))
            is_last = "error" in event or "duration" in event or event.get("type") == "transcript.text.done"
            if not is_last:
                break
            return event
    raise ValueError("the stream has no last event")
