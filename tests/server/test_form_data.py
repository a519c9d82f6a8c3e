"""Forms as each client sends them become fields and a file in a spool, or an error that says what to do."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.sources.spool import spool_chunks
from asr_api.errors import BodyTooLarge, FormTooLarge, InvalidForm, RequestError
from asr_api.parameters import RawParameter
from asr_api.server import form_parts
from asr_api.server.form_data import MAX_FIELD_BYTES, MAX_FIELDS_BYTES, MAX_PATH_BYTES, read_form
from tests.server.fakes import pieces_of
from tests.server.forms import CONTENT_TYPE, form, part

pytestmark = pytest.mark.anyio
AUDIO = b"RIFF\0\0\r\n--" + bytes(range(256)) * 20
FILE = part(AUDIO, more='; filename="a.wav"', headers="Content-Type: audio/wav\r\n")
MAX_BYTES = 2**20


@dataclass(frozen=True)
class Read:
    fields: list[tuple[str, str]]
    upload: bytes | None
    file_name: str


async def read(body: bytes, content_type: str = CONTENT_TYPE, piece_bytes: int = 2**16) -> Read:
    return await read_chunks(pieces_of(body, piece_bytes), content_type)


async def read_chunks(chunks: AsyncIterator[bytes], content_type: str = CONTENT_TYPE) -> Read:
    fields = frozenset({"file", "audio_file"})
    found = await read_form(content_type, chunks, fields, lambda _, content: spool_chunks(content, MAX_BYTES))
    texts = [(each.name, each.text) for each in found.fields]
    assert all(isinstance(each, RawParameter) for each in found.fields)
    if found.upload is None:
        return Read(texts, None, found.file_name)
    async with found.upload as spool:
        return Read(texts, os.pread(spool.fd, spool.size_bytes + 1, 0), found.file_name)


# -- clients --------------------------------------------------------------------------------------------------------


async def test_a_form_of_httpx() -> None:
    data = {"language": "de", "words": ["a", "b"]}
    files = [("file", ('ü"\\.wav', AUDIO, "audio/wav")), ("prompt", ("upload", "Grüße".encode(), "text/plain"))]
    request = httpx.Request("POST", "http://localhost", data=data, files=files)
    fields = [("language", "de"), ("words", "a"), ("words", "b"), ("prompt", "Grüße")]
    assert await read(request.read(), request.headers["content-type"]) == Read(fields, AUDIO, "ü%22\\.wav")


WAV, LANGUAGE = 'Content-Disposition: form-data; name="file"; filename="a.wav"', 'form-data; name="language"'
# Boundary, headers of the file, headers of the field.
CLIENTS = {
    "curl": (
        "------------------------4ea934b652bcd73b",
        [WAV, "Content-Type: application/octet-stream"],
        [f"Content-Disposition: {LANGUAGE}"],
    ),
    "a browser": (
        "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        [WAV, "Content-Type: audio/wav"],
        [f"Content-Disposition: {LANGUAGE}"],
    ),
    "a browser, of Blobs": (
        "----geckoformboundary8a3c3f4c9b2c2d4f5c1d6b7e8f9a0b1c",
        ['Content-Disposition: form-data; name="file"; filename="blob"', "Content-Type: audio/webm;codecs=opus"],
        [f'Content-Disposition: {LANGUAGE}; filename="blob"', "Content-Type: text/plain"],
    ),
    "requests": (
        "0f1d3c2b4a5968778695a4b3c2d1e0ff",
        [WAV],
        [f'Content-Disposition: {LANGUAGE}; filename="language"'],
    ),
    "undici": (
        "----formdata-undici-062342676807",
        ['Content-Disposition: form-data; name="file"; filename="é%22.wav"', "Content-Type: audio/wav"],
        [f"Content-Disposition: {LANGUAGE}"],
    ),
    ".NET": (
        "0f2a1c4e-6b1d-4f6e-9a57-3c1f0d8f7f10",
        ["Content-Disposition: form-data; name=file; filename=a.wav; filename*=utf-8''a%20b.wav"],
        ["Content-Type: text/plain; charset=utf-8", "Content-Disposition: form-data; name=language"],
    ),
    "Apache HttpClient": (
        "Yg7dTbLkRvq-TnGx3E6wW_0fPZ",
        [WAV, "Content-Type: application/octet-stream", "Content-Transfer-Encoding: binary"],
        [
            f"Content-Disposition: {LANGUAGE}",
            "Content-Type: text/plain; charset=ISO-8859-1",
            "Content-Transfer-Encoding: 8bit",
        ],
    ),
    "OkHttp": (
        "3aa3e1c5-7b90-4a38-9f67-0f2b3df5c0c1",
        [WAV, "Content-Type: audio/wav", f"Content-Length: {len(AUDIO)}"],
        [f"Content-Disposition: {LANGUAGE}", "Content-Length: 2"],
    ),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("quote", ['"', ""])
async def test_a_form_of_another_client(client: str, quote: str) -> None:
    boundary, *headers = CLIENTS[client]
    heads = ["".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" for lines in headers]
    body = form(heads[0] + AUDIO, heads[1] + b"de", boundary=boundary)
    found = await read(body, f"multipart/form-data; boundary={quote}{boundary}{quote}")
    assert found.fields == [("language", "de")]
    assert found.upload == AUDIO
    assert found.file_name in {"a.wav", "a b.wav", "blob", "é%22.wav"}


# -- the file -------------------------------------------------------------------------------------------------------


async def test_the_file_goes_to_the_disk_whatever_its_place_and_name() -> None:
    before, after = part(b"de", "language"), part(b"hello", "prompt")
    fields = [("language", "de"), ("prompt", "hello")]
    assert await read(form(before, FILE, after)) == Read(fields, AUDIO, "a.wav")
    assert await read(form(part(AUDIO, "audio_file"), before, after)) == Read(fields, AUDIO, "")


@pytest.mark.parametrize("body", [form(), form(part(b"de", "language"))])
async def test_a_form_without_a_file_has_no_upload(body: bytes) -> None:
    assert (await read(body)).upload is None


@pytest.mark.parametrize("more", ["", '; filename=""', '; filename="a.wav"'])
async def test_an_empty_file_is_kept_for_the_decoder_to_refuse(more: str) -> None:
    assert (await read(form(part(b"", more=more)))).upload == b""


@pytest.mark.parametrize(
    "text", [b"a.wav", b"@", "/tmp/Übung 1.wav".encode(), b"https://example.org/a.mp3", b"x" * 4096]
)
async def test_a_path_in_place_of_a_file_is_explained(text: bytes) -> None:
    shown = text[:40].decode()
    with pytest.raises(InvalidForm, match=f"'file' is the text '{shown}.* with @ before its name: curl -F file=@FILE"):
        await read(form(part(text)))


@pytest.mark.parametrize(
    ("content", "more"),
    [(b"a.wav", '; filename="a.txt"'), (b"a\0", ""), (b"a\n", ""), (b"\xff", ""), (b"x" * (MAX_PATH_BYTES + 1), "")],
)
async def test_what_may_be_a_file_is_left_to_the_decoder(content: bytes, more: str) -> None:
    assert (await read(form(part(content, more=more)))).upload == content


async def test_a_second_file_is_an_error() -> None:
    with pytest.raises(InvalidForm, match="more than one file; send each in a request of its own"):
        await read(form(FILE, part(b"", "audio_file")))


async def test_a_file_beyond_the_limit_is_refused_before_it_has_arrived() -> None:
    pieces = pieces_of(form(part(bytes(4 * MAX_BYTES))), 2**16)
    with pytest.raises(BodyTooLarge, match="1,048,576"):
        await read_chunks(pieces)
    assert len([piece async for piece in pieces]) > 40


# -- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "headers", "text"),
    [
        ("Grüße\r\n".encode(), "", "Grüße\r\n"),
        ("Grüße".encode(), "Content-Type: text/plain;charset=UTF-8\r\n", "Grüße"),
        ("Grüße".encode("latin-1"), 'Content-Type: text/plain; charset="ISO-8859-1"\r\n', "Grüße"),
        (b"", "Content-Type: text/plain; charset=us-ascii\r\n", ""),
    ],
)
async def test_a_field_is_text(content: bytes, headers: str, text: str) -> None:
    assert (await read(form(part(content, "prompt", headers=headers)))).fields == [("prompt", text)]


@pytest.mark.parametrize(
    ("content", "headers", "sentence"),
    [
        (b"\xff", "", "'prompt' is not UTF-8; encode it as UTF-8."),
        (
            b"h\0",
            "Content-Type: text/plain; charset=utf-16\r\n",
            "'prompt' has the charset 'utf-16'; encode it as UTF-8.",
        ),
    ],
)
async def test_a_field_in_another_charset_is_an_error(content: bytes, headers: str, sentence: str) -> None:
    with pytest.raises(InvalidForm, match=re.escape(sentence)):
        await read(form(part(content, "prompt", headers=headers)))


@pytest.mark.parametrize("content", [AUDIO, b"\0", b"\xff\xfb", b"x" * (MAX_FIELD_BYTES + 1)])
async def test_a_file_under_a_wrong_name_is_explained(content: bytes) -> None:
    with pytest.raises(InvalidForm, match="under the name 'audio'; send it under the name 'audio_file' or 'file'"):
        await read(form(part(content, "audio", '; filename="a.wav"')))


@pytest.mark.parametrize("num_fields", [1, 4])
async def test_fields_at_their_limits_are_read(num_fields: int) -> None:
    found = await read(form(*[part(b"x" * MAX_FIELD_BYTES, "prompt")] * num_fields))
    assert found.fields == [("prompt", "x" * MAX_FIELD_BYTES)] * num_fields


async def test_fields_beyond_a_limit_are_too_large() -> None:
    full = part(b"x" * MAX_FIELD_BYTES, "prompt")
    with pytest.raises(FormTooLarge, match=f"'prompt' has more than {MAX_FIELD_BYTES:,} bytes; shorten it"):
        await read(form(part(b"x" * (MAX_FIELD_BYTES + 1), "prompt")))
    with pytest.raises(FormTooLarge, match=f"The fields of the form have more than {MAX_FIELDS_BYTES:,} bytes"):
        await read(form(full, full, full, full, part(b"x", "prompt")))


# -- any form -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        form(FILE)[:-5],
        form(FILE, part(b"x" * (MAX_FIELD_BYTES + 1), "prompt")),
        form(FILE, FILE),
        form(FILE, b"\r\nno name"),
        form(FILE, b"malformed\r\n\r\n"),
        form(part(b"a.wav")),
        form(part(bytes(MAX_BYTES + 1))),
    ],
)
async def test_an_error_leaves_no_descriptor_open(body: bytes) -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(RequestError):
        await read(body)
    assert psutil.Process().num_fds() == before


async def test_a_cancelled_form_leaves_no_descriptor_open() -> None:
    waiting = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield form(part(bytes(2**16)), part(b"x" * 99, "prompt"))[:-70]
        waiting.set()
        await asyncio.Event().wait()

    before = psutil.Process().num_fds()
    task = asyncio.create_task(read_chunks(chunks()))
    await asyncio.wait_for(waiting.wait(), 5)
    assert psutil.Process().num_fds() == before + 1
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert psutil.Process().num_fds() == before


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["language", "wörds"]), st.text(max_size=9)), max_size=3),
    st.none() | st.binary(max_size=40).map(b"\0".__add__),
    st.integers(1, 200),
    st.integers(1, 200),
)
def test_the_sizes_of_the_chunks_do_not_matter(
    fields: list[tuple[str, str]], upload: bytes | None, piece_bytes: int, block_bytes: int
) -> None:
    parts = [part(text.encode(), name) for name, text in fields]
    parts += [] if upload is None else [part(upload, more='; filename="a.wav"')]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(form_parts, "BLOCK_BYTES", block_bytes)
        found = asyncio.run(read(form(*parts), piece_bytes=piece_bytes))
    assert found == Read(fields, upload, "" if upload is None else "a.wav")
