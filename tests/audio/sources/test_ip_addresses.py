"""IP address classifier: a table of addresses, and properties that no table can list."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.audio.sources.ip_addresses import is_dialable, missing_cidrs

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "93.184.216.34", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.1", "169.253.0.1", "172.15.255.255", "172.32.0.0", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e", "2001:4860:4860::8888", "2001:200::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
    "2002:808:808::1",
]  # fmt: skip

BLOCKED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "127.0.0.1", "127.0.0.3", "127.255.255.255", "168.63.129.16", "169.254.0.1", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1",
    "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::2", "::127.0.0.1", "::a9fe:a9fe", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe",
    "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",
    "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1",
    "2001:0:7f00:1::f7f7:f7f7", "2001:0:808:808::80ff:fffe", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2002:a00:1::", "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:a9fe:a9fe", "3fff::1", "5f00::1",
    "fc00::1", "fd00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%lo", "febf::1", "fec0::1",
    "ff02::1", "ff0e::1", "4000::1", "e000::1",
]  # fmt: skip


# IANA's special-purpose registries, every entry that is not globally reachable, and the ranges that are no unicast.
SPECIAL_V4 = [
    "0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
]  # fmt: skip
SPECIAL_V6 = [
    "::1/128", "::/128", "::/8", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32",
    "2001:1::1/128", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
    "fec0::/10", "ff00::/8", "4000::/2", "8000::/1", "200::/7",
]  # fmt: skip
# A prefix with room for an IPv4 address, and the bits below that address.
FORMS = {
    "mapped": ("::ffff:0:0", 0),
    "compatible": ("::", 0),
    "translated": ("::ffff:0:0:0", 0),
    "NAT64": ("64:ff9b::", 0),
    "local NAT64": ("64:ff9b:1::", 0),
    "6to4": ("2002::", 80),
    "Teredo server": ("2001::", 64),
    "ISATAP": ("2606:4700::5efe:0:0", 0),
    "ISATAP, universal": ("2606:4700::200:5efe:0:0", 0),
}


NO_ADDRESSES = ["", "host", "127.1", "0x7f000001", "1.2.3", "1.2.3.4:80", "[::1]", "8.8.8.8 "]


@pytest.mark.parametrize("address", [*PUBLIC, *BLOCKED, *NO_ADDRESSES])
def test_only_public_addresses_are_dialled(address: str) -> None:
    assert is_dialable(address, ()) is (address in PUBLIC)


@pytest.mark.parametrize("text", [*SPECIAL_V4, *SPECIAL_V6])
def test_no_address_of_the_special_registries_is_dialled(text: str) -> None:
    network = ip_network(text)
    for address in (network[0], network[network.num_addresses // 2], network[-1]):
        is_nat64_of_public = address in ip_network("64:ff9b::/96")
        assert not is_dialable(str(address), ()) or is_nat64_of_public, address


special_v4 = st.sampled_from(SPECIAL_V4).flatmap(lambda text: st.ip_addresses(network=text)).map(int)
low_bits = st.integers(0, 2**80 - 1)


@given(special_v4, st.sampled_from(sorted(FORMS)), low_bits)
def test_a_special_address_inside_another_is_not_dialled(value: int, form: str, rest: int) -> None:
    prefix, shift = FORMS[form]
    outer = IPv6Address(int(IPv6Address(prefix)) | value << shift | rest & (1 << shift) - 1)
    assert not is_dialable(str(outer), ()), outer
    assert not is_dialable(outer.exploded.upper(), ()), outer
    teredo_client = IPv6Address(int(IPv6Address("2001:0:808:808::")) | value ^ 0xFFFFFFFF)
    assert not is_dialable(str(teredo_client), ())


@given(st.ip_addresses())
def test_what_is_dialled_is_global_for_the_standard_library_too(address: IPv4Address | IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert (mapped or address).is_global or not is_dialable(str(address), ())


@given(st.ip_addresses(v=4).map(str))
def test_an_address_inside_another_has_the_same_class(inner: str) -> None:
    value = int(IPv4Address(inner))
    forms = [
        IPv6Address(0xFFFF << 32 | value),  # mapped
        IPv6Address(0x64FF9B << 96 | value),  # NAT64
        IPv6Address(0x2002 << 112 | value << 80 | 1),  # 6to4
        IPv6Address(0xFFFF << 48 | value),  # translated
        IPv6Address(value) if value > 1 else IPv6Address(0xFFFF << 32 | value),  # compatible
        IPv6Address(int(IPv6Address("2606:4700::5efe:0:0")) | value),  # ISATAP
    ]
    for form in forms:
        assert is_dialable(str(form), ()) == is_dialable(inner, ())


def test_private_networks_can_be_opened_but_never_link_local_ones_and_metadata() -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    for address in ("10.0.0.1", "127.0.0.1", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"):
        assert is_dialable(address, everything)
    never = "169.254.169.254 fe80::1 fe80::1%lo fd00:ec2::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe"
    for address in [*never.split(), "2002:a9fe:a9fe::", "100.100.100.200", "168.63.129.16"]:
        assert not is_dialable(address, everything)
    assert is_dialable("10.1.2.3", (ip_network("10.1.0.0/16"),))
    assert not is_dialable("10.2.2.3", (ip_network("10.1.0.0/16"),))


@pytest.mark.parametrize("address", [*PUBLIC, *BLOCKED])
def test_the_missing_networks_make_an_address_dialable(address: str) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    missing = missing_cidrs([address, "8.8.8.8"], ())
    assert (missing is None) is not is_dialable(address, everything)
    assert missing is None or is_dialable(address, missing)
    assert address not in PUBLIC or missing == []


def test_only_networks_that_are_not_allowed_yet_are_missing() -> None:
    loopback = ip_network("127.0.0.0/8")
    assert missing_cidrs(["127.0.0.1", "::1"], ()) == [ip_network("::1/128"), loopback]
    assert missing_cidrs(["127.0.0.1", "127.0.0.9"], (ip_network("10.0.0.0/8"),)) == [loopback]
    assert missing_cidrs(["127.0.0.1"], (loopback,)) == []
