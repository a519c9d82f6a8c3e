"""Web pages of other origins: refused, unless CORS_ORIGINS names them."""

from __future__ import annotations

import pytest

from asr_api.errors import ServerOverloaded, SettingsError
from asr_api.settings.settings import read_settings
from tests.server.fakes import FakeService, client

pytestmark = pytest.mark.anyio

PAGE, OTHER = "https://app.example.org", "https://evil.example.org"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


async def test_a_preflight_is_answered_for_named_origins_only() -> None:
    async with client(FakeService(), cors_origins=PAGE) as http:
        ours = await http.options("/v1/audio/transcriptions", headers={"origin": PAGE, **PREFLIGHT})
        theirs = await http.options("/v1/audio/transcriptions", headers={"origin": OTHER, **PREFLIGHT})
    assert (ours.status_code, ours.headers["access-control-allow-origin"]) == (200, PAGE)
    assert ours.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "access-control-allow-credentials" not in ours.headers
    assert (theirs.status_code, theirs.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert "CORS_ORIGINS" in theirs.json()["error"]["message"]
    assert theirs.headers["x-request-id"]
    assert "access-control-allow-origin" not in theirs.headers


@pytest.mark.parametrize(("origins", "allowed"), [(PAGE, PAGE), (f"http://a.test,{PAGE}/", PAGE), ("*", "*")])
async def test_a_page_of_a_named_origin_gets_its_reply_and_its_errors(origins: str, allowed: str) -> None:
    fake = FakeService()
    async with client(fake, cors_origins=origins) as http:
        reply = await http.post("/asr", content=b"audio", headers={"origin": PAGE})
        fake.refusal = ServerOverloaded("full", retry_after_s=3)
        refused = await http.post("/asr", content=b"audio", headers={"origin": PAGE})
    assert (reply.status_code, refused.status_code) == (200, 429)
    for answer in (reply, refused):
        assert answer.headers["access-control-allow-origin"] == allowed
        assert answer.headers["access-control-expose-headers"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_of_another_origin_is_refused_as_before() -> None:
    async with client(FakeService(), cors_origins=PAGE) as http:
        reply = await http.post("/asr", content=b"audio", headers={"origin": OTHER})
    assert (reply.status_code, reply.json()["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    "origin", ["app.example.org", "https://a.test/path", "ftp://a.test", "https://", "https://*.a.test", "https://a b"]
)
def test_an_origin_that_is_none_is_a_mistake(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"CORS_ORIGINS is .* it must be origins such as"):
        read_settings({"cors_origins": origin})
