"""Local client: who counts as a program of this server's user, on real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from starlette.types import Scope

from asr_api.server import local_client, peer_socket
from asr_api.server.local_client import is_local_client

pytestmark = pytest.mark.anyio

SIGNS_OF_A_PROXY = [
    "x-forwarded-for", "forwarded", "x-real-ip", "via", "x-envoy-external-address", "x-cluster-client-ip",
    "x-original-forwarded-for", "cf-connecting-ip", "x-bluecoat-via", "x-amzn-trace-id", "x-azure-socketip",
    "x-proxyuser-ip", "cf-ray", "true-client-ip",
]  # fmt: skip


@pytest.fixture
def scope() -> Iterator[Scope]:
    """Of a request as nginx sends it since 1.29.7, and as curl does: nothing in it tells them apart."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as wire:
        headers = [(b"host", b"127.0.0.1:8000")]
        addresses = {"client": wire.getsockname(), "server": wire.getpeername()}
        yield {"type": "http", "http_version": "1.1", "headers": headers, **addresses}


async def test_a_program_of_this_user_is_local(scope: Scope) -> None:
    assert await is_local_client(scope)
    scope["headers"] += [
        (b"x-request-id", b"a"),
        (b"x-api-key", b"b"),
        (b"x-request-timeout", b"9"),
        (b"authorization", b"Bearer c"),
    ]
    assert await is_local_client(scope)


async def test_a_program_of_another_user_is_not_local(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not await is_local_client(scope)


@pytest.mark.parametrize("host", [b"rebound.evil.test:8000", b"192.0.2.1", b""])
async def test_a_foreign_host_is_not_local(scope: Scope, host: bytes) -> None:
    scope["headers"] = [(b"host", host)]
    assert not await is_local_client(scope)


@pytest.mark.parametrize("name", SIGNS_OF_A_PROXY)
async def test_a_proxy_that_shows_itself_is_not_local(scope: Scope, name: str) -> None:
    scope["headers"] += [(name.encode(), b"192.0.2.1")]
    assert not await is_local_client(scope)


async def test_an_old_proxy_is_not_local(scope: Scope) -> None:
    assert not await is_local_client({**scope, "http_version": "1.0"})


@pytest.mark.parametrize("client", [("10.0.0.7", 4321), ("2001:db8::1", 4321), ("", 0), None])
async def test_another_machine_is_not_local(
    scope: Scope, monkeypatch: pytest.MonkeyPatch, client: tuple[str, int] | None
) -> None:
    monkeypatch.setattr(local_client, "peer_uid", lambda *_: os.geteuid())
    assert not await is_local_client({**scope, "client": client})


async def test_where_the_system_does_not_tell_nobody_is_local(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = peer_socket.TABLES[0].with_name("missing")
    monkeypatch.setattr(peer_socket, "TABLES", (missing,))
    assert not await is_local_client(scope)
