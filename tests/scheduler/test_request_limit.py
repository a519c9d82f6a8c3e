"""Request limit: which requests cannot be done before their deadline, given what is measured and what is open."""

from __future__ import annotations

import time

import pytest

from asr_api.errors import DeadlineUnreachable
from asr_api.request import RequestScope
from asr_api.scheduler.fair_queue import RequestQueue
from asr_api.scheduler.request_limit import REFUSAL_RATIO, RequestLimit
from asr_api.scheduler.speed import MIN_MEASURED_WINDOWS, SpeedMeter, num_windows_ahead
from tests.service import FakeClock

WINDOW_S = 30.0


def measured(s_per_window: float, num_windows: int = MIN_MEASURED_WINDOWS, audio_s: float = WINDOW_S) -> SpeedMeter:
    speed = SpeedMeter(clock := FakeClock())
    for _ in range(num_windows):
        speed.note(is_busy=True)
        clock.now_s += s_per_window
        speed.note(is_busy=False, audio_s=audio_s)
    return speed


def queue(num_windows: float, *, account: str = "", priority: int = 0) -> RequestQueue:
    request = RequestScope(account=account, priority=priority)
    return RequestQueue(request, unsubmitted_s=num_windows * WINDOW_S)


def is_refused(queues: list[RequestQueue], speed: SpeedMeter, timeout_s: float, audio_s: float = 0.0) -> bool:
    request = RequestScope(account="mine", deadline_s=time.monotonic() + timeout_s)
    try:
        RequestLimit(queues, speed, 64).check_deadline(request, WINDOW_S, audio_s)
    except DeadlineUnreachable:
        return True
    return False


def test_a_request_is_refused_when_its_audio_alone_takes_far_too_long() -> None:
    assert is_refused([], measured(1.0), timeout_s=10, audio_s=WINDOW_S * 10 * REFUSAL_RATIO * 1.1)
    assert not is_refused([], measured(1.0), timeout_s=10, audio_s=WINDOW_S * 10 * REFUSAL_RATIO * 0.9)


@pytest.mark.parametrize(("audio_s", "wait_s"), [(900, 20), (1e6, 120)])
def test_a_refusal_says_when_to_come_back(audio_s: float, wait_s: int) -> None:
    request = RequestScope(deadline_s=time.monotonic() + 10)
    with pytest.raises(DeadlineUnreachable) as refused:
        RequestLimit([], measured(1.0), 64).check_deadline(request, WINDOW_S, audio_s)
    assert refused.value.retry_after_s in {wait_s, wait_s + 1}


def test_nothing_is_refused_by_a_guess_or_without_a_deadline() -> None:
    assert not is_refused([], measured(1.0, MIN_MEASURED_WINDOWS - 1), timeout_s=0.1, audio_s=3600)
    assert not is_refused([], measured(1.0), timeout_s=float("inf"), audio_s=1e9)


def test_clips_tell_how_long_a_long_file_takes() -> None:
    speed = measured(0.5, audio_s=2.0)  # four times real time, since a short window costs nearly as much
    assert not is_refused([], speed, timeout_s=60, audio_s=600)


def test_a_request_that_has_its_own_queue_does_not_wait_for_itself() -> None:
    request = RequestScope(deadline_s=time.monotonic() + 5)
    own = RequestQueue(request.detached(), unsubmitted_s=WINDOW_S * 9)
    RequestLimit([own], measured(1.0), 64).check_deadline(request, WINDOW_S, WINDOW_S * 9)


@pytest.mark.parametrize(
    ("queues", "num_windows", "expected"),
    [
        ([], 5, 0),
        ([queue(400, account="other")], 5, 5),  # equal shares
        ([queue(3, account="other")], 5, 3),
        ([queue(400, account="other"), queue(400, account="other")], 5, 5),  # one account has one share
        ([queue(400, account="mine")], 5, 5),
        ([queue(400, account="mine"), queue(400, account="other")], 5, 15),  # half a share
        ([queue(400, account="other", priority=1)], 5, 400),
        ([queue(400, account="other", priority=-1)], 5, 0),
    ],
)
def test_windows_ahead_are_those_of_fair_shares(queues: list[RequestQueue], num_windows: int, expected: float) -> None:
    assert num_windows_ahead(queues, RequestScope(account="mine"), num_windows, WINDOW_S) == expected
