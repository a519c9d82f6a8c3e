"""Classifier of IP addresses that downloads may connect to: global unicast, and private networks that are allowed.

IPv6 forms that carry an IPv4 address count as that address; `ipaddress.is_global` calls NAT64 of 127.0.0.1 global.
Sources: IANA special-purpose registries for IPv4 and IPv6; RFC 4291, 6052, 8215, 3056, 4380, 5214.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from asr_api.audio.sources.policy import Network

Address = IPv4Address | IPv6Address


def is_dialable(address: str, private_cidrs: Sequence[Network]) -> bool:
    """True for global unicast and for addresses in `private_cidrs`; False for other addresses and other text."""
    try:
        outer = ip_address(address)
    except ValueError:
        return False
    return all(_is_dialable(inner, private_cidrs) for inner in _unwrapped(outer))


def missing_cidrs(addresses: Sequence[str], private_cidrs: Sequence[Network]) -> list[Network] | None:
    """What `private_cidrs` lacks so that all addresses are dialable; None where nothing makes them so."""
    inner = {each for address in addresses for each in _unwrapped(ip_address(address))}
    blocked = sorted((each for each in inner if not _is_dialable(each, private_cidrs)), key=lambda each: each.packed)
    if any(each in network for each in blocked for network in NEVER_DIALABLE):
        return None
    networks = [next((n for n in NOT_PUBLIC if each in n), ip_network(each)) for each in blocked]
    return list(dict.fromkeys(networks))


def _is_dialable(address: Address, private_cidrs: Sequence[Network]) -> bool:
    if any(address in network for network in NEVER_DIALABLE):
        return False
    if any(address in network for network in private_cidrs):
        return True
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST_V6:
        return False
    return not any(address in network for network in NOT_PUBLIC)


def _unwrapped(address: Address) -> list[Address]:
    """The addresses that a packet to `address` can reach."""
    if isinstance(address, IPv4Address):
        return [address]
    plain = IPv6Address(int(address))  # without a scope, which would defeat comparisons
    value = int(plain)
    low = IPv4Address(value & 0xFFFFFFFF)
    if plain in TEREDO:
        return [IPv4Address(value >> 64 & 0xFFFFFFFF), IPv4Address(~value & 0xFFFFFFFF)]
    if plain in SIX_TO_FOUR:
        return [IPv4Address(value >> 80 & 0xFFFFFFFF)]
    if any(plain in network for network in IPV4_IN_LOW_32_BITS) and value > 1:  # :: and ::1 are themselves
        return [low]
    if value >> 32 & 0xFCFFFFFF == 0x00005EFE:  # ISATAP: an interface id 0000:5efe or 0200:5efe, on any prefix
        return [plain, low]
    return [plain]


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


# Not even `allow_private_cidrs` opens these: link-local addresses and the metadata services of clouds outside of them.
NEVER_DIALABLE = _networks(
    "169.254.0.0/16", "fe80::/10", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128",
    "fd20:ce::254/128",
)  # fmt: skip
NOT_PUBLIC = _networks(
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
    "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20",
)  # fmt: skip
GLOBAL_UNICAST_V6 = ip_network("2000::/3")
TEREDO = ip_network("2001::/32")
SIX_TO_FOUR = ip_network("2002::/16")
IPV4_IN_LOW_32_BITS = _networks("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")  # the third: RFC 2765
