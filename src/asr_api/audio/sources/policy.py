"""Media policy: bounds of links and local paths (sizes, hosts, addresses, paths, timeouts), as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class LocalPaths:
    """Which server-side paths a client may name.

    By default a client on this machine may name any file, and other clients may name none. With a `root` every client,
    on this machine or not, may name the files below it and no others. `is_enabled=False` disables paths altogether.
    """

    root: Path | None = None
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class MediaPolicy:
    """The bounds of links and local files.

    allowed_media_domains: empty allows every host; else exactly these hosts, and with "*.example.org" its sub-domains;
                           each in the form of `url.host_pattern`
    allow_private_cidrs:   networks that may be dialled although they are not public; never link-local addresses nor the
                           metadata services of clouds
    connect_timeout_s:     for the name resolution, and again for each connection
    min_rate_bytes_s:      a download that stays below this rate for `rate_window_s` is ended
    spool_dir:             the folder of unnamed temporary files; None takes the system's choice
    """

    max_media_bytes: int = 512 * 2**20
    local_paths: LocalPaths = LocalPaths()
    allowed_media_domains: tuple[str, ...] = ()
    allow_private_cidrs: tuple[Network, ...] = ()
    max_redirects: int = 5
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 10.0
    total_timeout_s: float = 300.0
    min_rate_bytes_s: int = 16 * 2**10
    rate_window_s: float = 15.0
    spool_dir: Path | None = None
