"""Checked connection: tiny chunks and malformed requests are reported by our errors."""

from __future__ import annotations

import h11
import pytest

from asr_api.errors import HeadersTooLarge, InvalidRequest
from asr_api.server.checked_connection import MAX_SMALL_CHUNKS, MIN_CHUNK_BYTES, CheckedConnection

HEAD = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(num_bytes: int) -> bytes:
    return b"%x\r\n%s\r\n" % (num_bytes, b"x" * num_bytes)


def read(*pieces: bytes) -> int:
    """How many bytes of the body come out."""
    connection, num_bytes = CheckedConnection(), 0
    for piece in pieces:
        connection.receive_data(piece)
        while not isinstance(event := connection.next_event(), type):  # NEED_DATA or PAUSED
            num_bytes += len(event.data) if isinstance(event, h11.Data) else 0
    return num_bytes


def test_chunks_of_one_byte_are_refused_after_a_few() -> None:
    with pytest.raises(InvalidRequest, match="fewer than 64 bytes on average; send larger ones"):
        read(HEAD, chunk(1) * (MAX_SMALL_CHUNKS + 1))
    assert read(HEAD, chunk(1) * MAX_SMALL_CHUNKS, b"0\r\n\r\n") == MAX_SMALL_CHUNKS


@pytest.mark.parametrize("piece_bytes", [1, 7, 10**6])
def test_larger_chunks_are_read_however_they_arrive(piece_bytes: int) -> None:
    body = chunk(MIN_CHUNK_BYTES) * (MAX_SMALL_CHUNKS + 10) + chunk(10_000)
    pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]
    assert read(HEAD, *pieces) == MIN_CHUNK_BYTES * (MAX_SMALL_CHUNKS + 10) + 10_000


def test_a_body_of_known_length_may_arrive_byte_by_byte() -> None:
    head = HEAD.replace(b"Transfer-Encoding: chunked", b"Content-Length: 1000")
    assert read(head, *[b"x"] * 1000) == 1000


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"GET /hc HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000, HeadersTooLarge),
        (b"no HTTP at all\r\n\r\n", InvalidRequest),
        (HEAD + b"zz\r\n", InvalidRequest),
        (HEAD + b"1;" + b"a" * 70_000, InvalidRequest),
    ],
)
def test_a_malformed_request_is_an_error_of_ours(sent: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(sent)
