"""Connection limit: which connections are admitted, and which idle one is closed for a new one."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from asr_api.server import connection_limit
from asr_api.server.connection_limit import ConnectionLimit


class Connection:
    is_closed = False

    def close_idle(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limit, "GRACE_S", 0.0)


def opened(limit: ConnectionLimit, *addresses: str, is_idle: bool = True) -> list[Connection]:
    connections = [Connection() for _ in addresses]
    for connection, address in zip(connections, addresses, strict=True):
        assert limit.admit(connection, address)
        limit.set_idle(connection, is_idle)
    return connections


def test_a_client_with_half_of_the_connections_loses_its_oldest_idle_one() -> None:
    limit = ConnectionLimit(8)
    held = opened(limit, *["2001:db8::1", "2001:db8::2"] * 2)
    limit.set_idle(held[0], is_idle=False)
    opened(limit, "2001:db8::3")
    assert [connection.is_closed for connection in held] == [False, True, False, False]


def test_a_client_whose_connections_all_have_requests_is_refused_at_half_of_them() -> None:
    limit = ConnectionLimit(8)
    held = opened(limit, *["192.0.2.1"] * 4, is_idle=False)
    assert not limit.admit(Connection(), "192.0.2.1")
    opened(limit, "192.0.2.2")
    limit.remove(held[0])
    opened(limit, "192.0.2.1")
    assert not any(connection.is_closed for connection in held)


def test_a_trusted_proxy_may_hold_all_connections() -> None:
    limit = ConnectionLimit(8, [ip_network("10.0.0.0/8")])
    held = opened(limit, *["10.1.1.1"] * 8, is_idle=False)
    assert not limit.admit(Connection(), "10.1.1.1")
    assert not any(connection.is_closed for connection in held)


def test_where_all_are_taken_the_client_that_holds_most_gives_way() -> None:
    limit = ConnectionLimit(6)
    quiet = opened(limit, "192.0.2.2")
    greedy = opened(limit, *["192.0.2.1"] * 3)
    others = opened(limit, "192.0.2.3", "192.0.2.4")
    opened(limit, "192.0.2.9")
    closed = [[connection.is_closed for connection in held] for held in (quiet, greedy, others)]
    assert closed == [[False], [True, False, False], [False, False]]


def test_two_clients_whose_connections_all_have_requests_leave_some_to_others() -> None:
    limit = ConnectionLimit(90)
    num_held = {"192.0.2.1": 0, "192.0.2.2": 0}
    for _ in range(90):
        for address in num_held:
            if limit.admit(connection := Connection(), address):
                limit.set_idle(connection, is_idle=False)
                num_held[address] += 1
    assert num_held == {"192.0.2.1": 30, "192.0.2.2": 30}
    opened(limit, *["192.0.2.3"] * 10, is_idle=False)


def test_a_connection_without_an_address_is_no_proxy() -> None:
    limit = ConnectionLimit(2, [ip_network("10.0.0.0/8")])
    opened(limit, "", is_idle=False)
    assert not limit.admit(Connection(), "")


def test_nothing_is_closed_where_every_connection_has_a_request() -> None:
    limit = ConnectionLimit(2)
    held = opened(limit, "192.0.2.1", "192.0.2.2", is_idle=False)
    assert not limit.admit(Connection(), "192.0.2.3")
    limit.set_idle(held[1], is_idle=True)
    opened(limit, "192.0.2.3")
    assert [connection.is_closed for connection in held] == [False, True]


def test_a_connection_whose_request_may_be_on_the_way_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limit, "GRACE_S", 60.0)
    limit = ConnectionLimit(2)
    opened(limit, "192.0.2.1", "192.0.2.2")
    assert not limit.admit(Connection(), "192.0.2.3")


def test_a_closed_connection_leaves_nothing_behind() -> None:
    limit = ConnectionLimit(4)
    for connection in opened(limit, "192.0.2.1", "192.0.2.1", "192.0.2.2"):
        limit.remove(connection)
        limit.set_idle(connection, is_idle=True)  # by a callback that comes late
    assert not any(vars(limit)[name] for name in ("_clients", "_num_open", "_idle"))
