"""HTTP client of the measured server: posts bodies, repeats refused ones, and measures the round trip of each."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import httpx

MAX_RETRY_S, MAX_TRIES = 5.0, 60
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """elapsed_s: round trip with refusals and waiting; processing_s: as the server reports it; num_refused: 429s"""

    name: str
    status: int
    audio_s: float
    elapsed_s: float
    processing_s: float
    num_refused: int = 0
    error: str = ""


class Server:
    def __init__(self, http: httpx.AsyncClient, query: dict[str, str]) -> None:
        self._http = http
        self._query = query

    async def post(self, name: str, body: bytes | AsyncIterator[bytes] | dict[str, str]) -> Reply:
        """Repeats the request while it is refused; a stream can be sent only once."""
        content = {"json": body} if isinstance(body, dict) else {"content": body}
        started_s, num_refused = time.perf_counter(), 0
        for _ in range(MAX_TRIES if isinstance(body, bytes | dict) else 1):
            try:
                reply = await self._http.post("/asr", params=self._query, **content)
            except httpx.HTTPError as failure:
                return Reply(name, 0, 0, time.perf_counter() - started_s, 0, num_refused, type(failure).__name__)
            if reply.status_code != 429:
                break
            num_refused += 1
            await asyncio.sleep(min(MAX_RETRY_S, float(reply.headers.get("retry-after", 1))))
        elapsed_s = time.perf_counter() - started_s
        audio_s, took_s = (float(reply.headers.get(key, 0)) for key in ("x-audio-length", "x-processing-time"))
        error = "" if reply.status_code == 200 else reply.text[:200]
        return Reply(name, reply.status_code, audio_s, elapsed_s, took_s, num_refused, error)

    async def count(self, name: str) -> float:
        """A counter of the server since its start, summed over models: windows or tokens."""
        return await self.gauge(f"{name}_total")

    async def gauge(self, name: str) -> float:
        """Its value now, summed over models."""
        page = (await self._http.get("/metrics")).text
        values = re.findall(rf"^asr_{name}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE)
        return sum(map(float, values))


@asynccontextmanager
async def connected(url: str, query: Sequence[str]) -> AsyncIterator[Server]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits, trust_env=False) as http:  # noqa: S113 – a benchmark waits for slow replies
        yield Server(http, dict(part.split("=", 1) for part in query))


async def send_all(bodies: Iterable[T], num_clients: int, send: Callable[[T], Awaitable[Reply]]) -> list[Reply]:
    """From this many clients, each of which sends its next body when it has the reply to the one before."""
    queue = iter(bodies)

    async def client() -> list[Reply]:
        return [await send(body) for body in queue]

    return [*chain(*await asyncio.gather(*(client() for _ in range(num_clients))))]
