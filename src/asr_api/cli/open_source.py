"""Opens a source of the command line: stdin, a link under the media policy, or a local file of any size."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from asr_api.audio.sources.open_reference import names_link, open_reference
from asr_api.audio.sources.policy import LocalPaths
from asr_api.audio.sources.spool import Spool, spool_chunks
from asr_api.cli.sources import STDIN, Source
from asr_api.cli.stdin import read_stdin
from asr_api.compose import media_policy
from asr_api.errors import PathNotFound
from asr_api.settings.settings import Settings


async def open_source(source: Source, settings: Settings) -> Spool:
    """The caller closes the spool. Raises what opening a link or a file raises."""
    if source.reference == STDIN:
        return await spool_chunks(read_stdin(), sys.maxsize)
    policy = replace(media_policy(settings), local_paths=LocalPaths())
    if not names_link(source.reference):
        policy = replace(policy, max_media_bytes=sys.maxsize)  # only downloads are bounded
    try:
        return await open_reference(source.reference, policy, is_local_client=True)
    except PathNotFound:
        if os.path.islink(source.reference):  # noqa: ASYNC240, PTH114  # quick
            raise PathNotFound("It is a broken link; repair or remove it.") from None
        raise PathNotFound("There is no such file; check the spelling.") from None
