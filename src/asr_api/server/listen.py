"""HOST with PORT or METRICS_PORT → listening sockets, or an error of one sentence.

`*` is every interface on IPv4 and IPv6; a name is every address it has on this machine.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from ipaddress import IPv6Address

from asr_api.errors import SettingsError

EVERYWHERE = "*"
BACKLOG = 2048
UNREAD_BYTES = 128 * 1024  # of a reply that the kernel holds for a slow reader; else it would hold up to 4 MiB
FIRST_FREE_PORT = 1024  # by default the ports below need root
MISSING = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


@contextlib.contextmanager
def listening_sockets(host: str, port: int | None, setting: str) -> Iterator[list[socket.socket]]:
    """As `open_sockets`, closed on the way out; none without a port."""
    with contextlib.ExitStack() as opened:
        yield [] if port is None else [opened.enter_context(sock) for sock in open_sockets(host, port, setting)]


def open_sockets(host: str, port: int, setting: str = "PORT") -> list[socket.socket]:
    """At least one listening socket, all on the same port; with port 0 a free one. Raises SettingsError.

    setting: of the port, for errors
    """
    opened: list[socket.socket] = []
    try:
        for family, address in _addresses(host):
            opened += _listen(family, address, opened[0].getsockname()[1] if opened else port)
    except OSError as error:
        for listening in opened:
            listening.close()
        raise _refusal(error, host, port, setting) from None
    if not opened:
        raise SettingsError(f"HOST is '{host}', which is not an address of this machine; use * for every interface.")
    return opened


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host == EVERYWHERE:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104  # the meaning of *
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise SettingsError(f"HOST is '{host}', an unknown name; use * for every interface.") from None
    return list(dict.fromkeys(_plain(family, str(address[0])) for family, _, _, _, address in found))


def _plain(family: socket.AddressFamily, address: str) -> tuple[socket.AddressFamily, str]:
    """Maps ::ffff:127.0.0.1 to 127.0.0.1, because our IPv6 sockets accept no IPv4."""
    mapped = IPv6Address(address).ipv4_mapped if family == socket.AF_INET6 else None
    return (socket.AF_INET, str(mapped)) if mapped else (family, address)


def _listen(family: socket.AddressFamily, address: str, port: int) -> list[socket.socket]:
    """One listening socket, or none where this machine has no such address, or no IPv6 at all."""
    try:
        listening = socket.create_server((address, port), family=family, backlog=BACKLOG)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)  # accepted sockets inherit it
    except OSError as error:
        if error.errno in MISSING:
            return []
        raise
    # asyncio sends at once (TCP_NODELAY) only where the socket names its protocol, which `create_server` does not and
    # this constructor does; else each small reply waits 40 ms.
    return [socket.socket(fileno=listening.detach())]


def _refusal(error: OSError, host: str, port: int, setting: str) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(
            f"{setting} is {port}, and another program is listening there; stop it or set another {setting}."
        )
    if error.errno == errno.EACCES and 0 < port < FIRST_FREE_PORT:
        return SettingsError(
            f"{setting} is {port}, and this user may not listen there; set one from {FIRST_FREE_PORT} up."
        )
    return SettingsError(
        f"HOST is '{host}' and {setting} is {port}, where the server cannot listen ({os.strerror(error.errno or 0)}); "
        "use * for every interface."
    )
