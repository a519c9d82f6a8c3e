"""For generated links: the host whose address is checked is the host that is dialled, named and verified by TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import httpcore
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr_api.audio.sources.ip_addresses import is_dialable
from asr_api.audio.sources.open_reference import names_link
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.audio.sources.url import fetch_url, parse_url
from asr_api.errors import AsrError, UrlNotAllowed

PUBLIC = "93.184.216.34"
ALPHABET = (
    "aeE1.:/@\\#?[]%0xf１①。－é \t\r\n\x00\x7f\u00ad\u200b\u2028\u3002\uff0e\uff20\uff0f\u2488ß-_~!$&'()*+,;=|^`{}<>\""
)
# What other parsers take for the host.
HOSTS = [
    "127.0.0.1", "localhost", "a.test", "b.test", "[::1]", "[::ffff:7f00:1]", "0x7f.1", "2130706433", "0177.0.0.1",
    "①②⑦.0.0.1",
    "127。0。0。1", "a.test.", "A.TEST", "bücher.test", "xn--bcher-kva.test", "a.test%2eb.test", "[::1%25lo]",
    "127.0.0.1.a.test", "",
]  # fmt: skip
NAMES = [name for name in HOSTS if "test" in name and "%" not in name]
SEPARATORS = [
    "",
    "@",
    ":",
    "/",
    "\\",
    "#",
    "?",
    ":80@",
    "%40",
    "＠",
    "／",
    ";",
    "&",
    "\t",
    " ",
    "%00",
    "\x00",
    ".",
    "%2f",
    "//",
    ":80",
]
any_text = st.text(st.sampled_from(ALPHABET), max_size=16)
hosts, separators = st.sampled_from(HOSTS), st.sampled_from(SEPARATORS)
likely = st.tuples(hosts, separators, hosts, separators, any_text).map("".join)
plain = st.tuples(st.sampled_from(NAMES), st.sampled_from(["", ":80", ":8443", "/", "?", "#"]), separators, hosts).map(
    "".join
)
schemes = st.sampled_from(["http://", "http://", "https://", "HTTP://", "http:/", "http:"])
links = st.builds(str.__add__, schemes, plain | likely | any_text)


@dataclass
class Dialled:
    """What reached the network: addresses, ports, names for TLS, and the first line and Host of requests"""

    resolved: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    sent: bytes = b""
    tls_names: list[str | None] = field(default_factory=list)

    async def resolve(self, host: str, _timeout_s: float) -> list[str]:
        """Addresses stand for themselves, as for getaddrinfo; every name is public."""
        self.resolved.append(host)
        plain = host.strip("[]")
        return [plain] if ":" in plain or plain.replace(".", "").isdecimal() else [PUBLIC]


class Stream(httpcore.AsyncNetworkStream):
    def __init__(self, dialled: Dialled) -> None:
        self._dialled = dialled

    async def read(self, *_: Any, **__: Any) -> bytes:
        return b""

    async def write(self, buffer: bytes, *_: Any, **__: Any) -> None:
        self._dialled.sent += buffer

    async def aclose(self) -> None: ...

    async def start_tls(self, *_: Any, server_hostname: str | None = None, **__: Any) -> httpcore.AsyncNetworkStream:
        self._dialled.tls_names.append(server_hostname)
        return self

    def get_extra_info(self, *_: Any) -> Any:
        return None


class Backend(httpcore.AsyncNetworkBackend):
    """In place of the network, below everything that could change a host."""

    def __init__(self, dialled: Dialled) -> None:
        self._dialled = dialled

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self._dialled.connected.append((host, port))
        return Stream(self._dialled)


def dial(link: str) -> Dialled:
    dialled = Dialled()
    backend = Backend(dialled)
    with patch("httpcore._async.connection_pool.AutoBackend", lambda: backend), contextlib.suppress(AsrError):
        asyncio.run(fetch_url(link, MediaPolicy(), resolve=dialled.resolve))
    return dialled


def numeric_address(host: str) -> str:
    """The address that a short notation stands for: 1.0 is 1.0.0.0. Any other host itself."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return host


@settings(max_examples=600, deadline=None)
@given(links)
@example("http://1.0")
def test_the_host_that_is_checked_is_the_host_that_is_dialled(link: str) -> None:
    dialled = dial(link)
    assert len(dialled.resolved) <= 1
    if not dialled.connected:
        return
    ((address, port),) = dialled.connected
    parsed = parse_url(link)
    host = parsed.raw_host.decode()
    assert dialled.resolved in ([], [host.rstrip(".") + "."])  # an address is not resolved
    assert address in {PUBLIC, host, numeric_address(host)}
    assert is_dialable(address, ())
    assert port == (parsed.port or {"http": 80, "https": 443}[parsed.scheme])
    assert dialled.tls_names == ([host] if parsed.scheme == "https" else [])
    first, *lines = dialled.sent.decode("ascii").split("\r\n")
    (named,) = [line.partition(": ")[2] for line in lines if line.lower().startswith("host: ")]
    # Another parser reads the same host in what is sent.
    assert urlsplit(f"//{named}").hostname == host.strip("[]").lower()
    assert first == f"GET {parsed.raw_path.decode()} HTTP/1.1"
    assert not set(host) & set("/\\@#? \t\r\n\0")


@pytest.mark.parametrize("link", ["http://a.test/x", "https://bücher.test:8443/ä?b=ü#c"])
def test_a_good_link_is_dialled(link: str) -> None:
    assert dial(link).connected == [(PUBLIC, 8443 if "8443" in link else 80)]


@settings(max_examples=300, deadline=None)
@given(any_text | likely)
def test_what_is_no_link_is_never_dialled(text: str) -> None:
    """It is a path, or its scheme is refused."""
    link = f"x{text}"
    if names_link(link):
        assert not dial(link).connected


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "①②⑦.0.0.1", "127。0。0。1", "0177。0。0。1"]
)
def test_a_blocked_host_is_never_dialled(host: str) -> None:
    with pytest.raises(UrlNotAllowed):
        asyncio.run(fetch_url(f"http://{host}/", MediaPolicy(), resolve=Dialled().resolve))
    assert not dial(f"http://{host}/").connected
