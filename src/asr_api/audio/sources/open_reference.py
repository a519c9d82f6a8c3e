"""References to audio, which clients send instead of the audio: a link or a local path, opened as a `Spool`.

HTTP routes and the CLI open references through `open_reference` alone, so that no route can leave out a guard.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import anyio.to_thread

from asr_api.audio.sources.local_path import open_local_path
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.audio.sources.spool import Spool
from asr_api.audio.sources.spool_budget import SpoolReservation
from asr_api.errors import InvalidUrl

SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:")


def names_link(reference: str) -> bool:
    """Whether it has the form of a URL, allowed or not; everything else is a path."""
    return SCHEME.match(reference) is not None


async def open_reference(
    reference: str, policy: MediaPolicy, *, is_local_client: bool, reservation: SpoolReservation | None = None
) -> Spool:
    """Fetches the link or opens the path. is_local_client: the request came from this machine, not through a proxy."""
    if not reference:
        raise InvalidUrl("The url is empty; send an http(s) link.")
    if names_link(reference):
        from asr_api.audio.sources.url import fetch_url  # httpx takes 0.1 s to import, which the CLI need not pay

        return await fetch_url(reference, policy, reservation=reservation)
    return await _opened_in_thread(lambda: open_local_path(reference, policy, is_local_client=is_local_client))


async def _opened_in_thread(open_spool: Callable[[], Spool]) -> Spool:
    """A cancellation does not wait for a slow file system; what is opened afterwards is closed."""
    opening = asyncio.create_task(anyio.to_thread.run_sync(open_spool))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Task[Spool]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close_soon()
