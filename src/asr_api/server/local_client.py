"""`is_local_client`: whether a request comes from this server's own user; by default only such may name local files."""

from __future__ import annotations

import ipaddress
import os
import re

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.types import Scope

from asr_api.server.peer_socket import Address, peer_uid

PORT = re.compile(r":\d+$")
# Headers by which proxies name themselves or their clients. Most begin with X-, and few programs add such ones.
FORWARDING_HEADER = re.compile(
    r"^x-(?!(request-id|request-timeout|api-key)$)|forward|client-ip|real-ip|connecting-ip|^via$|^cdn-loop$|^cf-"
)


async def is_local_client(scope: Scope) -> bool:
    """Whether the client is a program of this server's own user on this machine, and no proxy is visible.

    Headers alone do not tell: nginx sends no sign of its client, and by default the Host of the server behind it, such
    as 127.0.0.1:8000. So the kernel is asked whose socket it is. Another user's program must not read this user's
    files, and a proxy has, as a rule, a user of its own; root's programs do not pass either, because some proxies run
    as root. A proxy that runs as this user in the same network namespace and adds no header would pass.

    The Host must be a loopback name as well, because a web page can make a browser connect here under a name of its
    own. nginx before 1.29.7 uses HTTP/1.0 for the server behind it.
    """
    headers = Headers(scope=scope)
    is_forwarded = scope["http_version"] == "1.0" or any(FORWARDING_HEADER.search(name) for name in headers)
    host = PORT.sub("", headers.get("host", ""))
    peer, own = scope.get("client"), scope.get("server")
    if peer is None or own is None or not _is_loopback(peer[0]):
        return False
    if is_forwarded or not (host.lower() == "localhost" or _is_loopback(host)):
        return False
    return await anyio.to_thread.run_sync(_is_own_socket, tuple(peer), tuple(own))


def _is_own_socket(peer: Address, own: Address) -> bool:
    try:
        return peer_uid(peer, own) == os.geteuid()
    except (OSError, ValueError):  # a system that does not tell, or no addresses of IP
        return False


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback
