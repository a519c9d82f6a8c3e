"""Aligns a hypothesis with its reference by the fewest edits: counts of errors, and runs of lost or invented units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MIN_RUN = 3  # units in a row that count as a run


@dataclass(frozen=True, slots=True)
class Errors:
    num_units: int = 0
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.num_units + other.num_units,
            self.substituted + other.substituted,
            self.deleted + other.deleted,
            self.inserted + other.inserted,
        )

    @property
    def percent(self) -> float:
        """Word error rate, or character error rate."""
        return 100 * (self.substituted + self.deleted + self.inserted) / max(1, self.num_units)


@dataclass(frozen=True, slots=True)
class Run:
    """Units in a row that are in one of both texts only; position: index in the reference where they are, or belong"""

    position: int
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alignment:
    """pairs: indices in reference and hypothesis of equal units; inserted: indices in the hypothesis"""

    errors: Errors
    lost: tuple[Run, ...]
    invented: tuple[Run, ...]
    pairs: tuple[tuple[int, int], ...]
    inserted: frozenset[int]


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> Alignment:
    from rapidfuzz.distance import Levenshtein

    counts = dict.fromkeys(("replace", "delete", "insert", "equal"), 0)
    lost: list[Run] = []
    invented: list[Run] = []
    pairs: list[tuple[int, int]] = []
    inserted: set[int] = set()
    for edit in Levenshtein.opcodes(reference, hypothesis):
        num_lost, num_invented = edit.src_end - edit.src_start, edit.dest_end - edit.dest_start
        counts[edit.tag] += max(num_lost, num_invented)
        if edit.tag == "equal":
            pairs += zip(range(edit.src_start, edit.src_end), range(edit.dest_start, edit.dest_end), strict=True)
        elif edit.tag == "insert":
            inserted.update(range(edit.dest_start, edit.dest_end))
        if edit.tag == "delete" and num_lost >= MIN_RUN:
            lost.append(Run(edit.src_start, tuple(reference[edit.src_start : edit.src_end])))
        elif edit.tag == "insert" and num_invented >= MIN_RUN:
            invented.append(Run(edit.src_start, tuple(hypothesis[edit.dest_start : edit.dest_end])))
    errors = Errors(len(reference), counts["replace"], counts["delete"], counts["insert"])
    return Alignment(errors, tuple(lost), tuple(invented), tuple(pairs), frozenset(inserted))
