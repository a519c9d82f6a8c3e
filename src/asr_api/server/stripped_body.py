"""Bodies that `curl -d` has changed: it sends a name as text, and strips line ends and zero bytes out of a file.

Its content type tells little, because `curl --data-binary` sends the same. But every container has zero bytes in its
header, and other audio has some in each thousand bytes, so a file without any of these bytes is no recording.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from asr_api.audio.sources.spool import Spool
from asr_api.errors import (
    AudioTooShort,
    EmptyAudio,
    InvalidAudio,
    NoAudioStream,
    UnsupportedFormat,
)

CURL_TYPE = "application/x-www-form-urlencoded"
SEND = "curl --data-binary @FILE"
STRIPPED = re.compile(rb"[\0\r\n]")
CERTAIN_BYTES = 1024  # random bytes of this length have none of the three once in 150,000 files
MAX_SHOWN_CHARS = 40
DECODING_ERRORS = (AudioTooShort, EmptyAudio, InvalidAudio, NoAudioStream, UnsupportedFormat)


@contextmanager
def explain_stripped_body(content_type: str, spool: Spool) -> Iterator[None]:
    """Around the decoding of an upload. Raises UnsupportedFormat for a body that curl has changed: before the decoding,
    which may take the rest for noise, if that is certain, else in place of the decoder's error.
    """
    head = os.pread(spool.fd, 2 * CERTAIN_BYTES, 0)
    if STRIPPED.search(head) or not head:
        yield
        return
    if media_type(content_type) == CURL_TYPE and len(head) >= CERTAIN_BYTES:
        raise _explanation(head)
    try:
        yield
    except DECODING_ERRORS as error:
        raise _explanation(head) from error


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _explanation(head: bytes) -> UnsupportedFormat:
    text = _text(head)
    if text is None:
        cause = "The body has no line ends and no zero bytes, as after curl -d @FILE, which strips them"
        return UnsupportedFormat(f"{cause}; send the bytes of the file: {SEND}.")
    shown = text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"
    remedy = f'send the bytes of a file: {SEND}, or a link in JSON: {{"url": "https://…"}}'
    return UnsupportedFormat(f"The body is the text {shown!r}, and no audio; {remedy}.")


def _text(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
