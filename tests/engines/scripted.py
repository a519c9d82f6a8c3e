"""An engine without a model: it reads numbers from the loudness of bursts, and misbehaves when its script says so.

`say([3, 14])` makes PCM with two bursts; the engine answers " 3 14" with the times at which it heard them, so a test
can tell a lost, doubled or misplaced word. Everything else is as a real engine does it: slots, steps, resumption.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from asr_api.engines.protocol import EngineInfo, FinishedJob, WindowJob
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Pcm
from asr_api.transcript import LanguageGuess, Quality, Segment, WindowTranscript

LEVEL = 100  # one more in the number is this much more in amplitude
MAX_NUMBER = 299
LANGUAGES = ("en", "de", "fr")
MAX_GAP_SAMPLES = 50 * SAMPLES_PER_MS  # shorter pauses are inside a word

# A window that contains one sample of this value makes the engine ...
CRASH = 31_001  # ... kill its own process
HANG = 31_002  # ... stand still
FAIL = 31_003  # ... raise an exception while it works on it
FAIL_EARLY = 31_004  # ... raise an exception when it is given it
MARKS = (CRASH, HANG, FAIL, FAIL_EARLY)

DOUBTFUL = Quality(temperature=1.0, doubts=("low_confidence",))


@dataclass(frozen=True, slots=True)
class Dialect:
    """A window that begins with a number in [first, last] is heard in the best guess, when it may choose."""

    first: int
    last: int
    guesses: tuple[LanguageGuess, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """How the engine behaves; plain data, so that it can travel to the engine process.

    load_s:           time that loading takes
    warm_up_s:        time that the warm-up takes
    load_error:       loading raises CheckpointError with this sentence
    crashes_on_load:  loading kills the process
    step_s:           time that one step takes, however many windows are in it
    steps_per_window: steps until a window is finished
    max_words:        words per pass over a window, as MAX_NEW_TOKENS limits a real engine
    stops_silently:   does not say that words are left, as a model that ends in the middle of speech
    crash_at_window:  kills the process when it is given its nth window, counted from 1 in each process
    dialects:         languages of windows; the first that fits counts, and what fits none is surely English
    doubted:          numbers whose segments are doubtful
    invented:         numbers that are omitted as inventions
    unheard:          numbers that it takes for music
    """

    n_slots: int = 4
    window_s: float = 30.0
    load_s: float = 0.0
    warm_up_s: float = 0.0
    load_error: str | None = None
    crashes_on_load: bool = False
    step_s: float = 0.0
    steps_per_window: int = 1
    max_words: int | None = None
    stops_silently: bool = False
    crash_at_window: int | None = None
    dialects: tuple[Dialect, ...] = ()
    doubted: tuple[int, ...] = ()
    invented: tuple[int, ...] = ()
    unheard: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class _Live:
    """One occupied slot."""

    job_id: int
    pcm: Pcm
    options: DecodeOptions
    marks: tuple[int, ...]
    steps_left: int


@dataclass(slots=True, eq=False)
class ScriptedEngine:
    """Implements `Engine`."""

    script: Script = field(default_factory=Script)
    num_admitted: int = field(default=0, init=False)
    _live: dict[int, _Live] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        time.sleep(self.script.load_s)
        if self.script.crashes_on_load:
            _crash()
        if self.script.load_error is not None:
            raise CheckpointError(self.script.load_error)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            model_id="scripted",
            engine="scripted",
            device_name="none",
            window_s=self.script.window_s,
            n_slots=self.script.n_slots,
            languages=LANGUAGES,
        )

    @property
    def free_slots(self) -> int:
        return self.script.n_slots - len(self._live)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        if len(jobs) > self.free_slots:
            raise ValueError(f"{len(jobs)} jobs for {self.free_slots} free slots; this is a bug")
        for job in jobs:
            self.num_admitted += 1
            if self.num_admitted == self.script.crash_at_window:
                _crash()
            language = job.options.language
            if language not in {None, *LANGUAGES}:
                raise InvalidParameter(f"language {language!r} is none of {', '.join(LANGUAGES)}; use one of them.")
            marks = tuple(mark for mark in MARKS if mark in job.pcm)
            if FAIL_EARLY in marks:
                raise RuntimeError("the script says that this window can't be admitted")
            live = _Live(job.job_id, job.pcm.copy(), job.options, marks, self.script.steps_per_window)
            self._live[job.job_id] = live

    def step(self) -> list[FinishedJob]:
        time.sleep(self.script.step_s)
        for live in self._live.values():
            _obey(live.marks)
            live.steps_left -= 1
        done = [live for live in self._live.values() if live.steps_left <= 0]
        self.cancel([live.job_id for live in done])
        return [FinishedJob(live.job_id, self._hear(live)) for live in done]

    def cancel(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            self._live.pop(job_id, None)

    def warm_up(self) -> None:
        time.sleep(self.script.warm_up_s)

    def close(self) -> None:
        self._live.clear()

    def _hear(self, live: _Live) -> WindowTranscript:
        words = [word for word in hear(live.pcm) if int(word.text) not in self.script.unheard]
        num_words = len(words) if self.script.max_words is None else self.script.max_words
        rest = words[num_words:]
        guesses = self._guess(words, live.options) if live.options.language is None else ()
        return WindowTranscript(
            segments=tuple(self._judge(word) for word in words[:num_words] if not self._is_invented(word)),
            language=guesses[0].code if guesses else live.options.language,
            guesses=guesses,
            num_tokens=len(words[:num_words]),
            resume_ms=rest[0].start_ms if rest and not self.script.stops_silently else None,
            omitted=tuple(word for word in words[:num_words] if self._is_invented(word)),
        )

    def _guess(self, words: Sequence[Segment], options: DecodeOptions) -> tuple[LanguageGuess, ...]:
        number = int(words[0].text) if words else 0
        fitting = [dialect.guesses for dialect in self.script.dialects if dialect.first <= number <= dialect.last]
        guesses = fitting[0] if fitting else (LanguageGuess(LANGUAGES[0], 1.0),)
        if options.languages:
            guesses = tuple(guess for guess in guesses if guess.code in options.languages)
            guesses = guesses or (LanguageGuess(options.languages[0], 1.0),)
            total = sum(guess.probability for guess in guesses)
            guesses = tuple(replace(guess, probability=guess.probability / total) for guess in guesses)
        return guesses

    def _judge(self, word: Segment) -> Segment:
        return replace(word, quality=DOUBTFUL) if int(word.text) in self.script.doubted else word

    def _is_invented(self, word: Segment) -> bool:
        return int(word.text) in self.script.invented


def say(numbers: Iterable[int], *, word_s: float = 0.5, pause_s: float = 0.5, mark: int | None = None) -> Pcm:
    """PCM in which the scripted engine hears these numbers, each a burst followed by a pause.

    numbers: in [1, MAX_NUMBER]
    mark:    one of MARKS, hidden in the first burst
    """
    pause = np.zeros(round(pause_s * SAMPLE_RATE_HZ), np.int16)
    parts: list[Pcm] = []
    for number in numbers:
        if not 1 <= number <= MAX_NUMBER:
            raise ValueError(f"{number} is not in [1, {MAX_NUMBER}]")
        burst = np.full(round(word_s * SAMPLE_RATE_HZ), number * LEVEL, np.int16)
        burst[1::2] *= -1
        parts += [burst, pause]
    pcm = np.concatenate(parts) if parts else pause
    if mark is not None:
        pcm[min(100, len(pcm) - 1)] = mark
    return pcm


def hear(pcm: Pcm) -> list[Segment]:
    """The numbers in this PCM with their times; the inverse of `say`."""
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) >= LEVEL // 2)
    if loud.size == 0:
        return []
    breaks = np.flatnonzero(np.diff(loud) > MAX_GAP_SAMPLES)
    starts = loud[np.concatenate(([0], breaks + 1))]
    ends = loud[np.concatenate((breaks, [loud.size - 1]))] + 1
    words: list[Segment] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        # The median, since one marked sample or an encoder's overshoot must not change the word.
        number = round(float(np.median(np.abs(pcm[start:end].astype(np.int32)))) / LEVEL)
        words.append(Segment(round(start / SAMPLES_PER_MS), round(end / SAMPLES_PER_MS), f" {number}"))
    return words


def _obey(marks: tuple[int, ...]) -> None:
    if CRASH in marks:
        _crash()
    if HANG in marks:
        time.sleep(3600)
    if FAIL in marks:
        raise RuntimeError("the script says that this window fails")


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
