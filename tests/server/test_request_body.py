"""Any body in any pieces becomes the same bytes in a spool, a reference, or an error of a request."""

from __future__ import annotations

import asyncio
import json
import os
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.sources.spool import spool_chunks
from asr_api.errors import RequestError
from asr_api.server.request_body import MAX_JSON_BYTES, AudioReference, parse_reference, read_body
from tests.server.fakes import pieces_of

json_like = st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
bodies = st.binary(max_size=300) | json_like.map(lambda value: json.dumps(value).encode())
padded = st.tuples(st.sampled_from([b"", b" ", b"{", b"{" * MAX_JSON_BYTES, b"\0"]), bodies).map(b"".join)


async def read(body: bytes, content_type: str, piece_bytes: int) -> bytes | AudioReference | RequestError:
    try:
        result = await read_body(content_type, pieces_of(body, piece_bytes), partial(spool_chunks, max_bytes=2**20))
    except RequestError as error:
        return error
    if isinstance(result, AudioReference):
        return result
    async with result:
        return os.pread(result.fd, 2**20, 0)


@settings(max_examples=60, deadline=None)
@given(padded, st.sampled_from(["application/json", "audio/wav", "", "x+json; y"]), st.integers(1, 10_000))
def test_any_body_is_kept_or_refused(body: bytes, content_type: str, piece_bytes: int) -> None:
    piece_bytes = max(piece_bytes, len(body) // 50)
    result = asyncio.run(read(body, content_type, piece_bytes))
    if isinstance(result, bytes):
        assert result == body
        assert "json" not in content_type
    elif isinstance(result, AudioReference):
        assert json.loads(body)["url"] == result.url
    else:
        assert result.status < 500
        is_named = body.lstrip().startswith(b"{") and len(body) <= MAX_JSON_BYTES
        assert not body or "json" in content_type or is_named


def test_a_byte_order_mark_before_json_is_ignored() -> None:
    assert parse_reference(b'\xef\xbb\xbf{"url": "/a.wav"}') == AudioReference("/a.wav")
