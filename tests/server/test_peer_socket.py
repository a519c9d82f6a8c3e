"""Peer socket: the kernel tells whose socket is at the other end of a connection over loopback."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from asr_api.server.peer_socket import Address, peer_uid

NOBODY = 65534


@contextmanager
def connected(own: str, target: str | None = None) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The end of the client, which connects to `target`, and that of the server."""
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    with socket.create_server((own, 0), family=family) as listening:
        wire = socket.create_connection((target or own, listening.getsockname()[1]), timeout=5)
        with wire, listening.accept()[0] as accepted:
            yield wire, accepted


def ends(accepted: socket.socket) -> tuple[Address, Address]:
    """As in a scope of ASGI."""
    return accepted.getpeername()[:2], accepted.getsockname()[:2]


@pytest.mark.parametrize(("own", "target"), [("127.0.0.1", None), ("127.0.0.1", "::ffff:127.0.0.1"), ("::1", None)])
def test_the_owner_of_a_connected_socket_is_found(own: str, target: str | None) -> None:
    if ":" in (target or own) and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with connected(own, target) as (_, accepted):
        assert peer_uid(*ends(accepted)) == os.geteuid()


def test_a_client_that_sends_no_more_is_found_and_one_that_is_gone_is_not() -> None:
    with connected("127.0.0.1") as (wire, accepted):
        peer, own = ends(accepted)
        wire.shutdown(socket.SHUT_WR)
        assert peer_uid(peer, own) == os.geteuid()
        wire.close()
        assert peer_uid(peer, own) is None


def test_the_other_end_of_the_same_connection_is_not_taken_for_the_peer() -> None:
    with connected("127.0.0.1") as (wire, accepted):
        peer, own = ends(accepted)
        assert peer_uid(peer, (own[0], own[1] + 1)) is None
        assert peer_uid((peer[0], peer[1] + 1), own) is None
        assert wire.getsockname() == peer


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as another user")
def test_the_socket_of_another_user_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        os.seteuid(NOBODY)
        try:
            wire = socket.create_connection(listening.getsockname())
        finally:
            os.seteuid(0)
        with wire, listening.accept()[0] as accepted:
            assert peer_uid(*ends(accepted)) == NOBODY
