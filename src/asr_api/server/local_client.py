"""`is_local_client`: whether a request comes from this machine; by default only such clients may name local files."""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import Scope

PORT = re.compile(r":\d+$")
# Headers by which proxies name themselves or their clients.
FORWARDING_HEADER = re.compile(r"forward|client-ip|real-ip|connecting-ip|^via$|^cdn-loop$|^x-envoy-")


def is_local_client(scope: Scope) -> bool:
    """Whether the client is a program on this machine and no proxy is visible.

    The Host must be a loopback name as well, because a web page can make a browser connect here under a name of its
    own. By default nginx uses HTTP/1.0 for the server behind it, without a header about its client.
    """
    headers = Headers(scope=scope)
    is_forwarded = scope["http_version"] == "1.0" or any(FORWARDING_HEADER.search(name) for name in headers)
    host = PORT.sub("", headers.get("host", ""))
    peer: str = (scope.get("client") or ("",))[0]
    return _is_loopback(peer) and not is_forwarded and (host.lower() == "localhost" or _is_loopback(host))


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback
