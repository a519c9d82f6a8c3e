"""Media policy: bounds of links and local paths (sizes, hosts, addresses, redirects, paths, timeouts), plain data."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class LocalPaths:
    """Which server-side paths a client may name.

    Without a `root` a client on this machine may name any file, and other clients none. With a `root` every client may
    name the files below it and no others.
    """

    root: Path | None = None
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class MediaPolicy:
    """The bounds of links and local files."""

    max_media_bytes: int = 512 * 2**20
    local_paths: LocalPaths = LocalPaths()
    # In the form of `url.host_pattern`; "*.example.org" stands for its sub-domains. Empty allows every host.
    allowed_media_domains: tuple[str, ...] = ()
    # Dialled although they are not public; never link-local addresses, nor the metadata services of clouds.
    allow_private_cidrs: tuple[Network, ...] = ()
    # Internal names are looked up: some may be allowed, or the client may know them all.
    resolves_internal_names: bool = False
    max_redirects: int = 5
    connect_timeout_s: float = 5.0  # for the name resolution, and again for each connection
    read_timeout_s: float = 10.0
    header_timeout_s: float = 15.0  # from the start to the end of the response headers, redirects included
    total_timeout_s: float = 300.0
    min_rate_bytes_s: int = 16 * 2**10  # a download that stays below this rate for `rate_window_s` is ended
    rate_window_s: float = 15.0
