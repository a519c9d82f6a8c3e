"""`ConnectionLimit`: bounds the connections, all together and for each client, and decides which one gives way.

A client may hold as many as are free, but a proxy of `PROXY_TRUST` all. So one client gets half of them, two get a
third each, and some stay free for the next one (dynamic thresholds: Choudhury and Hahne, 1998). Where all are taken, or
those of one client, the connection that has been without a request for longest is closed for the new one: of that
client, else of the client that holds most. Connections with a request are never closed.
"""

from __future__ import annotations

import ipaddress
import time
from collections import defaultdict
from collections.abc import Collection
from typing import Protocol

from asr_api.server.client_network import client_network
from asr_api.settings.access_settings import IpNetwork

GRACE_S = 1.0  # without a request, before a connection may be closed for another: its request may be on the way


class Closable(Protocol):
    def close_idle(self) -> None: ...


class ConnectionLimit:
    def __init__(self, max_connections: int, proxies: Collection[IpNetwork] = ()) -> None:
        """proxies: may hold all connections, since their clients share them"""
        self._proxies = proxies
        self._max_connections = max_connections
        self._clients: dict[Closable, str] = {}
        self._num_open: defaultdict[str, int] = defaultdict(int)  # by client
        self._idle: defaultdict[str, dict[Closable, float]] = defaultdict(dict)  # by client; since when, oldest first

    def admit(self, connection: Closable, address: str) -> bool:
        """Whether there is room, or another connection has been closed for this one, which then counts as idle."""
        client = client_network(address)
        num_own, num_free = self._num_open.get(client, 0), self._max_connections - len(self._clients)
        if num_own and num_own >= num_free and not self._is_proxy(address):
            is_admitted = self._close_idle(client)
        elif num_free <= 0:
            is_admitted = self._close_idle(max(self._idle, key=self._num_open.__getitem__, default=client))
        else:
            is_admitted = True
        if is_admitted:
            self._clients[connection] = client
            self._num_open[client] += 1
            self._idle[client][connection] = time.monotonic()
        return is_admitted

    def _is_proxy(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:  # a connection that is closed already has none
            return False
        return any(ip in network for network in self._proxies)

    def set_idle(self, connection: Closable, is_idle: bool) -> None:
        """Idle: without a request in progress. Says nothing about a connection that was removed."""
        if (client := self._clients.get(connection)) is None:
            return
        if is_idle:
            self._idle[client].setdefault(connection, time.monotonic())
        else:
            self._discard_idle(connection, client)

    def remove(self, connection: Closable) -> None:
        if (client := self._clients.pop(connection, None)) is None:
            return
        self._discard_idle(connection, client)
        self._num_open[client] -= 1
        if not self._num_open[client]:
            del self._num_open[client]

    def _close_idle(self, client: str) -> bool:
        """The connection that has been idle for longest; False if there is none."""
        oldest, since_s = next(iter(self._idle.get(client, {}).items()), (None, 0.0))
        if oldest is None or time.monotonic() - since_s < GRACE_S:
            return False
        self.remove(oldest)
        oldest.close_idle()
        return True

    def _discard_idle(self, connection: Closable, client: str) -> None:
        if client in self._idle:
            self._idle[client].pop(connection, None)
            if not self._idle[client]:
                del self._idle[client]
