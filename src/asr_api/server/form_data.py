"""`Form`: the fields of a multipart/form-data body as texts, and its file in a spool, whatever its size."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from asr_api.audio.sources.spool import Spool
from asr_api.errors import FormTooLarge, InvalidForm, RequestError
from asr_api.parameters import RawParameter
from asr_api.server.form_parts import Part, read_parts, shortened

MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS_BYTES = 256 * 1024  # of all fields together
MAX_PATH_BYTES = 4096  # of a path or a link that was sent in place of a file
# By charset; the last one is the default of Apache's HttpClient.
ENCODINGS = {"": "utf-8", "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "latin-1"}


Convert = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
ReceiveFile = Callable[[Sequence[RawParameter], AsyncIterator[bytes]], Awaitable[Spool]]
"""Fields before the file, and its content → the file"""


@dataclass(frozen=True, slots=True)
class Form:
    """fields: in order, as sent; upload: the file, owned by the caller; None if there was none"""

    fields: tuple[RawParameter, ...]
    upload: Spool | None
    file_name: str  # as the client wrote it, so nothing to open a file by; "" if not given


def unchanged(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    return content


async def read_form(
    content_type: str, chunks: AsyncIterator[bytes], file_fields: frozenset[str], receive: ReceiveFile
) -> Form:
    """file_fields: names under which the file may stand

    Raises InvalidForm, FormTooLarge and the errors of `receive`; then nothing stays open.
    """
    fields = _Fields(file_fields)
    upload, file_name = None, ""
    async with AsyncExitStack() as on_error, aclosing(read_parts(content_type, chunks)) as parts:
        async for part in parts:
            if part.name not in file_fields:
                await fields.read(part)
                continue
            if upload is not None:
                raise InvalidForm("The form has more than one file; send each in a request of its own.")
            upload = await receive(fields.found, part.content)
            on_error.push_async_callback(upload.aclose)
            _check_file(part, upload)
            file_name = part.file_name or ""
        on_error.pop_all()
    return Form(tuple(fields.found), upload, file_name)


def _check_file(part: Part, upload: Spool) -> None:
    """Raises InvalidForm for a path or a link, as of `curl -F file=FILE`: recordings have zero bytes or line ends."""
    if part.file_name is not None or not 0 < upload.size_bytes <= MAX_PATH_BYTES:
        return
    try:
        text = os.pread(upload.fd, MAX_PATH_BYTES, 0).decode()
    except UnicodeDecodeError:
        return
    if text.isprintable():
        remedy = f"send the bytes of a file, with @ before its name: curl -F {part.name}=@FILE"
        raise InvalidForm(f"The field {part.name!r} is the text {shortened(text)}, and no file; {remedy}.")


class _Fields:
    """A part under another name than the file's is a field, also with a file name if its content is text: browsers give
    one to each Blob, and requests to everything in `files`. With other content it is the file under a wrong name.
    """

    def __init__(self, file_fields: frozenset[str]) -> None:
        self.found: list[RawParameter] = []
        self._file_fields = file_fields
        self._num_bytes = 0

    async def read(self, part: Part) -> None:
        content = bytearray()
        async for piece in part.content:
            content += piece
            if len(content) > MAX_FIELD_BYTES:
                raise self._too_large(part)
        self._num_bytes += len(content)
        if self._num_bytes > MAX_FIELDS_BYTES:
            raise FormTooLarge(f"The fields of the form have more than {MAX_FIELDS_BYTES:,} bytes; shorten them.")
        self.found.append(RawParameter(part.name, self._text(part, content)))

    def _text(self, part: Part, content: bytearray) -> str:
        if part.file_name is not None and 0 in content:
            raise self._wrong_name(part)
        try:
            return content.decode(_encoding(part))
        except UnicodeDecodeError:
            if part.file_name is not None:
                raise self._wrong_name(part) from None
            raise InvalidForm(f"The field {shortened(part.name)} is not UTF-8; encode it as UTF-8.") from None

    def _too_large(self, part: Part) -> RequestError:
        if part.file_name is not None:
            return self._wrong_name(part)
        return FormTooLarge(f"The field {shortened(part.name)} has more than {MAX_FIELD_BYTES:,} bytes; shorten it.")

    def _wrong_name(self, part: Part) -> InvalidForm:
        names = " or ".join(repr(name) for name in sorted(self._file_fields))
        return InvalidForm(
            f"The form has a file under the name {shortened(part.name)}; send it under the name {names}."
        )


def _encoding(part: Part) -> str:
    encoding = ENCODINGS.get(part.charset)
    if encoding is None:
        field, charset = shortened(part.name), shortened(part.charset)
        raise InvalidForm(f"The field {field} has the charset {charset}; encode it as UTF-8.")
    return encoding
