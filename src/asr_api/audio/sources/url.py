"""Download of http(s) links into a `Spool`, restricted to the hosts and addresses that the policy allows (SSRF guard).

Every hop is parsed once by the library that dials it, rebuilt, resolved once, checked, and dialled by the checked
address; only `_GuardedTransport` opens connections.

The network of the server cannot be mapped: every blocked address gets the same answer. So does, before it is resolved,
a name that only an internal network can have (`internal_names.py`), whether it exists or not; other names are resolved
without the search domains of the server. What remains: a name below a public domain that has a private address (403)
differs from one that does not exist (422), as clients must be told of a misspelt host. A host that
ALLOWED_MEDIA_DOMAINS does not list is refused before it is resolved.
"""

from __future__ import annotations

import functools
import logging
import re
import ssl
import time
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial

import anyio
import httpx

from asr_api.audio.sources.internal_names import is_internal
from asr_api.audio.sources.ip_addresses import is_dialable
from asr_api.audio.sources.name_resolution import literal_addresses
from asr_api.audio.sources.name_resolution import resolve as resolve_name
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.audio.sources.spool import TOO_LARGE, Spool, spool_chunks
from asr_api.audio.sources.spool_budget import SpoolReservation
from asr_api.errors import (
    InvalidUrl,
    MediaTooLarge,
    UnsupportedUrlScheme,
    UrlFetchFailed,
    UrlFetchTimeout,
    UrlNotAllowed,
    UrlTooManyRedirects,
    UrlUpstreamError,
)

logger = logging.getLogger(__name__)

MAX_URL_CHARS = 8192  # presigned links reach 2,000
MAX_AUTHORITY_CHARS = 300  # a host name has at most 253; normalising marks takes quadratic time
MAX_PORT = 65535
REDIRECT_STATUSES = {301, 302, 303, 307, 308}
UNSAFE_CHARACTERS = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff]")
AUTHORITY = re.compile(r"([^:]*:)//([^/?#]*)(.*)", re.DOTALL)
OLD_IPV4 = re.compile(r"[^:]*://[0-9.]+(:[0-9]*)?(/|$)")
HOST_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
HOST_NAME = re.compile(rf"(?!.{{254}}){HOST_LABEL}(?:\.{HOST_LABEL})*")
NOT_ALLOWED = "The link leads to an address that this server does not fetch; use a public link or upload the file."
REQUEST_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "asr-api"}

Resolver = Callable[[str, float], Awaitable[Sequence[str]]]  # host, timeout in seconds → addresses as text


async def fetch_url(
    url: str,
    policy: MediaPolicy,
    *,
    reservation: SpoolReservation | None = None,
    resolve: Resolver | None = None,
) -> Spool:
    """Downloads into a spool; redirects are followed here, so that each target is checked.

    Errors: InvalidUrl, UnsupportedUrlScheme, UrlNotAllowed, UrlTooManyRedirects, UrlFetchFailed (permanent),
    UrlUpstreamError (may be temporary), UrlFetchTimeout, and those of `spool_chunks`.
    """
    hop = parse_url(url)
    resolve = resolve or partial(resolve_name, account=reservation.account if reservation else "")
    try:
        with anyio.fail_after(policy.total_timeout_s):
            return await _fetch(hop, policy, resolve, reservation)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise UrlFetchTimeout("The link's server took too long to answer; upload the file.") from error
    except httpx.TransportError as error:
        if tls_error := _tls_error(error):
            reason = getattr(tls_error, "verify_message", "") or tls_error.reason or "unknown reason"
            raise UrlUpstreamError(f"TLS with the link's server failed ({reason}); upload the file.") from error
        raise UrlUpstreamError("The link's server cannot be reached or hung up; try again later.") from error


async def _fetch(hop: httpx.URL, policy: MediaPolicy, resolve: Resolver, reservation: SpoolReservation | None) -> Spool:
    async with AsyncExitStack() as on_error:
        async with httpx.AsyncHTTPTransport(verify=tls_context(), trust_env=False) as http:
            with anyio.fail_after(policy.header_timeout_s):  # httpx bounds each read, and headers may take many
                response = await _follow(hop, _GuardedTransport(http, policy, resolve), policy)
            async with aclosing(response):
                spool = await _receive(response, policy, reservation)
                on_error.push_async_callback(spool.aclose)  # closing the connection may fail or be cancelled
        on_error.pop_all()
    return spool


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """The first among an error and its causes."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def host_pattern(entry: str) -> str:
    """The entry of `allowed_media_domains` for a host name, or `*.` and a host name; ValueError for other text."""
    name = entry.removeprefix("*.")
    try:
        host = _host(httpx.URL(scheme="http", host=unicodedata.normalize("NFKC", name)))
    except httpx.InvalidURL as error:
        raise ValueError from error
    if not HOST_NAME.fullmatch(host):
        raise ValueError
    return entry.removesuffix(name) + host


def parse_url(url: str) -> httpx.URL:
    """The URL as it will be dialled: parsed once, by httpx, and rebuilt from the parts; without a fragment."""
    if not url or len(url) > MAX_URL_CHARS or UNSAFE_CHARACTERS.search(url):
        raise InvalidUrl(
            f"The url must have 1 to {MAX_URL_CHARS:,} characters, no space, backslash or control; encode it."
        )
    url = _with_plain_host(url)
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        if OLD_IPV4.match(url):  # 0177.0.0.1, which some resolvers would read as octal
            raise UrlNotAllowed(NOT_ALLOWED) from error
        raise InvalidUrl("The url cannot be parsed; send it in the form https://host/path.") from error
    if parsed.scheme not in {"http", "https"}:
        raise UnsupportedUrlScheme("Only http and https links can be fetched; upload the file instead.")
    if not parsed.raw_host or "@" in parsed.fragment:
        raise InvalidUrl("The url must name a host and no user; send it in the form https://host/path.")
    if parsed.port is not None and not 0 < parsed.port <= MAX_PORT:
        raise InvalidUrl(f"The url's port must be between 1 and {MAX_PORT}; correct it or leave it out.")
    try:
        return httpx.URL(scheme=parsed.scheme, host=_host(parsed), port=parsed.port, raw_path=parsed.raw_path)
    except httpx.InvalidURL as error:  # 0177。0。0。1, whose ASCII form has the dots of an IPv4 address
        raise UrlNotAllowed(NOT_ALLOWED) from error


def _with_plain_host(url: str) -> str:
    """The URL with its host in compatibility form (NFKC), as browsers read ①②⑦.0.0.1; that must not add separators."""
    match = AUTHORITY.fullmatch(url)
    if match is None:
        return url
    if len(match[2]) > MAX_AUTHORITY_CHARS:
        raise InvalidUrl(f"The url's host and port must have at most {MAX_AUTHORITY_CHARS} characters; correct them.")
    plain = unicodedata.normalize("NFKC", match[2])
    if "@" in plain or any(plain.count(mark) > match[2].count(mark) for mark in "/?#:[]\\% "):
        raise InvalidUrl("The url must name a host in plain letters and no user; send https://host/path.")
    return f"{match[1]}//{plain}{match[3]}"


async def _follow(hop: httpx.URL, transport: _GuardedTransport, policy: MediaPolicy) -> httpx.Response:
    """The response at the end of the redirects, of which only the headers are read."""
    for _ in range(policy.max_redirects + 1):
        response = await transport.get(hop)
        if response.status_code not in REDIRECT_STATUSES:
            return response
        await response.aclose()
        hop = _redirected(hop, response.headers.get("Location", ""))
    raise UrlTooManyRedirects(f"The link redirects more than {policy.max_redirects} times; send the final link.")


def _redirected(hop: httpx.URL, location: str) -> httpx.URL:
    if not location or len(location) > MAX_URL_CHARS or UNSAFE_CHARACTERS.search(location):
        raise UrlFetchFailed("The link redirects without a usable target; send the final link.")
    try:
        target = parse_url(str(hop.join(location)))
    except UnsupportedUrlScheme as error:
        raise UrlNotAllowed(NOT_ALLOWED) from error
    except (InvalidUrl, httpx.InvalidURL) as error:
        raise UrlFetchFailed("The link redirects to a URL that cannot be parsed; send the final link.") from error
    if hop.scheme == "https" and target.scheme == "http":
        raise UrlNotAllowed(NOT_ALLOWED)
    return target


async def _receive(response: httpx.Response, policy: MediaPolicy, reservation: SpoolReservation | None) -> Spool:
    status = response.status_code
    if status >= 500 or status in {408, 429}:  # temporary
        raise UrlUpstreamError(f"The link's server answered with status {status}; try again later.")
    if status != 200:
        raise UrlFetchFailed(f"The link's server answered with status {status}; check the link.")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UrlFetchFailed("The link's server sent a compressed file, against the request; upload the file instead.")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length[:20]) > policy.max_media_bytes:
        raise MediaTooLarge(TOO_LARGE.format(policy.max_media_bytes))
    chunks = _fast_enough(response.aiter_raw(), policy)
    return await spool_chunks(chunks, policy.max_media_bytes, too_large=MediaTooLarge, reservation=reservation)


async def _fast_enough(chunks: AsyncIterator[bytes], policy: MediaPolicy) -> AsyncIterator[bytes]:
    """The same chunks; UrlFetchTimeout when the rate over a `rate_window_s` is below the minimum."""
    ends_s, num_bytes = time.monotonic() + policy.rate_window_s, 0
    async for chunk in chunks:
        num_bytes += len(chunk)
        if time.monotonic() > ends_s:
            if num_bytes < policy.min_rate_bytes_s * policy.rate_window_s:
                minimum = f"{policy.min_rate_bytes_s:,} bytes/s, the minimum"
                raise UrlFetchTimeout(f"The link's server sends less than {minimum}; upload the file.")
            ends_s, num_bytes = time.monotonic() + policy.rate_window_s, 0
        yield chunk


class _GuardedTransport:
    """Connects to checked addresses only; TLS and the Host header keep the host name of the URL."""

    def __init__(self, http: httpx.AsyncHTTPTransport, policy: MediaPolicy, resolve: Resolver) -> None:
        self._http = http
        self._policy = policy
        self._resolve = resolve
        self._timeout = httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s).as_dict()

    async def get(self, url: httpx.URL) -> httpx.Response:
        failure: Exception | None = None
        for address in await self._checked_addresses(url):
            request = httpx.Request(
                "GET",
                url.copy_with(host=address),
                headers={**REQUEST_HEADERS, "Host": url.netloc.decode("ascii")},
                extensions={"timeout": self._timeout, "sni_hostname": _host(url)},
            )
            try:
                return await self._http.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or UrlFetchFailed("The link's host has no address; check the link.")

    async def _checked_addresses(self, url: httpx.URL) -> Sequence[str]:
        """The addresses of the host, resolved once; UrlNotAllowed if the name or any address is not allowed."""
        host = _host(url)
        if not _is_allowed_host(host, self._policy.allowed_media_domains):
            logger.info("refused a link to %r, which is not one of ALLOWED_MEDIA_DOMAINS", host)
            raise UrlNotAllowed("This server does not fetch from the link's host; upload the file.")
        if "%" in host:
            raise UrlNotAllowed(NOT_ALLOWED)
        addresses = literal_addresses(host) or await self._resolved(host)
        cidrs = self._policy.allow_private_cidrs
        if not all(is_dialable(address, cidrs) for address in addresses):
            logger.info("refused a link to %r, which resolves to %s", host, ", ".join(addresses))
            error = UrlNotAllowed(NOT_ALLOWED)
            error.addresses = tuple(addresses)
            raise error
        return addresses

    async def _resolved(self, name: str) -> Sequence[str]:
        if self._policy.resolves_internal_names:
            return await self._resolve(name, self._policy.connect_timeout_s)
        if is_internal(name):
            logger.info("refused a link to %r, which is a name of an internal network", name)
            raise UrlNotAllowed(NOT_ALLOWED)
        # The final dot keeps the resolver from adding the search domains of the server.
        return await self._resolve(name.rstrip(".") + ".", self._policy.connect_timeout_s)


def _is_allowed_host(host: str, domains: tuple[str, ...]) -> bool:
    return not domains or any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in domains)


def _host(url: httpx.URL) -> str:
    """The host as it is dialled: a name in other alphabets in its ASCII form."""
    return url.raw_host.decode("ascii")


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Takes 20 ms to load, so it is kept."""
    return httpx.create_ssl_context(trust_env=False)
