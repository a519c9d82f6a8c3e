"""HOST and PORT → listening sockets, or one sentence that says why not.

`*` is every interface on IPv4 and IPv6; a name is every address it has on this machine.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv6Address

from asr_api.errors import SettingsError

EVERYWHERE = "*"
BACKLOG = 2048
FIRST_FREE_PORT = 1024  # those below are for root, unless the system says otherwise
MISSING = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """At least one listening socket, all on the same port; with port 0 a free one. Raises SettingsError."""
    opened: list[socket.socket] = []
    try:
        for family, address in _addresses(host):
            opened += _bind(family, address, opened[0].getsockname()[1] if opened else port)
    except OSError as error:
        for one in opened:
            one.close()
        raise _refusal(error, host, port) from None
    if not opened:
        raise SettingsError(f"HOST is '{host}', which is not an address of this machine; use * for every interface.")
    return opened


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host == EVERYWHERE:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104  # what * means
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise SettingsError(
            f"HOST is '{host}', which is not an address or a known name; use * for every interface."
        ) from None
    return list(dict.fromkeys(_plain(family, str(address[0])) for family, _, _, _, address in found))


def _plain(family: socket.AddressFamily, address: str) -> tuple[socket.AddressFamily, str]:
    """An IPv4 address in the clothes of IPv6, ::ffff:127.0.0.1, is what it means: our sockets for IPv6 take no IPv4."""
    mapped = IPv6Address(address).ipv4_mapped if family == socket.AF_INET6 else None
    return (socket.AF_INET, str(mapped)) if mapped else (family, address)


def _bind(family: socket.AddressFamily, address: str, port: int) -> list[socket.socket]:
    """One listening socket, or none where this machine has no such address, or no IPv6 at all."""
    opened: socket.socket | None = None
    try:
        # asyncio sends at once (TCP_NODELAY) only where the protocol is named; else each small reply waits 40 ms.
        opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # without this `::` takes IPv4 as well, and 0.0.0.0 could not be bound beside it
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        opened.listen(BACKLOG)
        opened.setblocking(False)
    except OSError as error:
        if opened is not None:
            opened.close()
        if error.errno in MISSING:
            return []
        raise
    return [opened]


def _refusal(error: OSError, host: str, port: int) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(f"PORT is {port}, and another program is listening there; stop it or set another PORT.")
    if error.errno == errno.EACCES and 0 < port < FIRST_FREE_PORT:
        return SettingsError(
            f"PORT is {port}, and this user may not listen there; set a PORT from {FIRST_FREE_PORT} up."
        )
    return SettingsError(
        f"HOST is '{host}' and PORT is {port}, and the system does not let us listen there ({error.strerror}); "
        "use * for every interface."
    )
