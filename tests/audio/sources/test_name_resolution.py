"""Name resolution: lookups that hang stop neither other lookups nor other work in threads."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network

import anyio.to_thread
import pytest

from asr_api.audio.sources.name_resolution import NameResolver
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.audio.sources.url import fetch_url
from asr_api.errors import AsrError, ServerOverloaded, UrlFetchFailed, UrlFetchTimeout

pytestmark = pytest.mark.anyio


class NameServers:
    """Lookups of *.dead.test hang until `release`; other names resolve to 127.0.0.2."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.lookups: list[str] = []

    def look_up(self, host: str) -> list[str]:
        self.lookups.append(host)
        if host.endswith("dead.test"):
            self.release.wait(10)
        if host == "unknown.test":
            raise socket.gaierror
        return ["127.0.0.2"]


@pytest.fixture
def name_servers() -> Iterator[NameServers]:
    name_servers = NameServers()
    yield name_servers
    name_servers.release.set()


async def code_of(resolver: NameResolver, host: str, timeout_s: float = 0.2, account: str = "") -> str:
    try:
        await resolver.resolve(host, timeout_s, account)
    except AsrError as error:
        return error.code
    return "resolved"


async def test_names_resolve_or_are_unknown(name_servers: NameServers) -> None:
    resolver = NameResolver(name_servers.look_up)
    assert await resolver.resolve("good.test", 5.0) == ["127.0.0.2"]
    with pytest.raises(UrlFetchFailed, match="not known"):
        await resolver.resolve("unknown.test", 5.0)
    assert await resolver.resolve("good.test", 5.0) == ["127.0.0.2"]
    assert name_servers.lookups == ["good.test", "unknown.test", "good.test"], "nothing is cached"


async def test_requests_for_a_host_whose_lookup_hangs_share_one_thread(name_servers: NameServers) -> None:
    resolver = NameResolver(name_servers.look_up, max_lookups=3)
    with pytest.raises(UrlFetchTimeout, match=r"0\.1 s"):
        await resolver.resolve("dead.test", 0.1)
    requests = [asyncio.create_task(code_of(resolver, "dead.test")) for _ in range(100)]
    assert await code_of(resolver, "good.test", 5.0) == "resolved"
    assert set(await asyncio.gather(*requests)) == {"url_fetch_timeout"}
    assert name_servers.lookups.count("dead.test") == 1


async def test_requests_are_refused_while_all_threads_are_taken(name_servers: NameServers) -> None:
    resolver = NameResolver(name_servers.look_up, max_lookups=4)
    codes = await asyncio.gather(*(code_of(resolver, f"{n}.dead.test") for n in range(3)))
    assert codes == ["url_fetch_timeout"] * 2 + ["server_overloaded"]
    with pytest.raises(ServerOverloaded) as caught:  # the threads are still there, although the requests are gone
        await resolver.resolve("good.test", 5.0)
    assert caught.value.retry_after_s
    name_servers.release.set()
    async with asyncio.timeout(5):
        while await code_of(resolver, "good.test") != "resolved":  # noqa: ASYNC110  # of another thread
            await asyncio.sleep(0.01)


async def test_an_account_leaves_lookups_to_others(name_servers: NameServers) -> None:
    resolver = NameResolver(name_servers.look_up, max_lookups=64)
    for account in ("a", "b", "c"):
        codes = [code_of(resolver, f"{n}.{account}.dead.test", account=account) for n in range(100)]
        assert set(await asyncio.gather(*codes)) == {"url_fetch_timeout", "server_overloaded"}
    assert await code_of(resolver, "good.test", 5.0, account="d") == "resolved"
    assert [sum(f".{account}." in name for name in name_servers.lookups) for account in "abc"] == [32, 16, 8]


async def test_a_cancelled_request_does_not_cancel_the_lookup_of_another(name_servers: NameServers) -> None:
    resolver = NameResolver(name_servers.look_up)
    first, second = (asyncio.create_task(resolver.resolve("dead.test", 5.0)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first])
    name_servers.release.set()
    assert first.cancelled()
    assert await second == ["127.0.0.2"]


async def test_hanging_lookups_stop_nothing_else(name_servers: NameServers, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(host: str | bytes, *_: object, flags: int = 0, **_options: object) -> list[tuple[object, ...]]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror
        name = host.decode() if isinstance(host, bytes) else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in name_servers.look_up(name)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\naudio")
        writer.close()

    cidrs = (ip_network("127.0.0.2/32"),)
    policy = MediaPolicy(allow_private_cidrs=cidrs, resolves_internal_names=True, connect_timeout_s=3.0)
    async with await asyncio.start_server(serve, "127.0.0.2", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        dead = [asyncio.create_task(fetch_url(f"http://{n % 30}.dead.test/", policy)) for n in range(100)]
        await asyncio.sleep(0.1)
        async with await fetch_url(f"http://good.test:{port}/", policy) as spool:
            assert os.pread(spool.fd, 10, 0) == b"audio"
        assert await asyncio.to_thread(lambda: "default executor") == "default executor"
        assert await anyio.to_thread.run_sync(lambda: "default limiter") == "default limiter"
        assert not any(task.done() for task in dead)
        outcomes = await asyncio.gather(*dead, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {UrlFetchTimeout}
    assert "host was not resolved" in str(outcomes[0])
