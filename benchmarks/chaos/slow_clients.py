"""Slow clients: the latency of honest clips before, and while many connections of one slow kind are held."""

# ruff: noqa: T201 – a program that prints a table

from __future__ import annotations

import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from benchmarks.chaos.accounting import percentile
from benchmarks.chaos.client import send
from benchmarks.chaos.clip_load import ClipServer, clip_server
from benchmarks.chaos.http_requests import http_request
from benchmarks.chaos.ledger import reference_key
from benchmarks.chaos.planned_requests import Manner, Mix, plan_request

HEADERS = b"POST /asr HTTP/1.1\r\nHost: localhost\r\n"
BODY = HEADERS + b"Content-Length: 1000000\r\n\r\n"
KINDS = {
    "idle": b"",
    "headers": HEADERS,
    "body": BODY,
    "body in chunks": HEADERS + b"Transfer-Encoding: chunked\r\n\r\n",
}
DRIPS = {"idle": b"", "headers": b"X-A: b\r\n", "body": b"x", "body in chunks": b"1\r\nx\r\n"}
DRIP_EVERY_S = 4.0
NUM_CLIPS = 30
PATIENCE_S = 60.0
SLOW_ADDRESS = "127.0.0.5"  # a client of its own, as the server counts
SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class HonestClips:
    times_s: list[float]
    num_right: int
    others: list[str]

    @property
    def row(self) -> str:
        p50, p95 = percentile(self.times_s, 50), percentile(self.times_s, 95)
        others = "".join(f", {num} x {answer}" for answer, num in Counter(self.others).items())
        return f"{self.num_right:>3} of {NUM_CLIPS} right{others}; p50 {p50:.3f} s, p95 {p95:.3f} s"


def measure_slow_clients(num: int) -> int:
    """The exit code: 0 only if each honest clip got its text."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    is_right = True
    with clip_server({"RESULT_CACHE_S": "0"}) as clips:
        send_clips(clips)
        before = send_clips(clips)
        print(f"{'before':<16} {before.row}", flush=True)
        for kind in KINDS:
            with slow_connections(clips.server.port, kind, num) as slow:
                time.sleep(SETTLE_S)
                during = send_clips(clips)
                print(f"{kind:<16} {during.row}; {slow.num_closed:,} closed and opened again", flush=True)
            is_right = is_right and during.num_right == NUM_CLIPS
            time.sleep(SETTLE_S)
    return 0 if is_right else 1


def send_clips(clips: ClipServer) -> HonestClips:
    """One after the other."""
    times_s: list[float] = []
    num_right, others = 0, []
    for number in range(NUM_CLIPS):
        planned = plan_request(1, number, Mix.CLIPS)
        started_s = time.perf_counter()
        request = http_request(planned, clips.recordings, "")
        answer = send(clips.server.port, request, Manner.PLAIN, PATIENCE_S)
        times_s.append(time.perf_counter() - started_s)
        is_right = answer.text == clips.expected[reference_key(planned)].text
        num_right += is_right
        if not is_right:
            others.append(f"{answer.status} {answer.code}{answer.problem}")
    return HonestClips(times_s, num_right, others)


class SlowConnections:
    """Connections that send a little from time to time; one that the server has closed is opened again."""

    def __init__(self, port: int, kind: str, num: int) -> None:
        self.num_closed = 0
        self._port, self._kind = port, kind
        self._connections = [self._open() for _ in range(num)]

    def drip(self) -> None:
        for number, connection in enumerate(self._connections):
            if not is_open(connection, DRIPS[self._kind]):
                connection.close()
                self.num_closed += 1
                self._connections[number] = self._open()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _open(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), PATIENCE_S, source_address=(SLOW_ADDRESS, 0))
        with suppress(ConnectionError):  # the server has closed it already, which the next drip notes
            connection.sendall(KINDS[self._kind])
        connection.setblocking(False)
        return connection


@contextmanager
def slow_connections(port: int, kind: str, num: int) -> Iterator[SlowConnections]:
    """Holds the connections while the block runs."""
    connections = SlowConnections(port, kind, num)
    is_over = threading.Event()

    def drip() -> None:
        while not is_over.wait(DRIP_EVERY_S):
            connections.drip()

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield connections
    finally:
        is_over.set()
        thread.join()
        connections.close()


def is_open(connection: socket.socket, drip: bytes) -> bool:
    """Sends the drip. An answer, such as 429, counts as open until the server closes."""
    try:
        connection.send(drip)
        return connection.recv(2**16) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
