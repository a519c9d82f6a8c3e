"""Form parts: a multipart/form-data body, split into its parts while it arrives (RFC 7578)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import unquote

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from asr_api.errors import FormTooLarge, InvalidForm

BLOCK_BYTES = 64 * 1024  # smaller chunks are joined, because each call of the parser takes some µs
MAX_BOUNDARY_BYTES = 256  # RFC 2046 allows 70; also the limit of the parser
MAX_PREAMBLE_BYTES = 64 * 1024
MAX_PARTS = 64
MAX_HEADERS = 16
MAX_HEADER_BYTES = 8 * 1024  # of all headers of a part
MAX_SHOWN_CHARS = 40
PLAIN_ENCODINGS = {"", "7bit", "8bit", "binary"}
EXTENDED_FILE_NAME = re.compile(r";\s*filename\*\s*=\s*utf-8'[^']*'([^\s;\"]+)", re.IGNORECASE)  # RFC 5987
LET_CLIENT_WRITE = "let the client library write the header Content-Type"


@dataclass(frozen=True, slots=True)
class Part:
    """file_name: None if not given; charset: in lower case, "" if not given; content: in pieces of any size"""

    name: str
    file_name: str | None
    charset: str
    content: AsyncIterator[bytes]


async def read_parts(content_type: str, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Part, None]:
    """The content of each part must be read before the next part. Raises InvalidForm or FormTooLarge."""
    boundary = _boundary(content_type)
    async with aclosing(_events(boundary, chunks)) as events:
        await _skip_preamble(events, boundary)
        num_parts = 0
        async for headers in events:
            num_parts += 1
            if num_parts > MAX_PARTS:
                raise FormTooLarge(f"The form has more than {MAX_PARTS} parts; send fewer.")
            assert isinstance(headers, dict)  # noqa: S101  # the parser begins each part with its headers
            yield _part(headers, _content(events))


def _boundary(content_type: str) -> bytes:
    try:
        media_type, options = parse_options_header(content_type)
    except UnicodeEncodeError:
        raise InvalidForm(f"The header Content-Type is not ASCII; {LET_CLIENT_WRITE}.") from None
    if media_type.lower() != b"multipart/form-data":
        raise InvalidForm(f"The Content-Type is {shortened(content_type)}; send multipart/form-data, as curl -F does.")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise InvalidForm(f"The header Content-Type names no boundary; {LET_CLIENT_WRITE}.")
    if len(boundary) > MAX_BOUNDARY_BYTES:
        raise InvalidForm(
            f"The boundary of the form has {len(boundary):,} bytes; at most {MAX_BOUNDARY_BYTES} are allowed."
        )
    return boundary


# -- events: the headers of a part, pieces of its content, its end --------------------------------------------------

_Event = dict[str, bytes] | bytes | None  # headers by their names in lower case; a piece of content; the end of a part


async def _events(boundary: bytes, chunks: AsyncIterator[bytes]) -> AsyncGenerator[_Event, None]:
    """The preamble, which is mostly empty, comes first, as a part without headers."""
    found = _FoundEvents()
    parser = _parser(boundary, found)
    async for block in _joined(chunks):
        _parse(parser, block)
        for event in found.events:
            yield event
        found.events.clear()
    if not found.has_boundary:
        raise _without_boundary(boundary)
    if not found.is_complete:
        raise InvalidForm("The form ends before its closing boundary; send all of it.")


def _parser(boundary: bytes, found: _FoundEvents) -> MultipartParser:
    parser = MultipartParser(
        boundary,
        {
            "on_header_field": found.add_to_name,
            "on_header_value": found.add_to_value,
            "on_header_end": found.end_header,
            "on_headers_finished": found.end_headers,
            "on_part_data": found.add_content,
            "on_part_end": found.end_part,
            "on_end": found.end_form,
        },
        max_header_count=MAX_HEADERS,
        max_header_size=MAX_HEADER_BYTES,
    )
    # The parser refuses a preamble, but not as the content of a part; the last line end belongs to the next boundary.
    parser.write(b"--" + boundary + b"\r\n\r\n\r\n")
    return parser


def _parse(parser: MultipartParser, block: bytes) -> None:
    try:
        parser.write(block)
    except MultipartParseError as error:
        if "Maximum header" in str(error):
            raise _headers_too_large() from error
        raise InvalidForm("The headers or the boundary of a part of the form are malformed.") from error


class _FoundEvents:
    """Takes the calls of the parser."""

    def __init__(self) -> None:
        self.events: list[_Event] = []
        self.has_boundary = False
        self.is_complete = False
        self._headers: dict[str, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._num_header_bytes = 0

    def add_to_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_header(self) -> None:
        self._num_header_bytes += len(self._name) + len(self._value)
        if self._num_header_bytes > MAX_HEADER_BYTES:
            raise _headers_too_large()
        self._headers[self._name.decode("ascii").lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def end_headers(self) -> None:
        self.events.append(self._headers)
        self._headers, self._num_header_bytes = {}, 0

    def add_content(self, data: bytes, start: int, end: int) -> None:
        self.events.append(data[start:end])

    def end_part(self) -> None:
        self.events.append(None)
        self.has_boundary = True

    def end_form(self) -> None:
        self.is_complete = True


def _without_boundary(boundary: bytes) -> InvalidForm:
    line = f"--{boundary.decode('latin-1')[:80]}"
    return InvalidForm(f"The body has no line {line!r}, which its header Content-Type names; {LET_CLIENT_WRITE}.")


def _headers_too_large() -> FormTooLarge:
    limits = f"more than {MAX_HEADERS} headers, or headers of more than {MAX_HEADER_BYTES:,} bytes"
    return FormTooLarge(f"A part of the form has {limits}; send fewer and shorter ones.")


async def _joined(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    pending = bytearray()
    async for chunk in chunks:
        pending += chunk
        if len(pending) >= BLOCK_BYTES:
            yield bytes(pending)
            pending.clear()
    yield bytes(pending)


# -- parts ----------------------------------------------------------------------------------------------------------


async def _skip_preamble(events: AsyncIterator[_Event], boundary: bytes) -> None:
    num_bytes = 0
    async for event in events:
        if event is None:
            return
        num_bytes += len(event)
        if num_bytes > MAX_PREAMBLE_BYTES:
            raise _without_boundary(boundary)


async def _content(events: AsyncIterator[_Event]) -> AsyncIterator[bytes]:
    async for event in events:
        if event is None:
            return
        assert isinstance(event, bytes)  # noqa: S101  # the parser ends a part before it begins the next
        yield event


def _part(headers: dict[str, bytes], content: AsyncIterator[bytes]) -> Part:
    disposition = headers.get("content-disposition", b"")
    kind, options = parse_options_header(disposition)
    if kind.lower() != b"form-data" or not options.get(b"name"):
        raise InvalidForm(
            'A part of the form has no name; each needs a header such as Content-Disposition: form-data; name="file".'
        )
    name = _decoded(options[b"name"])
    encoding = _decoded(headers.get("content-transfer-encoding", b"")).strip().lower()
    if encoding not in PLAIN_ENCODINGS:
        raise InvalidForm(f"The part {shortened(name)} is encoded in {shortened(encoding)}; send its bytes unchanged.")
    charset = parse_options_header(headers.get("content-type", b""))[1].get(b"charset", b"")
    return Part(name, _file_name(disposition, options), _decoded(charset).lower(), content)


def _file_name(disposition: bytes, options: dict[bytes, bytes]) -> str | None:
    """`filename*` is not allowed in forms, but .NET sends it beside `filename`."""
    extended = EXTENDED_FILE_NAME.search(disposition.decode("latin-1"))
    if extended is not None:
        return unquote(extended[1])
    plain = options.get(b"filename")
    return None if plain is None else plain.decode(errors="replace")


def shortened(text: str) -> str:
    """For a sentence: quoted, on one line."""
    return repr(text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…")


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidForm("The headers of a part of the form are not UTF-8; encode its name as UTF-8.") from None
