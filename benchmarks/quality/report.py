"""The tables in Markdown: errors by set, long recordings, and what is counted in words, clips and seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from benchmarks.quality.alignment import Errors
from benchmarks.quality.espeak import GROUP as ESPEAK
from benchmarks.quality.figures import Figures, Score
from benchmarks.quality.weaving import GROUP as LONG

CHARACTERS = ", characters"
APART = (LONG, ESPEAK)  # sets that are not in the table of errors


@dataclass(frozen=True, slots=True)
class Panel:
    """One model. num_recordings: by row of the table"""

    model: str
    num_recordings: dict[str, int]
    systems: list[Figures]


@dataclass(frozen=True, slots=True)
class Report:
    machine: str
    date: str
    versions: dict[str, str]
    panels: list[Panel]


def tables(report: Report) -> str:
    lines = [f"{report.machine}, {report.date}"]
    lines.append(", ".join(f"{package} {number}" for package, number in report.versions.items()))
    for panel in report.panels:
        lines += ["", f"## {panel.model}", "", *panel_lines(panel)]
    return "\n".join(lines)


def panel_lines(panel: Panel) -> Iterator[str]:
    yield from (f"{each.system}: {each.failure}" for each in panel.systems if each.failure)
    systems = [each for each in panel.systems if each.scores]
    names = [each.system for each in systems]
    if not systems:
        return
    yield "Errors in % (substituted/deleted/inserted):"
    yield from ["", *markdown(["set", "words", *names], error_rows(panel, systems)), ""]
    if LONG in panel.num_recordings:
        yield "Long recordings: errors in %; words lost, invented, doubled in runs of 3 and more:"
        yield from ["", *markdown(["recording", "words", *names], long_rows(systems)), ""]
    yield from markdown(["", *names], count_rows(systems))


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def error_rows(panel: Panel, systems: Sequence[Figures]) -> Iterator[list[str]]:
    """One for each set of short recordings of people, then the sums over those that all systems have."""
    common = set.intersection(*(set(each.scores) for each in systems))
    rows = [row for row in panel.num_recordings if row not in APART and has_text(row, systems)]
    for row in rows:
        found = [[score for score in each.scores.values() if score.row == row] for each in systems]
        num = panel.num_recordings[row]
        cells = [error_cell(scores, num) for scores in found]
        yield [row, str(max(total(scores).num_units for scores in found)), *cells]
    for label, is_counted in (("all words in common", is_of_words), ("all characters in common", is_of_characters)):
        sums = [total(each.scores[key] for key in common if is_counted(each.scores[key])) for each in systems]
        if sums[0].num_units:
            yield [label, str(sums[0].num_units), *map(errors_text, sums)]


def has_text(row: str, systems: Sequence[Figures]) -> bool:
    return any(score.errors.num_units for each in systems for score in each.scores.values() if score.row == row)


def is_of_words(score: Score) -> bool:
    return score.row not in APART and not score.row.endswith(CHARACTERS)


def is_of_characters(score: Score) -> bool:
    return score.row.endswith(CHARACTERS)


def total(scores: Iterable[Score]) -> Errors:
    return reduce(add, (score.errors for score in scores), Errors())


def error_cell(scores: Sequence[Score], num_recordings: int) -> str:
    if not scores:
        return "–"
    partly = "" if len(scores) == num_recordings else f", {len(scores)} of {num_recordings}"
    return errors_text(total(scores)) + partly


def errors_text(errors: Errors) -> str:
    return f"{errors.percent:.1f} ({errors.substituted}/{errors.deleted}/{errors.inserted})"


def long_rows(systems: Sequence[Figures]) -> Iterator[list[str]]:
    found = {key: score for each in systems for key, score in each.scores.items() if score.row == LONG}
    for key, example in found.items():
        cells = [long_cell(each.scores[key]) if key in each.scores else "–" for each in systems]
        yield [example.name.removesuffix(".wav"), str(example.errors.num_units), *cells]
    common = [key for key in found if all(key in each.scores for each in systems)]
    sums = [[each.scores[key] for key in common] for each in systems]
    if common:
        yield ["all in common", str(total(sums[0]).num_units), *(sum_cell(scores) for scores in sums)]


def long_cell(score: Score) -> str:
    return f"{score.errors.percent:.1f}; {runs_text([score])}"


def sum_cell(scores: Sequence[Score]) -> str:
    return f"{errors_text(total(scores))}; {runs_text(scores)}"


def runs_text(scores: Sequence[Score]) -> str:
    return f"{num_lost(scores)}, {num_invented(scores)}, {num_doubled(scores)}"


def num_lost(scores: Iterable[Score]) -> int:
    return sum(run.num_units for score in scores for run in score.lost)


def num_invented(scores: Iterable[Score]) -> int:
    return sum(run.num_units for score in scores for run in score.invented)


def num_doubled(scores: Iterable[Score]) -> int:
    return sum(len(run.split()) for score in scores for run in score.doubled)


def count_rows(systems: Sequence[Figures]) -> Iterator[list[str]]:
    def row(label: str, cell: Callable[[Figures], str]) -> list[str]:
        return [label, *map(cell, systems)]

    yield row("words invented in recordings without speech (recordings with words)", silence_cell)
    yield row("short recordings of one language: words lost, invented, doubled in runs of 3 and more", short_runs_cell)
    yield row("language right", language_cell)
    yield row("word starts: error median, 90 %; beyond 0.3 s; words compared", words_cell)


def silence_cell(figures: Figures) -> str:
    silent = [score for score in figures.scores.values() if not score.errors.num_units]
    num_words = sum(score.num_invented for score in silent)
    return f"{num_words} ({sum(score.num_invented > 0 for score in silent)} of {len(silent)})" if silent else "–"


def short_runs_cell(figures: Figures) -> str:
    """Several languages in one recording are left out: their losses hide those at the ends of windows."""
    scores = [score for score in figures.scores.values() if is_of_words(score)]
    return runs_text([score for score in scores if score.is_language_right is not None])


def language_cell(figures: Figures) -> str:
    known = [score.is_language_right for score in figures.scores.values() if score.is_language_right is not None]
    return f"{sum(known)} of {len(known)}"


def words_cell(figures: Figures) -> str:
    times = figures.words
    if times is None:
        return "–"
    return (
        f"{times.median_s:.3f}, {times.percentile_90_s:.3f} s; {times.num_far}; "
        f"{times.num_compared} of {times.num_known}"
    )
