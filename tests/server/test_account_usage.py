"""Limits of API keys: open requests, and seconds of audio an hour."""

from __future__ import annotations

import pytest

from asr_api.errors import RateLimitExceeded
from asr_api.request import AccountLimits, RequestScope
from asr_api.server.account_usage import AccountUsage
from tests.service import FakeClock


def request_of(account: str, *, max_requests: int | None = None, audio_s: float | None = None) -> RequestScope:
    return RequestScope(account=account, limits=AccountLimits(max_requests, audio_s))


def test_a_key_has_its_own_number_of_open_requests() -> None:
    usage = AccountUsage()
    first = request_of("key:a", max_requests=1)
    usage.admit(first)
    usage.admit(request_of("key:b", max_requests=1))
    with pytest.raises(RateLimitExceeded, match=r"has 1 open requests, its limit \(max_requests\); retry in 2 s"):
        usage.admit(request_of("key:a", max_requests=1))
    usage.release(first)
    usage.admit(request_of("key:a", max_requests=1))


def test_without_limits_nothing_is_refused() -> None:
    usage = AccountUsage()
    for _ in range(100):
        usage.admit(request := request_of("192.0.2.7"))
        usage.charge(request, 10**6)


def test_audio_of_an_hour_may_come_at_once_and_what_is_above_is_waited_for() -> None:
    clock = FakeClock()
    usage = AccountUsage(clock)
    request = request_of("key:a", audio_s=1800)
    usage.admit(request)
    usage.charge(request, 1700)
    usage.admit(request)  # its length is not known yet
    usage.charge(request, 200)
    with pytest.raises(RateLimitExceeded, match=r"used its 1800 s of audio an hour \(audio_s_per_hour\)") as refused:
        usage.admit(request)
    assert refused.value.retry_after_s == 201  # 100 s of audio at half a second of audio a second
    usage.admit(request_of("key:b", audio_s=1800))
    clock.now_s += 199
    with pytest.raises(RateLimitExceeded):
        usage.admit(request)
    clock.now_s += 2
    usage.admit(request)
