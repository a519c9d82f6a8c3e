"""HOST and PORT → listening sockets, or one sentence that says why not.

`*` is every interface on IPv4 and IPv6; a name is every address it has on this machine.
"""

from __future__ import annotations

import contextlib
import errno
import socket

from asr_api.errors import SettingsError

EVERYWHERE = "*"
BACKLOG = 2048
MISSING_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """At least one listening socket, all on the same port; with port 0 a free one. Raises SettingsError."""
    with contextlib.ExitStack() as opened:
        sockets: list[socket.socket] = []
        missing: OSError | None = None
        for family, address in _addresses(host):
            try:
                sockets.append(_bind(family, address, sockets[0].getsockname()[1] if sockets else port))
            except OSError as error:
                if error.errno not in MISSING_FAMILY:
                    raise _refusal(error, host, port) from None
                missing = error  # a machine without IPv6, or without IPv4
            else:
                opened.enter_context(sockets[-1])
        if missing and not sockets:
            raise _refusal(missing, host, port)
        opened.pop_all()
        return sockets


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host == EVERYWHERE:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104  # what * means
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise SettingsError(
            f"HOST is '{host}', which is not an address or a known name; use * for every interface."
        ) from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # without this `::` takes IPv4 as well, and 0.0.0.0 could not be bound beside it
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        opened.listen(BACKLOG)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def _refusal(error: OSError, host: str, port: int) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(f"PORT is {port}, and another program is listening there; stop it or set another PORT.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return SettingsError(f"PORT is {port}, and this user may not listen there; set a PORT from 1024 up.")
    return SettingsError(f"HOST is '{host}', which is not an address of this machine; use * for every interface.")
