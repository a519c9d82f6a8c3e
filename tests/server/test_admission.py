"""Admission: what is checked before the body is read."""

from __future__ import annotations

import pytest

from tests.server.fakes import FakeService, client

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("encodings", "status"),
    [
        (["identity"], 200),
        (["", "Identity"], 200),
        (["identity, identity"], 200),
        (["gzip"], 415),
        (["identity", "gzip"], 415),
        (["identity, gzip"], 415),
    ],
)
async def test_every_content_encoding_is_assessed(encodings: list[str], status: int) -> None:
    headers = [("content-encoding", encoding) for encoding in encodings]
    async with client(FakeService()) as http:
        assert (await http.post("/asr", content=b"audio", headers=headers)).status_code == status
