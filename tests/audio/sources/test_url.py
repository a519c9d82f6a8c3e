"""Links, over loopback: a media server on 127.0.0.2, which is allowed, and a canary on 127.0.0.3, which is not."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import re
import shutil
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.sources import name_resolution
from asr_api.audio.sources import url as url_module
from asr_api.audio.sources.open_reference import names_link, open_reference
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.audio.sources.spool_budget import SpoolBudget
from asr_api.audio.sources.url import fetch_url, host_pattern, parse_url
from asr_api.errors import AsrError, InvalidUrl, UrlNotAllowed, UrlUpstreamError
from tests.audio.decoding.decode_media import wait_until

pytestmark = pytest.mark.anyio

MEDIA, CANARY = "127.0.0.2", "127.0.0.3"
BODY = bytes(range(256)) * 500
POLICY = MediaPolicy(
    allow_private_cidrs=(ip_network("127.0.0.2/32"),),
    resolves_internal_names=True,
    max_media_bytes=200_000,
    connect_timeout_s=1.0,
    read_timeout_s=0.5,
    total_timeout_s=10.0,
    rate_window_s=0.4,
)


@dataclass
class Servers:
    """The two servers, on one port, and a resolver with their names."""

    port: int = 0
    answers: dict[str, bytes] = field(default_factory=dict)  # path → raw response; "{port}" is filled in
    requests: list[str] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    num_canary_hits: int = 0
    lookups: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[list[str]]] = field(default_factory=dict)  # host → what each lookup answers; the last stays

    async def resolve(self, host: str, timeout_s: float) -> list[str]:
        self.lookups[host] += 1
        answers = self.names.get(host)
        if answers is None:
            return await name_resolution.resolve(host, timeout_s)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def fetch(self, url: str, policy: MediaPolicy = POLICY) -> bytes | str:
        """The downloaded bytes, or the code of the error."""
        try:
            spool = await fetch_url(url.replace("{port}", str(self.port)), policy, resolve=self.resolve)
        except AsrError as error:
            return error.code
        async with spool:
            return os.pread(spool.fd, spool.size_bytes + 1, 0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            answer = self.answers[head.split()[1]].replace(b"{port}", str(self.port).encode())
            for part in answer.split(b"<pause>"):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.1 if b"<pause>" in answer else 0)

    async def alarm(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_canary_hits += 1
        writer.close()


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    """No test may end with a connection to the canary."""
    servers = Servers()
    servers.names = {"good.test": [[MEDIA]], "evil.test": [[CANARY]]}
    servers.answers = {"/x": ok()}
    async with await asyncio.start_server(servers.serve, MEDIA, 0) as media:
        servers.port = media.sockets[0].getsockname()[1]
        async with await asyncio.start_server(servers.alarm, CANARY, servers.port):
            yield servers
            for task in servers.tasks:
                task.cancel()
            await asyncio.gather(*servers.tasks, return_exceptions=True)
    assert servers.num_canary_hits == 0


def ok(body: bytes = BODY, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_a_request_names_the_host_of_the_link_and_has_no_credentials(servers: Servers) -> None:
    servers.answers["/a%20b.mp3?q=%C3%BC"] = ok()
    assert await servers.fetch("http://good.test:{port}/a%20b.mp3?q=ü#t=3") == BODY
    (head,) = servers.requests
    lines = head.lower().split("\r\n")
    assert f"host: good.test:{servers.port}" in lines
    assert "accept-encoding: identity" in lines
    assert not any(line.startswith(("cookie", "authorization", "referer")) for line in lines)
    assert servers.lookups == {"good.test": 1}


EMPTY = b"Content-Length: 0\r\n\r\n"
ANSWERS: dict[str, tuple[bytes, bytes | str]] = {
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, BODY),
    "404": (b"HTTP/1.1 404 Not Found\r\n" + EMPTY, "url_fetch_failed"),
    "206": (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx", "url_fetch_failed"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "url_fetch_failed"),
    "500": (b"HTTP/1.1 500 Oops\r\n" + EMPTY, "url_upstream_error"),
    "429": (b"HTTP/1.1 429 Later\r\n" + EMPTY, "url_upstream_error"),
    "no location": (b"HTTP/1.1 302 Found\r\n" + EMPTY, "url_fetch_failed"),
    "no HTTP": (b"not http at all\r\n\r\n", "url_upstream_error"),
    "closed": (b"", "url_upstream_error"),
    "short": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort", "url_upstream_error"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nshort", "url_upstream_error"),
    "long by header": (b"HTTP/1.1 200 OK\r\nContent-Length: 200001\r\n\r\n", "media_too_large"),
    "endless": (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(300_000), "media_too_large"),
    "gzip": (ok(gzip.compress(bytes(10**6)), "Content-Encoding: gzip\r\n"), "url_fetch_failed"),
    "slow": (b"HTTP/1.1 200 OK\r\n\r\n" + b"<pause>x" * 30, "url_fetch_timeout"),
    "no headers": (b"<pause>" * 30, "url_fetch_timeout"),
    "huge header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "url_upstream_error"),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_answers_of_the_server(servers: Servers, answer: bytes, expected: bytes | str) -> None:
    servers.answers["/x"] = answer
    assert await servers.fetch("http://good.test:{port}/x") == expected


async def test_a_download_has_a_total_timeout(servers: Servers) -> None:
    servers.answers["/x"] = ANSWERS["slow"][0]
    policy = replace(POLICY, total_timeout_s=0.2, min_rate_bytes_s=0)
    assert await servers.fetch("http://good.test:{port}/x", policy) == "url_fetch_timeout"


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\n" + b"<pause>X: y\r\n" * 30, b"<pause>HTTP/1.1 100 Continue\r\n\r\n" * 30],
    ids=["headers", "interim responses"],
)
async def test_headers_that_come_line_by_line_have_a_timeout(servers: Servers, answer: bytes) -> None:
    servers.answers["/x"] = answer
    policy = replace(POLICY, header_timeout_s=0.3)
    started_s = time.monotonic()
    assert await servers.fetch("http://good.test:{port}/x", policy) == "url_fetch_timeout"
    assert time.monotonic() - started_s < 1.5


async def test_the_timeout_of_headers_is_for_all_redirects_and_not_for_the_body(servers: Servers) -> None:
    servers.answers |= {f"/{hop}": b"<pause>" * 2 + redirect(f"/{hop + 1}") for hop in range(5)}
    servers.answers |= {"/5": ok(b"")}
    policy = replace(POLICY, header_timeout_s=0.4)
    assert await servers.fetch("http://good.test:{port}/0", policy) == "url_fetch_timeout"
    servers.answers["/x"] = b"HTTP/1.1 200 OK\r\n\r\n" + b"<pause>xy" * 8
    policy = replace(policy, min_rate_bytes_s=0)
    assert await servers.fetch("http://good.test:{port}/x", policy) == b"xy" * 8


async def test_unknown_and_unreachable_hosts(servers: Servers) -> None:
    assert await servers.fetch("http://nowhere.invalid/x") == "url_fetch_failed"
    assert await servers.fetch("http://xn--0/") == "url_fetch_failed"  # invalid punycode
    servers.names["closed.test"] = [["127.0.0.2"]]
    assert await servers.fetch("http://closed.test:1/x") == "url_upstream_error"


async def test_the_first_of_several_addresses_that_answers_is_used(servers: Servers) -> None:
    servers.names["two.test"] = [["127.0.0.4", MEDIA]]
    policy = replace(POLICY, allow_private_cidrs=(ip_network("127.0.0.2/32"), ip_network("127.0.0.4/32")))
    assert await servers.fetch("http://two.test:{port}/x", policy) == BODY


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(servers: Servers, status: int) -> None:
    servers.answers |= {"/1": redirect("/2", status), "/2": redirect("//good.test:{port}/dir/3", status)}
    servers.answers |= {"/dir/3": redirect("../4?x", status), "/4?x": ok()}
    assert await servers.fetch("http://good.test:{port}/1") == BODY
    assert servers.lookups == {"good.test": 4}


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://evil.test:{port}/", "url_not_allowed"),
        ("http://127.0.0.3:{port}/", "url_not_allowed"),
        ("//127.0.0.3:{port}/", "url_not_allowed"),
        ("http://[::ffff:127.0.0.3]:{port}/", "url_not_allowed"),
        ("file:///etc/passwd", "url_not_allowed"),
        ("gopher://127.0.0.3:{port}/", "url_not_allowed"),
        ("http://user:pass@good.test:{port}/", "url_fetch_failed"),
        ("http://good.test\\@127.0.0.3:{port}/", "url_fetch_failed"),
        ("http://good.test:{port}/loop", "url_too_many_redirects"),
    ],
)
async def test_forbidden_redirects(servers: Servers, location: str, code: str) -> None:
    servers.answers["/loop"] = redirect(location)
    assert await servers.fetch("http://good.test:{port}/loop") == code


async def test_at_most_five_redirects_are_followed(servers: Servers) -> None:
    servers.answers |= {f"/{hop}": redirect(f"/{hop + 1}") for hop in range(6)}
    servers.answers["/5"] = ok()
    assert await servers.fetch("http://good.test:{port}/0") == BODY
    servers.answers |= {"/5": redirect("/6"), "/6": ok()}
    assert await servers.fetch("http://good.test:{port}/0") == "url_too_many_redirects"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.3", "localhost", "127.1", "2130706435", "0x7f000003", "0177.0.0.3", "①②⑦.0.0.3", "0", "0.0.0.0",
        "[::ffff:127.0.0.3]", "[::127.0.0.3]", "[64:ff9b::7f00:3]", "[2002:7f00:3::]", "[fec0::1]", "[fe80::1%25lo]",
        "[::1]", "169.254.169.254", "[fd00:ec2::254]", "224.0.0.1", "10.0.0.1", "evil.test", "EVIL.test", "evil。test",
    ],
)  # fmt: skip
async def test_blocked_targets_all_get_the_same_answer(servers: Servers, host: str) -> None:
    with pytest.raises(UrlNotAllowed, match=f"^{re.escape(url_module.NOT_ALLOWED)}$"):
        await fetch_url(f"http://{host}:{servers.port}/", POLICY, resolve=servers.resolve)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        *((host, "url_not_allowed") for host in ("db", "localhost", "db.", "db.internal", "DB.Local", "nas.home.arpa")),
        ("private.test", "url_not_allowed"), ("unknown.test", "url_fetch_failed"),
    ],
)  # fmt: skip
async def test_a_name_of_an_internal_network_gets_the_same_answer_whether_it_exists_or_not(
    servers: Servers, host: str, code: str
) -> None:
    servers.names = {"db": [[CANARY]], "db.internal": [[CANARY]], "private.test.": [[CANARY]], "unknown.test.": [[]]}
    policy = replace(POLICY, resolves_internal_names=False)
    assert await servers.fetch(f"http://{host}/", policy) == code
    assert list(servers.lookups) == (
        [] if host.rstrip(".").lower().split(".")[-1] != "test" else [f"{host.rstrip('.')}."]
    )


async def test_an_address_is_not_looked_up(servers: Servers) -> None:
    for literal in (MEDIA, "127.2", "2130706434", "[::ffff:127.0.0.2]"):
        await servers.fetch(f"http://{literal}:{{port}}/x")
    assert not servers.lookups
    assert len(servers.requests) == 4


async def test_a_blocked_address_among_others_blocks_the_link(servers: Servers) -> None:
    for answer in ([MEDIA, CANARY], [CANARY, MEDIA], [MEDIA, "::1"]):
        servers.names["mixed.test"] = [answer]
        assert await servers.fetch("http://mixed.test:{port}/") == "url_not_allowed"


async def test_a_name_whose_address_changes_is_looked_up_once(servers: Servers) -> None:
    servers.names["rebind.test"] = [[MEDIA], [CANARY]]
    assert await servers.fetch("http://rebind.test:{port}/x") == BODY
    assert servers.lookups == {"rebind.test": 1}


async def test_a_cancellation_after_the_last_byte_closes_the_file(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget, close = SpoolBudget(10 * len(BODY)), httpx.AsyncHTTPTransport.__aexit__
    num_bytes_at_the_end: list[int] = []

    async def cancelled_close(*arguments: Any) -> None:
        num_bytes_at_the_end.append(budget.num_bytes)
        asyncio.get_running_loop().call_soon(task.cancel)
        try:
            await asyncio.sleep(10)
        finally:
            await close(*arguments)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__aexit__", cancelled_close)
    url = f"http://good.test:{servers.port}/x"
    task = asyncio.create_task(fetch_url(url, POLICY, resolve=servers.resolve, reservation=budget.reserve()))
    await asyncio.wait([task])
    assert task.cancelled()
    assert num_bytes_at_the_end == [len(BODY)]
    await wait_until(lambda: budget.num_bytes == 0)


async def test_proxies_of_the_environment_are_ignored(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{CANARY}:{servers.port}")
    assert await servers.fetch("http://good.test:{port}/x") == BODY


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("good.test", True), ("GOOD.Test", True), ("sub.good.test", False), ("good.test.", False),
        ("good.test.evil.test", False), ("wild.test", False), ("a.wild.test", True), ("a.b.wild.test", True),
        ("awild.test", False), ("xgood.test", False), (MEDIA, False),
        ("BÜCHER.test", True), ("xn--bcher-kva.test", True), ("bucher.test", False), ("xn--0", False),
    ],
)  # fmt: skip
async def test_allowed_domains(servers: Servers, host: str, is_allowed: bool) -> None:
    servers.names = {host.lower().replace("bücher", "xn--bcher-kva"): [[MEDIA]]}
    domains = tuple(map(host_pattern, ("Good.test", "*.wild.test", "bücher.test")))
    policy = replace(POLICY, allowed_media_domains=domains)
    assert await servers.fetch(f"http://{host}:{{port}}/x", policy) == (BODY if is_allowed else "url_not_allowed")
    assert bool(servers.lookups) == is_allowed


async def test_a_refused_host_is_reported_and_logged(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with pytest.raises(UrlNotAllowed, match="does not fetch from"):
        await fetch_url("http://good.test/x", replace(POLICY, allowed_media_domains=("a.test",)))
    assert "refused a link to 'good.test', which is not one of ALLOWED_MEDIA_DOMAINS" in caplog.messages
    policy = replace(POLICY, allowed_media_domains=("evil.test",))
    with pytest.raises(UrlNotAllowed, match="use a public link"):
        await fetch_url("http://evil.test/x", policy, resolve=servers.resolve)
    assert f"refused a link to 'evil.test', which resolves to {CANARY}" in caplog.messages


@pytest.mark.parametrize(
    ("url", "code"),
    [
        *((url, "unsupported_url_scheme") for url in ("ftp://h/", "gopher://h/", "file:///etc/passwd", "data:,x")),
        *((url, "unsupported_url_scheme") for url in ("concat:a|b", "hls+http://h/", "javascript:alert(1)")),
        *((f"http://{rest}", "invalid_url") for rest in ("", "/x", "a b/", "h/\t", "h\n/", "h/ ", "h\\@x/", "h#@x/")),
        *((f"http://{rest}", "invalid_url") for rest in ("u@h/", "u:p@h/", "@h/", "h:0/", "h:65536/", "h:abc/")),
        *((f"http://{rest}", "invalid_url") for rest in ("h/\ud800", "\ud800/", "a／b/", "a＠b/", "[1:2]/", "[::1/")),
        *((url, "invalid_url") for url in ("", "http://h/" + "x" * 10_000, " http://h/")),
    ],
)
async def test_urls_that_are_refused_without_a_request(url: str, code: str) -> None:
    with pytest.raises(AsrError) as caught:
        await open_reference(url, POLICY, is_local_client=True)
    assert caught.value.code == code


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab.:/@\\#?[]%0１①。 \t\x00é-_~"), max_size=20))
def test_the_checked_host_is_the_dialled_host(rest: str) -> None:
    try:
        parsed = parse_url(f"http://{rest}")
    except InvalidUrl:
        return
    again = httpx.URL(str(parsed))
    assert (again.host, again.port, again.scheme) == (parsed.host, parsed.port, parsed.scheme)
    assert parsed.host
    assert not parsed.userinfo
    assert not set(parsed.host) & set("/\\@#? ")


@pytest.mark.parametrize("url", ["http://a" + "\u0315\u0300" * 4000, "http://" + "a" * 301], ids=["marks", "letters"])
def test_a_long_host_is_refused_before_it_is_normalised(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Putting 8,000 combining marks in order takes 50 ms."""
    monkeypatch.setattr(url_module, "unicodedata", None)
    with pytest.raises(InvalidUrl, match="at most 300 characters"):
        parse_url(url)
    monkeypatch.undo()
    assert parse_url(f"http://{'a.' * 120}com/").host == "a." * 120 + "com"


async def test_a_redirect_to_a_long_host_is_refused(servers: Servers) -> None:
    servers.answers["/1"] = redirect(f"http://{'a' * 301}/")
    assert await servers.fetch("http://good.test:{port}/1") == "url_fetch_failed"


@pytest.mark.parametrize(
    ("name", "is_link"),
    [("http://h/", True), ("HTTP:x", True), ("data:,", True), (" ftp://h", True), ("/a:b", False), ("a.wav", False)],
)
def test_links_and_paths_are_distinguished(name: str, is_link: bool) -> None:
    assert names_link(name) is is_link


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
async def test_tls_is_verified_and_kept(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    arguments = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=good.test -addext subjectAltName=DNS:good.test"
    subprocess.run(  # noqa: ASYNC221 - a fraction of a second
        ["openssl", *arguments.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    named: list[str | None] = []
    serving.sni_callback = lambda _socket, name, _context: named.append(name)
    servers.names["other.test"] = [[MEDIA]]
    servers.answers["/down"] = redirect("http://good.test:{port}/x")
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with await asyncio.start_server(servers.serve, MEDIA, 0, ssl=serving) as tls:
        port = tls.sockets[0].getsockname()[1]
        with pytest.raises(UrlUpstreamError, match=r"TLS with the link's server failed \(self.signed certificate\)"):
            await fetch_url(f"https://good.test:{port}/x", POLICY, resolve=servers.resolve)
        monkeypatch.setattr(url_module, "tls_context", lambda: trusting)
        assert await servers.fetch(f"https://good.test:{port}/x") == BODY
        assert named[-1] == "good.test"
        assert await servers.fetch(f"https://other.test:{port}/x") == "url_upstream_error"  # not in the certificate
        assert await servers.fetch(f"https://good.test:{port}/down") == "url_not_allowed"
