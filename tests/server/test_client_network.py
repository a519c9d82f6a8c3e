"""Client network: one IPv4 address, or what one customer has of IPv6."""

from __future__ import annotations

import pytest

from asr_api.server.client_network import client_address, client_network


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("evil, 192.0.2.7", "unknown"),
    ],
)
def test_an_address_counts_as_its_network(address: str, network: str) -> None:
    assert client_network(address) == network


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("fe80::1%eth0 status=200", "fe80::1"),
        ("192.0.2.7 account=key:admin", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_log_names_an_address_or_none(text: str, address: str) -> None:
    assert client_address(text) == address
