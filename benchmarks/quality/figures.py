"""Figures of one system with one model: errors by set, silence, runs in long recordings, languages, word times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from benchmarks.quality.alignment import Errors, Run, align
from benchmarks.quality.normalizer import Normalizer, has_characters
from benchmarks.quality.recording import Passage, Recording
from benchmarks.quality.repetition import doubled_runs
from benchmarks.quality.transcription import Transcription
from benchmarks.quality.word_times import WordTimes, start_errors, word_times


@dataclass(frozen=True, slots=True)
class TimedRun:
    """start_s: estimated from the place in the passage, or in the recording"""

    start_s: float
    text: str
    num_units: int


@dataclass(frozen=True, slots=True)
class Score:
    """One recording. num_invented: units where the reference is empty; is_language_right: None where there is no one"""

    name: str
    row: str
    errors: Errors
    num_invented: int
    is_language_right: bool | None
    lost: tuple[TimedRun, ...]
    invented: tuple[TimedRun, ...]
    doubled: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Figures:
    """scores: by the keys of the recordings; failure: why there are none, or not all"""

    system: str
    scores: dict[str, Score] = field(default_factory=dict)
    words: WordTimes | None = None
    failure: str = ""


def figures(
    system: str,
    recordings: Mapping[str, Recording],
    results: Mapping[str, Transcription],
    normalizer: Normalizer,
    failure: str = "",
) -> Figures:
    """recordings: by their keys"""
    scores = {
        key: score(recording, results[key], normalizer) for key, recording in recordings.items() if key in results
    }
    timed = [(recordings[key], results[key]) for key in scores if recordings[key].words and results[key].words]
    errors_s = chain.from_iterable(start_errors(recording.words, result.words) for recording, result in timed)
    num_known = sum(len(recording.words) for recording, _ in timed)
    return Figures(system, scores, word_times(num_known, list(errors_s)), failure)


def score(recording: Recording, result: Transcription, normalizer: Normalizer) -> Score:
    language = recording.language
    passages = recording.passages or (Passage(0, recording.seconds, recording.text),)
    parts = [normalizer.units(passage.text, language) for passage in passages]
    starts_s = [start_s for passage, units in zip(passages, parts, strict=True) for start_s in spread(passage, units)]
    reference, hypothesis = list(chain.from_iterable(parts)), normalizer.units(result.text, language)
    alignment = align(reference, hypothesis)
    has_one_language = bool(reference) and "+" not in language
    return Score(
        recording.path.name,
        f"{recording.group}, characters" if has_characters(language) else recording.group,
        alignment.errors if reference else Errors(),
        0 if reference else len(hypothesis),
        result.language == language if has_one_language else None,
        tuple(timed_run(run, starts_s, recording.seconds) for run in alignment.lost),
        tuple(timed_run(run, starts_s, recording.seconds) for run in alignment.invented),
        tuple(" ".join(run) for run in doubled_runs(reference, hypothesis, alignment)),
        result.text,
    )


def spread(passage: Passage, units: Sequence[str]) -> list[float]:
    """Starts of the units, as if all had the same length."""
    step_s = (passage.end_s - passage.start_s) / max(1, len(units))
    return [passage.start_s + index * step_s for index in range(len(units))]


def timed_run(run: Run, starts_s: Sequence[float], seconds: float) -> TimedRun:
    start_s = starts_s[run.position] if run.position < len(starts_s) else seconds
    return TimedRun(round(start_s, 1), " ".join(run.units), len(run.units))
