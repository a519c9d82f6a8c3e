"""An http(s) link → `Spool`, reaching nothing but what the policy allows.

Every hop is parsed once by the library that dials it, rebuilt, resolved once, judged, and dialled by the judged
address; `_JudgedTransport` is the only way out. Every blocked target gets the same answer, so that nobody can map our
network; a name that no entry allows is refused before it is resolved, and told. Knows nothing about audio.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import socket
import ssl
import time
import unicodedata
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import anyio
import httpx

from asr_api.audio.sources.ip_addresses import is_dialable
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.audio.sources.spool import TOO_LARGE, Spool, spool_chunks
from asr_api.errors import (
    AsrError,
    InvalidUrl,
    MediaTooLarge,
    UnsupportedUrlScheme,
    UrlFetchFailed,
    UrlFetchTimeout,
    UrlNotAllowed,
    UrlTooManyRedirects,
    UrlUpstreamError,
)

log = logging.getLogger(__name__)

MAX_URL_CHARS = 8192  # presigned links reach 2,000
MAX_PORT = 65535
_REDIRECTS = {301, 302, 303, 307, 308}
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff]")
_AUTHORITY = re.compile(r"([^:]*:)//([^/?#]*)(.*)", re.DOTALL)
_OLD_IPV4 = re.compile(r"[^:]*://[0-9.]+(:[0-9]*)?(/|$)")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*")
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "asr-api"}

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]  # host, port → addresses as text


async def fetch_url(url: str, policy: MediaPolicy, *, resolve: Resolver | None = None) -> Spool:
    """Downloads into a spool, following redirects by hand.

    Errors: InvalidUrl, UnsupportedUrlScheme, UrlNotAllowed, UrlTooManyRedirects, UrlFetchFailed (the answer will not
    change), UrlUpstreamError (it may), UrlFetchTimeout, MediaTooLarge, SpoolFull.
    """
    hop = parse_url(url)
    transport = _JudgedTransport(policy, resolve or _resolve)
    try:
        with anyio.fail_after(policy.total_timeout_s):
            return await _follow(hop, transport, policy)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise UrlFetchTimeout("The link's server took too long; check the link or upload the file.") from error
    except httpx.TransportError as error:
        raise UrlUpstreamError("The link's server closed the connection or is not there; try again later.") from error
    finally:
        await transport.aclose()


def host_pattern(entry: str) -> str:
    """An entry of `allowed_media_domains`, as people write it, in the form that hosts are compared in.

    Raises ValueError unless it is a host name, or `*.` and a host name.
    """
    name = entry.removeprefix("*.")
    try:
        host = _host(httpx.URL(scheme="http", host=unicodedata.normalize("NFKC", name)))
    except httpx.InvalidURL as error:
        raise ValueError from error
    if not _HOST_NAME.fullmatch(host):
        raise ValueError
    return entry.removesuffix(name) + host


def parse_url(url: str) -> httpx.URL:
    """The URL as it will be dialled: parsed once, by httpx, and rebuilt from the parts; without a fragment."""
    if not url or len(url) > MAX_URL_CHARS or _UNSAFE.search(url):
        raise InvalidUrl(f"The url must be 1 to {MAX_URL_CHARS:,} characters without spaces, backslashes or controls.")
    url = _with_plain_host(url)
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        if _OLD_IPV4.match(url):  # 0177.0.0.1, which some resolvers would read as octal
            raise _not_allowed() from error
        raise InvalidUrl("The url cannot be parsed; send it in the form https://host/path.") from error
    if parsed.scheme not in {"http", "https"}:
        raise UnsupportedUrlScheme("Only http and https links can be fetched; upload the file instead.")
    if not parsed.raw_host or "@" in parsed.fragment:
        raise InvalidUrl("The url must name a host and no user; send it in the form https://host/path.")
    if parsed.port is not None and not 0 < parsed.port <= MAX_PORT:
        raise InvalidUrl(f"The url's port must be between 1 and {MAX_PORT}; correct it or leave it out.")
    return httpx.URL(scheme=parsed.scheme, host=_host(parsed), port=parsed.port, raw_path=parsed.raw_path)


def _with_plain_host(url: str) -> str:
    """The URL with its host in compatibility form, as browsers read ①②⑦.0.0.1; that must not add separators."""
    match = _AUTHORITY.fullmatch(url)
    if match is None:
        return url
    plain = unicodedata.normalize("NFKC", match[2])
    if "@" in plain or any(plain.count(mark) > match[2].count(mark) for mark in "/?#:[]\\% "):
        raise InvalidUrl(
            "The url must name a host in plain letters and no user; send it in the form https://host/path."
        )
    return f"{match[1]}//{plain}{match[3]}"


async def _follow(hop: httpx.URL, transport: _JudgedTransport, policy: MediaPolicy) -> Spool:
    for _ in range(policy.max_redirects + 1):
        response = await transport.get(hop)
        try:
            if response.status_code not in _REDIRECTS:
                return await _receive(response, policy)
            hop = _redirected(hop, response.headers.get("Location", ""))
        finally:
            await response.aclose()
    raise UrlTooManyRedirects(f"The link redirects more than {policy.max_redirects} times; send the final link.")


def _redirected(hop: httpx.URL, location: str) -> httpx.URL:
    if not location or len(location) > MAX_URL_CHARS or _UNSAFE.search(location):
        raise UrlFetchFailed("The link redirects to nowhere; send the final link.")
    try:
        target = parse_url(str(hop.join(location)))
    except UnsupportedUrlScheme as error:
        raise _not_allowed() from error
    except (InvalidUrl, httpx.InvalidURL) as error:
        raise UrlFetchFailed("The link redirects to an address that cannot be read; send the final link.") from error
    if hop.scheme == "https" and target.scheme == "http":
        raise _not_allowed()
    return target


async def _receive(response: httpx.Response, policy: MediaPolicy) -> Spool:
    status = response.status_code
    if status >= 500 or status in {408, 429}:  # ours was not the fault
        raise UrlUpstreamError(f"The link's server answered with status {status}; try again later.")
    if status != 200:
        raise UrlFetchFailed(f"The link's server answered with status {status}; check the link.")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UrlFetchFailed("The link's server compressed the file though asked not to; upload the file instead.")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length[:20]) > policy.max_media_bytes:
        raise MediaTooLarge(TOO_LARGE.format(policy.max_media_bytes))
    chunks = _fast_enough(response.aiter_raw(), policy)
    return await spool_chunks(chunks, policy.max_media_bytes, directory=policy.spool_dir, too_large=MediaTooLarge)


async def _fast_enough(chunks: AsyncIterator[bytes], policy: MediaPolicy) -> AsyncIterator[bytes]:
    """The same chunks; UrlFetchTimeout when those of the latest `rate_window_s` were too few."""
    received: deque[tuple[float, int]] = deque()
    started_s = time.monotonic()
    in_window_bytes = 0
    async for chunk in chunks:
        now_s = time.monotonic()
        received.append((now_s, len(chunk)))
        in_window_bytes += len(chunk)
        while received[0][0] < now_s - policy.rate_window_s:
            in_window_bytes -= received.popleft()[1]
        is_slow = in_window_bytes < policy.min_rate_bytes_s * policy.rate_window_s
        if is_slow and now_s - started_s > policy.rate_window_s:
            raise UrlFetchTimeout("The link's server sends too slowly; upload the file instead.")
        yield chunk


class _JudgedTransport:
    """Opens connections to judged addresses only; TLS and the Host header keep the name that the client gave."""

    def __init__(self, policy: MediaPolicy, resolve: Resolver) -> None:
        self._policy = policy
        self._resolve = resolve
        self._timeout = httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s).as_dict()
        self._http: httpx.AsyncHTTPTransport | None = None

    async def get(self, url: httpx.URL) -> httpx.Response:
        addresses = await self._judged(url)
        if self._http is None:
            self._http = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)
        failure: Exception | None = None
        for address in addresses:
            request = httpx.Request(
                "GET",
                url.copy_with(host=address),
                headers={**_HEADERS, "Host": url.netloc.decode("ascii")},
                extensions={"timeout": self._timeout, "sni_hostname": _host(url)},
            )
            try:
                return await self._http.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or _unknown_host()

    async def _judged(self, url: httpx.URL) -> Sequence[str]:
        """The addresses of the host, resolved once; UrlNotAllowed if the name or any one of them is not allowed."""
        host = _host(url)
        if not _is_allowed_host(host, self._policy.allowed_media_domains):
            log.info("refused a link to %r, which is not one of ALLOWED_MEDIA_DOMAINS", host)
            raise UrlNotAllowed(
                "The link's host is not one that this server fetches from; use a host that it allows or upload."
            )
        if "%" in host:
            raise _not_allowed()
        port = url.port or (443 if url.scheme == "https" else 80)
        with anyio.fail_after(self._policy.connect_timeout_s):
            addresses = await self._resolve(host, port)
        cidrs = self._policy.allow_private_cidrs
        if not all(is_dialable(address, cidrs) for address in addresses):
            log.warning("refused a link to %r, which resolves to %s", host, ", ".join(addresses))
            raise _not_allowed()
        return addresses

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()


def _is_allowed_host(host: str, domains: tuple[str, ...]) -> bool:
    if not domains:
        return True
    return any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in domains)


def _host(url: httpx.URL) -> str:
    """As it is dialled: a name in other letters in its ASCII form."""
    return url.raw_host.decode("ascii")


async def _resolve(host: str, port: int) -> list[str]:
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _unknown_host() from error
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))


@functools.cache
def _tls() -> ssl.SSLContext:
    """Takes 20 ms to load, so it is kept."""
    return httpx.create_ssl_context(trust_env=False)


def _not_allowed() -> AsrError:
    return UrlNotAllowed("The link leads to an address that this server does not fetch; use a public link or upload.")


def _unknown_host() -> AsrError:
    return UrlFetchFailed("The link's host is not known; check the link.")
