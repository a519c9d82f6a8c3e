"""Opens a source of the command line: stdin, a link under the media policy, or a local file of any size."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from asr_api.audio.sources.ip_addresses import missing_cidrs
from asr_api.audio.sources.open_reference import names_link, open_reference
from asr_api.audio.sources.policy import LocalPaths
from asr_api.audio.sources.spool import Spool, spool_chunks
from asr_api.cli.sources import STDIN, Source
from asr_api.cli.stdin import read_stdin
from asr_api.compose import media_policy
from asr_api.errors import MediaTooLarge, PathNotFound, UrlNotAllowed
from asr_api.settings.declaration import flag_of
from asr_api.settings.settings import Settings


async def open_source(source: Source, settings: Settings) -> Spool:
    """The caller closes the spool. Raises what opening a link or a file raises."""
    if source.reference == STDIN:
        return await spool_chunks(read_stdin(), settings.max_media_bytes, too_large=MediaTooLarge)
    policy = replace(media_policy(settings), local_paths=LocalPaths(), resolves_internal_names=True)
    if not names_link(source.reference):
        policy = replace(policy, max_media_bytes=sys.maxsize)  # downloads and stdin are bounded, as they are stored
    try:
        return await open_reference(source.reference, policy, is_local_client=True)
    except UrlNotAllowed as error:
        if error.addresses:
            raise UrlNotAllowed(_address_not_allowed(error.addresses, settings)) from None
        raise
    except PathNotFound:
        if os.path.islink(source.reference):  # noqa: ASYNC240, PTH114  # quick
            raise PathNotFound("It is a broken link; repair or remove it.") from None
        raise PathNotFound("There is no such file; check the spelling.") from None


def _address_not_allowed(addresses: Sequence[str], settings: Settings) -> str:
    reason = f"The link leads to {' and '.join(addresses)}, which is not public"
    missing = missing_cidrs(addresses, settings.allow_private_cidrs)
    if missing is None:
        return f"{reason} and never fetched from; download the file and name it."
    cidrs = ",".join(map(str, (*settings.allow_private_cidrs, *missing)))
    return f"{reason}; if you trust it, add {flag_of('allow_private_cidrs')} {cidrs}."
