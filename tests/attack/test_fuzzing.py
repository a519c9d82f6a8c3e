"""Generated requests of every kind get an answer below 500, and the server stays as it was.

The default suite tries a few hundred, always the same. `scripts/test -m attack` tries others, each kind for
`PYTEST_FUZZ_S` seconds; a failure shows the shortest request that it finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from asr_api.errors import AsrError
from asr_api.server.form_parts import read_parts
from tests.attack import fuzzing
from tests.attack.watched_server import Reply, Request, WatchedServer, error_code, watching
from tests.server.fakes import FakeService, client
from tests.server.forms import CONTENT_TYPE, form

# Read before the environment is cleaned for each test.
FUZZ_S = float(os.environ.get("PYTEST_FUZZ_S", "20"))
SEED = int(os.environ.get("PYTEST_SEED", "1"))
NUM_EXAMPLES = 250
NUM_EXAMPLES_OF_A_ROUND = 1000
PATIENCE_S = 0.05  # for a reply; then the client is done with sending
STATUS = re.compile(rb"^HTTP/1\.1 (\d{3})", re.MULTILINE)

KINDS: dict[str, st.SearchStrategy[Request]] = {
    "queries": fuzzing.queries, "references": fuzzing.references, "forms": fuzzing.forms(),
}  # fmt: skip
Check = Callable[[Any], None]


def run(check: Check, strategy: st.SearchStrategy[Any], num_examples: int) -> None:
    """The same examples each time."""
    bounded = settings(max_examples=num_examples, deadline=None, suppress_health_check=[*HealthCheck], database=None)
    bounded(given(strategy)(check))()


def run_for(check: Check, strategy: st.SearchStrategy[Any], length_s: float) -> int:
    """Other examples in each round; the number of them."""
    ends_s, num_examples = time.monotonic() + length_s, 0

    def counted(example: Any) -> None:
        nonlocal num_examples
        num_examples += 1
        check(example)

    rounds = settings(
        max_examples=NUM_EXAMPLES_OF_A_ROUND, derandomize=False, deadline=None, suppress_health_check=[*HealthCheck],
        database=None, phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    number = SEED * 10**6
    while time.monotonic() < ends_s:
        number += 1
        seed(number)(rounds(given(strategy)(counted)))()
    return num_examples


# -- inside this process: bodies, queries, the headers of parts ------------------------------------------------------


@pytest.fixture(scope="module")
def check_request() -> Iterator[Check]:
    with asyncio.Runner() as runner:
        http = client(FakeService())
        yield lambda request: runner.run(check_answer(http, request))
        runner.run(http.aclose())


async def check_answer(http: httpx.AsyncClient, request: Request) -> None:
    lines = (line.encode().split(b": ", 1) for line in request.headers)
    headers = [(name, text) for name, text in lines]
    reply = await http.request(request.method, request.target, content=request.body, headers=headers)
    assert reply.status_code < 500, reply.text
    if reply.status_code >= 400:
        error_code(request.target.partition("?")[0], Reply(reply.status_code, reply.headers, reply.content))


@pytest.mark.parametrize("kind", KINDS)
def test_a_generated_request_is_answered(check_request: Check, kind: str) -> None:
    run(check_request, KINDS[kind], NUM_EXAMPLES)


@pytest.mark.attack
@pytest.mark.parametrize("kind", KINDS)
def test_generated_requests_are_answered_for_long(check_request: Check, kind: str) -> None:
    print(f"{run_for(check_request, KINDS[kind], FUZZ_S):,} {kind}")


def check_disposition(disposition: bytes) -> None:
    """It names a part, whose name a test can encode, or it is an error of the request."""

    async def chunks() -> AsyncIterator[bytes]:
        yield form(b"Content-Disposition: " + disposition + b"\r\n\r\n1")

    async def read() -> None:
        async for part in read_parts(CONTENT_TYPE, chunks()):
            assert part.name
            assert "\n" not in part.name + (part.file_name or "")
            f"{part.name}{part.file_name}".encode()
            async for _ in part.content:
                pass

    with contextlib.suppress(AsrError):
        asyncio.run(read())


dispositions = fuzzing.damaged(fuzzing.dispositions.map(str.encode))


def test_a_generated_disposition_is_read_or_refused() -> None:
    run(check_disposition, dispositions, 2 * NUM_EXAMPLES)


@pytest.mark.attack
def test_generated_dispositions_are_read_or_refused_for_long() -> None:
    print(f"{run_for(check_disposition, dispositions, FUZZ_S):,} dispositions")


# -- on the wire: heads and bodies that no HTTP library would send --------------------------------------------------


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    with watching(tmp_path_factory.mktemp("server"), {"has_marks": False}, MAX_UPLOAD_MB="1") as server:
        yield server


def check_wire(watched: WatchedServer, data: bytes) -> None:
    """Every reply is below 500, and the server closes when the client has sent everything."""
    received = bytearray()
    with watched.server.connect() as wire, contextlib.suppress(ConnectionError):
        wire.sendall(data)
        wire.settimeout(PATIENCE_S)
        with contextlib.suppress(TimeoutError):
            while piece := wire.recv(2**16):
                received += piece
        wire.shutdown(1)
        wire.settimeout(10)
        while piece := wire.recv(2**16):
            received += piece
    statuses = [int(status) for status in STATUS.findall(received)]
    assert all(status < 500 for status in statuses), received


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"


@pytest.mark.parametrize("first", [b"POST /asr", b"HEAD /hc", b"CONNECT /hc", b"GET /docs/start.js"])
@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n", b"Connection: close\r\n"])
def test_a_malformed_chunk_that_comes_with_its_head_is_no_failure(
    watched: WatchedServer, first: bytes, more: bytes
) -> None:
    check_wire(watched, first + b" HTTP/1.1\r\nHost: x\r\n" + more + CHUNKED)
    watched.check_unharmed()


def test_a_generated_head_is_answered_or_the_connection_closed(watched: WatchedServer) -> None:
    run(lambda data: check_wire(watched, data), fuzzing.heads, NUM_EXAMPLES)
    watched.check_unharmed()


@pytest.mark.attack
def test_generated_heads_are_answered_or_connections_closed_for_long(watched: WatchedServer) -> None:
    print(f"{run_for(lambda data: check_wire(watched, data), fuzzing.heads, FUZZ_S):,} heads")
    watched.check_unharmed()
