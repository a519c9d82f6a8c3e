"""Rates are right whatever the bursts in which clips come back, and the best number of slots is not a lucky one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.benchmark.figures import (
    Done,
    Rate,
    SlotFigures,
    best_slots,
    noise_of,
    percentile,
    rate_of_clips,
    rate_of_runs,
)


@given(burst=st.integers(1, 40), num_bursts=st.integers(4, 40), period_s=st.floats(0.01, 30), first=st.integers(1, 60))
def test_a_steady_engine_has_one_rate_however_its_clips_come_back(
    burst: int, num_bursts: int, period_s: float, first: int
) -> None:
    done = [
        Done(100 + (number + 1) * period_s + place * 1e-4 * period_s / burst, 10.0, 1.0)
        for number in range(num_bursts)
        for place in range(burst)
    ]
    rate = rate_of_clips(done, first, started_s=100.0)
    assert rate.rtfx == pytest.approx(10 * burst / period_s, rel=1e-3)
    assert rate.parts == pytest.approx([rate.rtfx] * len(rate.parts), rel=1e-3)


def test_what_finds_the_engine_empty_does_not_count_unless_there_is_nothing_else() -> None:
    done = [Done(at_s, 10.0, 1.0) for at_s in (5.0, 6.0, 7.0, 8.0)]
    assert rate_of_clips(done, 1, started_s=0.0).rtfx == pytest.approx(10)
    assert rate_of_clips(done[:1], 1, started_s=0.0) == Rate(2.0, None, (2.0,))


def test_a_run_that_is_disturbed_moves_the_spread_and_not_the_rate() -> None:
    assert rate_of_runs([100, 101, 40]) == Rate(100, 0.305, (100, 101, 40))
    assert rate_of_runs([7.0]).spread is None


def slots_of(**rates: tuple[float, ...]) -> list[SlotFigures]:
    return [SlotFigures(int(name[1:]), rate_of_runs(parts), None) for name, parts in rates.items()]


def test_the_best_slots_are_the_fewest_that_noise_can_not_tell_from_the_fastest() -> None:
    quiet = slots_of(_4=(80,), _8=(97,), _16=(99, 101), _32=(90,))
    assert best_slots(quiet, noise_of(quiet)) == 8
    noisy = slots_of(_4=(80,), _8=(97,), _16=(75, 125), _32=(90,))
    assert best_slots(noisy, noise_of(noisy)) == 4
    assert best_slots(quiet[:1], 0.05) is None


@given(st.lists(st.floats(0, 100), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], share: int) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * share / 100
    assert sum(value < found for value in values) < len(values) * share / 100
