"""benchmarks/chaos/planned_requests.py and fault_plan.py: a seed gives one plan, which has everything in its share."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from benchmarks.chaos.fault_plan import GAP_S, KILLS, OTHER_FAULTS, QUIET_S, FaultKind, plan_faults
from benchmarks.chaos.planned_requests import LEAVING, Manner, Mix, Route, plan_request
from benchmarks.chaos.recordings import HOUR, TEN_MINUTES

PLAN = [plan_request(1, number) for number in range(2000)]


def test_a_seed_and_a_number_give_one_request() -> None:
    assert [plan_request(1, number) for number in range(2000)] == PLAN
    assert [plan_request(2, number) for number in range(2000)] != PLAN


def test_the_plan_has_bad_requests_and_leaving_clients_in_their_shares() -> None:
    assert sum(planned.is_bad for planned in PLAN) == pytest.approx(100, abs=25)
    leaving = Counter(planned.manner for planned in PLAN if planned.manner in LEAVING)
    assert leaving.total() == pytest.approx(100, abs=25)
    assert set(leaving) == set(LEAVING)


def test_the_plan_has_every_manner_and_route_and_the_long_files() -> None:
    assert {planned.manner for planned in PLAN} == set(Manner)
    assert {planned.route for planned in PLAN} == set(Route)
    assert sum(planned.content == HOUR for planned in PLAN) == 2
    assert any(planned.content == TEN_MINUTES for planned in PLAN)


def test_a_load_of_clips_is_plain() -> None:
    plan = [plan_request(1, number, Mix.CLIPS) for number in range(100)]
    assert {(planned.route, planned.manner, planned.is_unique) for planned in plan} == {(Route.ASR, Manner.PLAIN, True)}


def test_a_seed_gives_one_plan_of_faults() -> None:
    assert plan_faults(1, 600) == plan_faults(1, 600)
    assert plan_faults(1, 600) != plan_faults(2, 600)


def test_the_engine_is_killed_every_minute() -> None:
    at_s = [fault.at_s for fault in plan_faults(1, 600) if fault.kind is FaultKind.ENGINE_KILL]
    assert len(at_s) == 10
    assert at_s == pytest.approx([30 + 60 * minute for minute in range(10)], abs=10)


@pytest.mark.parametrize("duration_s", [60.0, 180.0, 600.0])
def test_every_kind_of_fault_is_in_the_plan(duration_s: float) -> None:
    kinds = Counter(fault.kind for fault in plan_faults(3, duration_s))
    assert set(kinds) == set(FaultKind)
    others = [kinds[kind] for kind in OTHER_FAULTS]
    assert max(others) - min(others) <= 1


def test_one_fault_ends_before_the_next_begins() -> None:
    plan = plan_faults(1, 600)
    assert all(fault.at_s + fault.duration_s < after.at_s for fault, after in pairwise(plan))
    assert all(after.at_s - fault.at_s > GAP_S - 0.01 for fault, after in pairwise(plan))
    assert plan[0].at_s >= QUIET_S
    assert all(fault.at_s + fault.duration_s <= 600 for fault in plan)
    assert all((fault.duration_s == 0) == (fault.kind in KILLS) for fault in plan)
