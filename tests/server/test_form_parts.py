"""Form parts: however a form is cut into chunks its parts are the same, and what is no form is refused."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.errors import FormTooLarge, InvalidForm
from asr_api.server import form_parts
from asr_api.server.form_parts import MAX_HEADER_BYTES, MAX_HEADERS, MAX_PARTS, MAX_PREAMBLE_BYTES, read_parts
from tests.server.fakes import pieces_of
from tests.server.forms import BOUNDARY, CONTENT_TYPE, form, part

FoundPart = tuple[str, str | None, bytes]


async def read(body: bytes, content_type: str = CONTENT_TYPE, piece_bytes: int = 2**16) -> list[FoundPart]:
    parts = read_parts(content_type, pieces_of(body, piece_bytes))
    return [(each.name, each.file_name, b"".join([piece async for piece in each.content])) async for each in parts]


def found(body: bytes, content_type: str = CONTENT_TYPE) -> list[FoundPart]:
    return asyncio.run(read(body, content_type))


boundaries = st.sampled_from(["x", "-", "--", "-" * 70, BOUNDARY, "formdata-undici-062342676807", "'()+_,-./:=?"])


def line_of(boundary: str) -> bytes:
    return b"\r\n--" + boundary.encode()


LINE = line_of(BOUNDARY)


def contents(boundary: str) -> st.SearchStrategy[bytes]:
    """Much that looks like a boundary, without being one."""
    line = line_of(boundary)
    fragments = [b"\r", b"\n", b"\r\n", b"-", b"--", b"x", b"\0", line[:-1], line + b"x", line + b"\r", line + b"-"]
    is_boundary = re.compile(re.escape(line) + rb"([ \t]|\r\n|--|$)")
    joined = st.lists(st.sampled_from(fragments) | st.binary(max_size=3), max_size=6).map(b"".join)
    return joined.filter(lambda content: not is_boundary.search(b"\r\n" + content))


@settings(max_examples=300, deadline=None)
@given(
    st.data(), boundaries, st.integers(1, 90), st.integers(1, 90), st.sampled_from([b"", b"hello\r\n", b"\r\n-\r\n"])
)
def test_any_chunks_of_a_form_give_the_same_parts(
    data: st.DataObject, boundary: str, piece_bytes: int, block_bytes: int, preamble: bytes
) -> None:
    sent = data.draw(st.lists(contents(boundary), max_size=4))
    parts = [part(content, name=f"näme-{index}") for index, content in enumerate(sent)]
    body = preamble + form(*parts, boundary=boundary) + b"epilogue"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(form_parts, "BLOCK_BYTES", block_bytes)
        read_back = asyncio.run(read(body, f'multipart/form-data; boundary="{boundary}"', piece_bytes))
    assert read_back == [(f"näme-{index}", None, content) for index, content in enumerate(sent)]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=a-b",
        'multipart/form-data; boundary="a-b"',
        'Multipart/Form-Data ; charset=utf-8; Boundary="a-b" ; x=y',
    ],
)
def test_the_boundary_may_be_quoted(content_type: str) -> None:
    assert found(form(part(b"1"), boundary="a-b"), content_type) == [("file", None, b"1")]


@pytest.mark.parametrize(
    ("content_type", "sentence"),
    [
        ("multipart/form-data", "names no boundary; let the client library write the header Content-Type"),
        ("multipart/form-data; boundary=", "names no boundary"),
        ('multipart/form-data; boundary=""', "names no boundary"),
        ("multipart/form-data; boundary=" + "x" * 257, "has 257 bytes; at most 256 are allowed"),
        ("multipart/form-data; boundary=€", "is not ASCII"),
        ("multipart/mixed; boundary=x", "is 'multipart/mixed; boundary=x'; send multipart/form-data, as curl -F does"),
        ("multipart/form-data; boundary=other", "has no line '--other', which its header Content-Type names"),
        (f"multipart/form-data; boundary={BOUNDARY}{BOUNDARY}", "has no line"),
    ],
)
def test_a_content_type_that_does_not_fit_is_explained(content_type: str, sentence: str) -> None:
    with pytest.raises(InvalidForm, match=re.escape(sentence)):
        found(form(part(b"1")), content_type)


def test_a_body_without_its_boundary_is_refused_before_it_has_arrived() -> None:
    pieces = pieces_of(bytes(10 * MAX_PREAMBLE_BYTES), 1000)

    async def refuse() -> int:
        with pytest.raises(InvalidForm, match="has no line"):
            await anext(read_parts(CONTENT_TYPE, pieces))
        return len([piece async for piece in pieces])

    assert asyncio.run(refuse()) > 400


@pytest.mark.parametrize("num_bytes", [0, 10, len(LINE), 60, 99, 140, -4, -3])
def test_a_form_that_breaks_off_is_an_error(num_bytes: int) -> None:
    with pytest.raises(InvalidForm, match=r"ends before its closing boundary|has no line"):
        found(form(part(b"1"), part(b"2" * 10))[:num_bytes])


def test_the_last_line_end_may_be_missing() -> None:
    assert found(form(part(b"1"))[:-2]) == [("file", None, b"1")]
    assert found(form()) == []


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Content-Type: text/plain\r\n",
        b"Content-Disposition: form-data\r\n",
        b'Content-Disposition: form-data; name=""\r\n',
        b"Content-Disposition: form-data; name*=utf-8''file\r\n",
        b'Content-Disposition: attachment; name="file"\r\n',
        b"Content-Disposition:\r\n",
    ],
)
def test_a_part_needs_a_name(headers: bytes) -> None:
    with pytest.raises(InvalidForm, match="A part of the form has no name; each needs a header such as"):
        found(form(headers + b"\r\n1"))


@pytest.mark.parametrize(
    "head", [b"no header\r\n\r\n", b": x\r\n\r\n", b"A: b\rc\r\n\r\n", b"A: b\r\n folded\r\n\r\n", b"A: b\n\n"]
)
def test_malformed_headers_are_an_error(head: bytes) -> None:
    with pytest.raises(InvalidForm):
        found(form(head + b"1"))


def test_a_name_must_be_utf_8() -> None:
    with pytest.raises(InvalidForm, match="encode its name as UTF-8"):
        found(form(b'Content-Disposition: form-data; name="\xe9"\r\n\r\n1'))


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "Binary"])
def test_a_part_may_say_that_it_is_not_encoded(encoding: str) -> None:
    body = form(part(b"1", headers=f"Content-Transfer-Encoding: {encoding}\r\n"))
    assert found(body) == [("file", None, b"1")]


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "Base64 "])
def test_an_encoded_part_is_refused(encoding: str) -> None:
    with pytest.raises(
        InvalidForm, match=f"'file' is encoded in '{encoding.strip().lower()}'; send its bytes unchanged"
    ):
        found(form(part(b"MQ==", headers=f"content-transfer-encoding: {encoding}\r\n")))


@pytest.mark.parametrize(
    ("more", "file_name"),
    [
        ("", None),
        ('; filename=""', ""),
        ('; filename="a b;c.wav"', "a b;c.wav"),
        ("; filename=a.wav", "a.wav"),
        ('; filename="日本.wav"', "日本.wav"),
        ('; filename="a\\"b.wav"', 'a"b.wav'),
        ('; filename="a\\b.wav"', "a\\b.wav"),
        ('; filename="a\\"', "a\\"),
        ('; filename="C:\\tmp\\a.wav"', "a.wav"),
        ("; filename=_.wav; filename*=utf-8''%C3%A9.wav", "é.wav"),
        ("; filename*=UTF-8'en'%ff.wav", "\ufffd.wav"),
    ],
)
def test_a_file_name_is_read_as_clients_write_it(more: str, file_name: str | None) -> None:
    assert found(form(part(b"1", more=more))) == [("file", file_name, b"1")]


def headers(num_headers: int, value_bytes: int) -> str:
    return "".join(f"X-{index}: {'v' * value_bytes}\r\n" for index in range(num_headers))


def test_a_form_at_its_limits_is_read() -> None:
    parts = [part(b"1", headers=headers(MAX_HEADERS - 1, 8000 // MAX_HEADERS))] * MAX_PARTS
    assert len(found(form(*parts))) == MAX_PARTS


@pytest.mark.parametrize(
    "body",
    [
        form(*[part(b"1")] * (MAX_PARTS + 1)),
        form(part(b"1", headers=headers(MAX_HEADERS, 1))),
        form(part(b"1", headers=headers(1, MAX_HEADER_BYTES))),
        form(part(b"1", headers=headers(2, MAX_HEADER_BYTES // 2))),
        form(part(b"1", headers=f"{'n' * MAX_HEADER_BYTES}: 1\r\n")),
        form(part(b"1", headers=f"X:{' ' * MAX_HEADER_BYTES}1\r\n")),
    ],
    ids=["parts", "headers", "header", "total", "name", "spaces"],
)
def test_a_form_beyond_a_limit_is_too_large(body: bytes) -> None:
    with pytest.raises(FormTooLarge):
        found(body)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([LINE, b"--", b"\r\n", b"A: b", part(b"1"), b"\r\n\r\n"]) | st.binary(max_size=9)))
def test_any_body_is_a_form_or_an_error_of_the_request(fragments: list[bytes]) -> None:
    with contextlib.suppress(InvalidForm, FormTooLarge):
        found(b"".join([LINE[2:], *fragments]))


def test_one_byte_at_a_time_takes_time_in_proportion_to_the_bytes() -> None:
    """Half a MiB takes about 0.1 s, and would take minutes if each byte copied what came before."""
    content = bytes(2**19)
    started_s = time.process_time()
    assert asyncio.run(read(form(part(content)), piece_bytes=1)) == [("file", None, content)]
    assert time.process_time() - started_s < 5


def test_the_chunks_are_not_read_ahead() -> None:
    """So that memory holds a block of a file, not the file."""
    num_chunks = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal num_chunks
        yield form(part(b""))[: -len(LINE) - 4]
        while True:
            num_chunks += 1
            yield bytes(form_parts.BLOCK_BYTES)

    async def read_two_pieces() -> None:
        async for each in read_parts(CONTENT_TYPE, chunks()):
            await anext(each.content)
            await anext(each.content)
            return

    asyncio.run(read_two_pieces())
    assert num_chunks <= 2
