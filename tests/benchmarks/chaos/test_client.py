"""benchmarks/chaos/client.py against a socket: it reads each shape of an answer, and leaves when it should."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.chaos.bad_requests import HttpRequest
from benchmarks.chaos.client import CLOSED, HUNG, LEFT, Answer, parse_answer, send
from benchmarks.chaos.planned_requests import LEAVING, Manner

REQUEST = HttpRequest("/asr", bytes(1000))
EVENTS = {"Content-Type": "text/event-stream"}


@contextmanager
def answering(reply: bytes | None) -> Iterator[int]:
    """A server of one connection that reads, then sends this and closes; None sends nothing and keeps it open."""
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                while reply is not None and (part := connection.recv(2**16)) and not part.endswith(REQUEST.body[-9:]):
                    pass
                if reply is None:
                    is_over.wait(10)
                else:
                    connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        is_over.set()
        thread.join()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"text": " a"}', Answer(200, text=" a", has_begun=True)),
        (b"", Answer(problem=f"{CLOSED}: RemoteDisconnected")),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n {",
            Answer(problem=f"{CLOSED}: ConnectionError", has_begun=True),
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n",
            Answer(problem=f"{CLOSED}: IncompleteRead", has_begun=True),
        ),
    ],
)
def test_an_answer_is_read_to_its_end(reply: bytes, expected: Answer) -> None:
    with answering(reply) as port:
        assert send(port, REQUEST, Manner.PLAIN, 5) == expected


def test_no_answer_is_a_hang() -> None:
    with answering(None) as port:
        assert send(port, REQUEST, Manner.PLAIN, 0.2).problem == HUNG


@pytest.mark.parametrize("manner", LEAVING)
def test_a_client_leaves(manner: Manner) -> None:
    with answering(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"text": " a"}') as port:
        assert send(port, REQUEST, manner, 5).problem == LEFT


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (429, {"Retry-After": "2"}, {"error": "full", "code": "server_overloaded"}, ("server_overloaded", "", 2)),
        (400, {}, {"error": {"message": "no", "code": "missing_file"}}, ("missing_file", "", None)),
        (200, {}, {"text": "a", "chunks": []}, ("", "a", None)),
    ],
)
def test_answers_of_each_api_are_read(
    status: int, headers: dict[str, str], body: object, expected: tuple[str, str, float | None]
) -> None:
    answer = parse_answer(status, headers, json.dumps(body).encode())
    assert (answer.code, answer.text, answer.retry_after_s) == expected


@pytest.mark.parametrize(
    ("events", "code", "text"),
    [
        ('event: chunk\ndata: {"text": " a"}\n\nevent: done\ndata: {"text": " a b", "duration": 2}\n\n', "", " a b"),
        ('data: {"type": "transcript.text.done", "text": "a"}\n\ndata: [DONE]\n\n', "", "a"),
        ('event: error\ndata: {"error": "no", "code": "spool_full"}\n\n', "spool_full", ""),
        ('data: {"type": "error", "error": {"code": "spool_full"}}\n\n', "spool_full", ""),
    ],
)
def test_the_last_event_of_a_stream_is_read(events: str, code: str, text: str) -> None:
    answer = parse_answer(200, EVENTS, events.encode())
    assert (answer.code, answer.text, answer.problem) == (code, text, "")


def test_a_stream_without_its_last_event_is_not_complete() -> None:
    answer = parse_answer(200, EVENTS, b'event: chunk\ndata: {"text": " a", "timestamp": [0, 1]}\n\n')
    assert answer.problem.startswith(CLOSED)
