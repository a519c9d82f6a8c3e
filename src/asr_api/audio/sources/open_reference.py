"""Where audio comes from: an upload, a link or a local path, each → one bounded, seekable `Spool`.

Every entry point of the service (HTTP routes, CLI) opens what a client *names* through `open_reference`, so that no route
can forget a guard. Knows nothing about audio.
"""

from __future__ import annotations

import re

import anyio.to_thread

from asr_api.audio.sources.local_path import open_local
from asr_api.audio.sources.policy import LocalPaths, MediaPolicy, Network
from asr_api.audio.sources.spool import Spool, spool_chunks
from asr_api.errors import InvalidUrl

__all__ = [
    "LocalPaths",
    "MediaPolicy",
    "Network",
    "Spool",
    "names_link",
    "open_local",
    "open_reference",
    "spool_chunks",
]

_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:")


def names_link(name: str) -> bool:
    """Whether `name` has the form of a URL, allowed or not; everything else is a path."""
    return _SCHEME.match(name) is not None


async def open_reference(name: str, policy: MediaPolicy, *, is_local_client: bool) -> Spool:
    """Fetches the link or opens the path. is_local_client: the request came from this very machine, not by a proxy."""
    if not name:
        raise InvalidUrl("The url is empty; send an http(s) link.")
    if names_link(name):
        from asr_api.audio.sources.url import fetch_url  # httpx takes 0.1 s to import, which the CLI need not pay

        return await fetch_url(name, policy)
    return await anyio.to_thread.run_sync(lambda: open_local(name, policy, is_local_client=is_local_client))
