"""The body of `POST /asr` → a spool with the audio, or the name of the audio: a link or a path.

As in the original, the content type decides little: JSON is recognised by its type, or by being small and starting
with a brace; everything else is audio, streamed to disk as it comes. Audio is never parsed as JSON, nor held in memory.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from asr_api.audio.sources.spool import Spool, spool_chunks
from asr_api.errors import (
    EmptyBody,
    InvalidJson,
    InvalidParameter,
    InvalidRequest,
    InvalidUrl,
    JsonTooLarge,
    MissingUrl,
    UnsupportedFormat,
)
from asr_api.parameters import RawParameter

MAX_JSON_BYTES = 64 * 1024
EXAMPLE = '{"url": "https://example.org/speech.mp3"}'


@dataclass(frozen=True, slots=True)
class AudioReference:
    """Audio that the client names instead of sending it, and what else the JSON asks for."""

    url: str
    given: tuple[RawParameter, ...] = ()


async def read_body(content_type: str, chunks: AsyncIterator[bytes], max_bytes: int) -> Spool | AudioReference:
    """Reads the whole body; the caller closes the spool."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise UnsupportedFormat(
            "Multipart forms are not supported; send the bytes of the file alone, as curl --data-binary @FILE does."
        )
    is_json = kind == "application/json" or kind.endswith("+json")
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > MAX_JSON_BYTES or not (is_json or _may_be_json(head)):
            break
    else:
        if not head:
            raise EmptyBody(f"The body is empty; send the bytes of an audio file, or JSON such as {EXAMPLE}.")
        if is_json or _is_text(head):
            return parse_reference(bytes(head))
    if is_json:
        raise JsonTooLarge(f"The JSON has more than {MAX_JSON_BYTES:,} bytes; send audio with another content type.")
    return await spool_chunks(_joined(bytes(head), chunks), max_bytes)


def parse_reference(body: bytes) -> AudioReference:
    """Raises InvalidJson, InvalidRequest, MissingUrl, InvalidUrl or InvalidParameter."""
    try:
        request = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise InvalidJson(f"The body is not valid JSON; send for example {EXAMPLE}.") from None
    if not isinstance(request, dict):
        raise InvalidRequest(f"The JSON is not an object; send for example {EXAMPLE}.")
    if "url" not in request:
        raise MissingUrl(f'The JSON has no "url"; send for example {EXAMPLE}.')
    url = request["url"]
    if not isinstance(url, str) or not url or any("\ud800" <= character <= "\udfff" for character in url):
        raise InvalidUrl(f'"url" is not a link or a path; send for example {EXAMPLE}.')
    given = [one for name, value in request.items() if name != "url" for one in _given(name, value)]
    return AudioReference(url, tuple(given))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Raises InvalidRequest when a key stands there twice, for one of its values would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidRequest("The JSON has a key twice; give each once.")
    return found


def _given(name: str, value: object) -> Iterator[RawParameter]:
    """A JSON value as it would stand in a query; null counts as not given."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            yield RawParameter(name, one)
        elif isinstance(one, bool | int | float):
            yield RawParameter(name, json.dumps(one))
        elif one is not None:
            raise InvalidParameter(f"{name[:40]!r} holds a JSON object; send text, a number, true, false or a list.")


def _may_be_json(head: bytearray) -> bool:
    return bytes(head.lstrip()[:1]) in {b"", b"{"}


def _is_text(body: bytearray) -> bool:
    """What begins like JSON and is text is JSON, perhaps with a typo that its sender should be told."""
    try:
        return body.decode().lstrip().startswith("{")
    except UnicodeDecodeError:
        return False


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk
