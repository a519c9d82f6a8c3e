"""Forwarding headers: believed from the networks of PROXY_TRUST alone."""

from __future__ import annotations

import pytest

from tests.server.fakes import FakeService, client

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("trust", "peer", "forwarded", "expected"),
    [
        ("", "192.0.2.7", "203.0.113.9", "192.0.2.7"),
        ("10.0.0.0/8", "192.0.2.7", "203.0.113.9", "192.0.2.7"),
        ("10.0.0.0/8", "10.1.1.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8", "10.1.1.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # what the client itself claims comes first
        ("10.0.0.0/8", "10.1.1.1", "203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("10.0.0.0/8", "10.1.1.1", "2001:db8::7", "2001:db8::/64"),
        ("10.0.0.0/8", "10.1.1.1", "nonsense", "unknown"),
        ("10.0.0.0/8", "10.1.1.1", None, "10.1.1.1"),
    ],
)
async def test_limits_count_for_the_client_that_a_trusted_proxy_names(
    trust: str, peer: str, forwarded: str | None, expected: str
) -> None:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    async with client(fake := FakeService(), peer=peer, proxy_trust=trust) as http:
        assert (await http.post("/asr", content=b"audio", headers=headers)).status_code == 200
    assert fake.requests[0].account == expected


async def test_no_forwarded_address_adds_a_field_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    headers = {"x-forwarded-for": "8.8.8.8 account=key:admin status=200"}
    async with client(FakeService(), peer="10.1.1.1", proxy_trust="10.0.0.0/8") as http:
        await http.post("/asr", content=b"audio", headers=headers)
    assert "POST /asr" in caplog.text
    assert "admin" not in caplog.text


@pytest.mark.parametrize("forwarded", ["127.0.0.1", "::1", "6.6.6.6, 127.0.0.1"])
async def test_no_forwarded_address_makes_a_client_local(forwarded: str) -> None:
    async with client(FakeService(), peer="127.0.0.1", proxy_trust="127.0.0.0/8") as http:
        reply = await http.post("/asr", json={"url": "/etc/hostname"}, headers={"x-forwarded-for": forwarded})
    assert (reply.status_code, reply.json()["code"]) == (403, "local_path_disabled")
