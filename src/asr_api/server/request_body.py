"""The body of `POST /asr`: an `AudioReference` (JSON that names a link or a path), or a spool with the uploaded audio.

As in the original, the content type decides little: JSON is recognised by its type, or by being small and starting
with a brace; everything else is audio, which is streamed to disk, never parsed as JSON nor held in memory.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from asr_api.audio.sources.spool import Spool
from asr_api.errors import (
    AsrError,
    EmptyBody,
    InvalidJson,
    InvalidParameter,
    InvalidRequest,
    InvalidUrl,
    JsonTooLarge,
    MissingUrl,
)
from asr_api.parameters import RawParameter
from asr_api.server.schemas import EXAMPLE_URL, AsrRequest
from asr_api.server.stripped_body import SEND

MAX_JSON_BYTES = 64 * 1024
EXAMPLE = json.dumps({"url": EXAMPLE_URL})


@dataclass(frozen=True, slots=True)
class AudioReference:
    """A link or path. parameters: the other keys of the JSON"""

    url: str
    parameters: tuple[RawParameter, ...] = ()


async def read_body(
    content_type: str, chunks: AsyncIterator[bytes], receive: Callable[[AsyncIterator[bytes]], Awaitable[Spool]]
) -> Spool | AudioReference:
    """Reads the whole body; the caller closes the spool. receive: makes it of audio"""
    media_type = _media_type(content_type)
    is_json = media_type == "application/json" or media_type.endswith("+json")
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        may_be_json = is_json or bytes(head.lstrip()[:1]) in {b"", b"{"}
        if len(head) > MAX_JSON_BYTES or not may_be_json:
            break
    else:
        if not head:
            raise EmptyBody(
                f"The body is empty; send the bytes of a file that exists: {SEND}, or JSON such as {EXAMPLE}."
            )
        if is_json or _is_text(head):
            return parse_reference(bytes(head))
    if is_json:
        raise JsonTooLarge(f"The JSON has more than {MAX_JSON_BYTES:,} bytes; send audio with another content type.")
    return await receive(_chained(bytes(head), chunks))


def is_form(content_type: str) -> bool:
    return _media_type(content_type).startswith("multipart/")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def parse_reference(body: bytes) -> AudioReference:
    """Raises InvalidJson, InvalidRequest, MissingUrl, InvalidUrl or InvalidParameter."""
    try:
        content = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError):
        raise InvalidJson(f"The body is not valid JSON; send for example {EXAMPLE}.") from None
    if not isinstance(content, dict):
        raise InvalidRequest(f"The JSON is not an object; send for example {EXAMPLE}.")
    try:
        request = AsrRequest.model_validate(content)
    except ValidationError as error:
        raise _request_error(error) from None
    extra = (request.model_extra or {}).items()
    return AudioReference(request.url, tuple(raw for name, value in extra for raw in _raw_parameters(name, value)))


def _request_error(error: ValidationError) -> AsrError:
    first = error.errors()[0]
    name = str(first["loc"][0])
    if name != "url":
        return InvalidParameter(f"{name[:40]!r} holds a JSON object; send text, a number, true, false or a list.")
    if first["type"] == "missing":
        return MissingUrl(f'The JSON has no "url"; send for example {EXAMPLE}.')
    return InvalidUrl(f'"url" is not a link or a path; send for example {EXAMPLE}.')


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Raises InvalidRequest for a repeated key, because one of its values would be lost; ValueError for no text."""
    found = dict(pairs)
    "".join(found).encode()  # JSON can hold half a character (a lone surrogate)
    if len(found) < len(pairs):
        raise InvalidRequest("The JSON has a key twice; give each key once.")
    return found


def _raw_parameters(name: str, value: object) -> Iterator[RawParameter]:
    """A JSON value as it would stand in a query; null counts as not given."""
    for item in value if isinstance(value, list) else [value]:
        if item is not None:
            yield RawParameter(name, item if isinstance(item, str) else json.dumps(item))


def _is_text(body: bytearray) -> bool:
    """Whether it is text that begins like JSON; a syntax error in it must be reported."""
    try:
        return body.decode().lstrip().startswith("{")
    except UnicodeDecodeError:
        return False


async def _chained(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk
