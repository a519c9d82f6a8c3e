"""Bodies that `curl -d` has changed: it sends a name as text, and strips line ends and zero bytes out of a file.

Its content type does not show it: `curl --data-binary` sends the same. But every container has a zero byte or a line
end in its header, and so has the first frame of an MP3.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from asr_api.audio.sources.spool import Spool
from asr_api.errors import AudioTooShort, EmptyAudio, InvalidAudio, NoAudioStream, UnsupportedFormat

SEND = "curl --data-binary @FILE"
STRIPPED = re.compile(rb"[\0\r\n]")
HEAD_BYTES = 2048
# How containers and MP3 begin; up to three bytes before `ftyp` may be left of its length.
BEGINNING = re.compile(
    rb"RIF[FX]|RF64|BW64|riff|\.RMF|OggS|fLaC|ID3|\x1aE\xdf\xa3|FORM|\.snd|caff|0&\xb2u|FLV|wvpk|TTA1|\xff[\xf2\xf3\xfa\xfb]|.{0,3}ftyp",
    re.DOTALL,
)
MAX_SHOWN_CHARS = 40
DECODING_ERRORS = (AudioTooShort, EmptyAudio, InvalidAudio, NoAudioStream, UnsupportedFormat)


@contextmanager
def explain_stripped_body(spool: Spool) -> Iterator[None]:
    """Around the decoding of an upload. Raises UnsupportedFormat for a body that curl has changed: before the decoding,
    which may take the rest for noise, if the body begins like a recording; else in place of the decoder's error.
    """
    head = os.pread(spool.fd, HEAD_BYTES, 0)
    if STRIPPED.search(head) or not head:
        yield
        return
    if BEGINNING.match(head):
        raise _explanation(head)
    try:
        yield
    except DECODING_ERRORS as error:
        raise _explanation(head) from error


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
