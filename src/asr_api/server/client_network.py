"""Client address and network: whom a client without an API key is counted as, and what the log calls it."""

from __future__ import annotations

import ipaddress

IPV6_PREFIX = 64  # what one customer of a provider has at least
UNKNOWN = "unknown"


def client_address(text: str) -> str:
    """The address alone, for the log: a proxy's header may hold anything, and a zone behind `%` as well."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return UNKNOWN


def client_network(address: str) -> str:
    """The text of an address that is not one, as of a Unix socket or in a proxy's header, counts as one network."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, IPV6_PREFIX), strict=False))
