"""Accounting of a load: outcomes, recovery after each fault, goodput and the latency of refusals; the last line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.chaos.fault_plan import Fault, FaultKind
from benchmarks.chaos.outcomes import ACCOUNTED, Outcome, Record, assess, explained
from benchmarks.chaos.planned_requests import Manner


@dataclass(frozen=True, slots=True)
class Account:
    records: tuple[Record, ...]
    outcomes: tuple[Outcome, ...]
    faults: tuple[Fault, ...]
    leaks: tuple[str, ...] = ()

    @property
    def num_accounted(self) -> int:
        return sum(outcome in ACCOUNTED for outcome in self.outcomes)

    @property
    def is_clean(self) -> bool:
        is_complete = self.num_accounted == len(self.records) > 0
        return is_complete and not (self.num(Outcome.WRONG) or self.num(Outcome.HUNG) or self.leaks)

    def num(self, outcome: Outcome) -> int:
        return self.outcomes.count(outcome)

    def of(self, outcome: Outcome) -> list[Record]:
        return [record for record, its in zip(self.records, self.outcomes, strict=True) if its is outcome]

    @property
    def last_line(self) -> str:
        return (
            f"{len(self.records):,} requests, {self.num_accounted:,} accounted for, {self.num(Outcome.WRONG)} wrong, "
            f"{self.num(Outcome.HUNG)} hung, {len(self.leaks)} leaked"
        )


def account(records: Sequence[Record], faults: Sequence[Fault] = (), leaks: Sequence[str] = ()) -> Account:
    return Account(tuple(records), tuple(assess(records, faults)), tuple(faults), tuple(leaks))


def recovery_s(whole: Account, kind: FaultKind) -> list[float]:
    """From each fault's end to the first right text of a request that was sent after it."""
    right = [record for record in whole.of(Outcome.RIGHT) if record.expected.text]
    times_s: list[float] = []
    for fault in whole.faults:
        later = [record.end_s - fault.end_s for record in right if record.begin_s >= fault.end_s]
        if fault.kind is kind and fault.is_made and later:
            times_s.append(min(later))
    return times_s


def goodput(whole: Account) -> float:
    """Right texts a second, from the first request to the last answer."""
    right = [record for record in whole.of(Outcome.RIGHT) if record.expected.text]
    if not right:
        return 0.0
    return len(right) / (max(r.end_s for r in whole.records) - min(r.begin_s for r in whole.records))


def refusal_times_s(whole: Account) -> list[float]:
    """Of 429s to plain clients, without those that the server could not even accept for want of descriptors."""
    refused = [record for record in whole.of(Outcome.REFUSED) if record.planned.manner is Manner.PLAIN]
    return [
        record.end_s - record.begin_s
        for record in refused
        if record.answer
        and record.answer.status == 429
        and not explained(record, whole.faults, [FaultKind.DESCRIPTORS], aftermath_s=1.0)
    ]


def percentile(values: Sequence[float], share: int) -> float:
    if len(values) < 2:
        return values[0] if values else float("nan")
    return quantiles(values, n=100, method="inclusive")[share - 1]


def outcome_rows(whole: Account) -> list[str]:
    """A line for each outcome, and below it one for each kind of answer."""
    rows: list[str] = []
    for outcome in Outcome:
        records = whole.of(outcome)
        rows.append(f"{outcome.value:<22} {len(records):>7}")
        if outcome is Outcome.RIGHT:
            continue
        kinds = Counter(_kind(record, outcome) for record in records)
        rows += [f"    {kind:<50} {num:>7}" for kind, num in kinds.most_common()]
    return rows


def _kind(record: Record, outcome: Outcome) -> str:
    answer = record.answer
    if outcome is Outcome.LEFT or answer is None or answer.problem:
        return f"{record.planned.manner.value}: {answer.problem if answer else 'no end'}"
    return f"{answer.status} {answer.code or 'another text'}"


def fault_rows(whole: Account) -> list[str]:
    rows = [f"{'fault':<28} {'made':>5} {'recovery median':>16} {'max':>7}"]
    for kind in FaultKind:
        num = sum(fault.kind is kind and fault.is_made for fault in whole.faults)
        times_s = recovery_s(whole, kind)
        figures = f"{median(times_s):>14.2f} s {max(times_s):>5.2f} s" if times_s else f"{'–':>16} {'–':>7}"
        rows.append(f"{kind.value:<28} {num:>5} {figures}")
    return rows


def figure_rows(whole: Account) -> list[str]:
    refused_s = refusal_times_s(whole)
    return [
        f"goodput {goodput(whole):.2f} right texts/s",
        f"429 after p50 {percentile(refused_s, 50) * 1000:.0f} ms, p99 {percentile(refused_s, 99) * 1000:.0f} ms",
    ]


def suspect_rows(whole: Account) -> list[str]:
    """A line for each request that is not as it should be, to find it in the server's log."""
    rows: list[str] = []
    for outcome in (Outcome.WRONG, Outcome.HUNG, Outcome.LOST):
        for record in whole.of(outcome):
            near = sorted(
                f"{fault.kind.value} {record.begin_s - fault.begin_s:+.1f}…{record.end_s - fault.begin_s:+.1f} s"
                for fault in whole.faults
                if fault.is_made and fault.begin_s - 1 < record.end_s and fault.end_s + 10 > record.begin_s
            )
            planned = record.planned
            what = f"{planned.content!r} by {planned.route.value}, {planned.manner.value}"
            rows.append(f"{outcome.value} #{planned.number} {what}: {record.answer}; {'; '.join(near)}")
    return rows
