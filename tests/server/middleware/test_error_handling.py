"""Error middleware: what a failure that nobody has foreseen becomes."""

from __future__ import annotations

import errno
import os

import pytest

from tests.server.fakes import FakeService, client

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (errno.EMFILE, 429, "server_overloaded"),
        (errno.ENFILE, 429, "server_overloaded"),
        (errno.EIO, 500, "internal_error"),
    ],
)
async def test_a_shortage_of_descriptors_is_worth_a_retry(
    number: int, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(FakeService(failure=OSError(number, os.strerror(number)))) as http:
        reply = await http.post("/asr", content=b"audio")
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert ("failed unexpectedly" in caplog.text) == (status == 500)
