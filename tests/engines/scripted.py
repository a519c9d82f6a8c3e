"""An engine without a model: it reads numbers from the amplitude of bursts, and fails when its script says so.

`number_pcm([3, 14])` makes PCM with two bursts; the engine answers " 3 14" with the times of the bursts, so a test
can tell a lost, doubled or misplaced word. The token of a number is the number; timestamp tokens follow them, one for
each millisecond. Slots, steps, resumption and options are those of a real engine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from asr_api.engines.protocol import EngineInfo, FinishedJob, WindowJob, check_jobs
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Pcm
from asr_api.transcript import LanguageGuess, Quality, Segment, WindowTranscript, Word

LEVEL = 100  # a number is so many times this amplitude
MAX_NUMBER = 299
FIRST_TIMESTAMP = 1000  # token of 0 ms
MAX_GAP_SAMPLES = 50 * SAMPLES_PER_MS  # shorter pauses are inside a burst

# A window with one sample of this value makes the engine ...
CRASH = 31_001  # ... end its own process
HANG = 31_002  # ... stand still
FAIL = 31_003  # ... raise an exception in a step
FAIL_EARLY = 31_004  # ... raise an exception when it is admitted
MARKS = (CRASH, HANG, FAIL, FAIL_EARLY)

LANGUAGES = ("en", "de", "fr")


@dataclass(frozen=True, slots=True)
class LanguageRule:
    """A window that begins with a number in [first, last] has the language of the best guess, when it is detected."""

    first: int
    last: int
    guesses: tuple[LanguageGuess, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """How the engine behaves; plain data, so that it can travel to the engine process."""

    n_slots: int = 4
    window_s: float = 30.0
    load_s: float = 0.0  # time that loading takes
    warm_up_s: float = 0.0
    load_error: str | None = None  # loading raises CheckpointError with this sentence
    crashes_on_load: bool = False  # loading kills the process
    step_s: float = 0.0  # time that one step takes, however many windows are in it
    steps_per_window: int = 1  # steps until a window is finished
    max_words: int | None = None  # words per decoding of a window, as MAX_NEW_TOKENS limits a real engine
    stops_silently: bool = False  # does not report that words are left, like a model that ends in the middle of speech
    crash_at_window: int | None = None  # kills the process when its nth window is admitted, counted from 1
    language_rules: tuple[LanguageRule, ...] = ()  # the first rule that fits counts; otherwise the language is English
    doubtful: tuple[int, ...] = ()  # numbers whose segments are doubtful
    hallucinated: tuple[int, ...] = ()  # numbers whose segments are omitted
    ignored: tuple[int, ...] = ()  # numbers without a segment, as if they were music
    has_marks: bool = True  # False for PCM in which MARKS may occur by accident


@dataclass(slots=True, eq=False)
class RunningWindow:
    job: WindowJob
    marks: tuple[int, ...]
    steps_left: int


@dataclass(slots=True, eq=False)
class ScriptedEngine:
    """Implements `Engine`. running: by job id"""

    script: Script = field(default_factory=Script)
    num_admitted: int = field(default=0, init=False)
    running: dict[int, RunningWindow] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        time.sleep(self.script.load_s)
        if self.script.crashes_on_load:
            _crash()
        if self.script.load_error is not None:
            raise CheckpointError(self.script.load_error)

    @property
    def info(self) -> EngineInfo:
        window_s, n_slots = self.script.window_s, self.script.n_slots
        return EngineInfo("scripted", "scripted", "none", window_s=window_s, n_slots=n_slots, languages=LANGUAGES)

    @property
    def free_slots(self) -> int:
        return self.script.n_slots - len(self.running)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        check_jobs(jobs, self.free_slots, self.script.window_s)
        for job in jobs:
            self.num_admitted += 1
            if self.num_admitted == self.script.crash_at_window:
                _crash()
            for language in (job.options.language, *job.options.languages):
                if language is not None and language not in LANGUAGES:
                    raise InvalidParameter(f"language {language!r} is none of {', '.join(LANGUAGES)}; use one of them.")
            marks = tuple(mark for mark in MARKS if self.script.has_marks and mark in job.pcm)
            if FAIL_EARLY in marks:
                raise RuntimeError("the script says that this window can't be admitted")
            self.running[job.job_id] = RunningWindow(job, marks, self.script.steps_per_window)

    def step(self) -> list[FinishedJob]:
        time.sleep(self.script.step_s)
        for window in self.running.values():
            if CRASH in window.marks:
                _crash()
            if HANG in window.marks:
                time.sleep(3600)
            if FAIL in window.marks:
                raise RuntimeError("the script says that this window fails")
            window.steps_left -= 1
        done = [window for window in self.running.values() if window.steps_left <= 0]
        self.cancel([window.job.job_id for window in done])
        return [FinishedJob(window.job.job_id, self._transcribe(window.job)) for window in done]

    def cancel(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            self.running.pop(job_id, None)

    def warm_up(self) -> None:
        time.sleep(self.script.warm_up_s)

    def close(self) -> None:
        self.running.clear()

    def _transcribe(self, job: WindowJob) -> WindowTranscript:
        script, options = self.script, job.options
        numbers = [segment for segment in read_numbers(job.pcm) if segment.tokens[0] not in script.ignored]
        num_read = len(numbers) if script.max_words is None else script.max_words
        read, rest = numbers[:num_read], numbers[num_read:]
        guesses = self._guess(read, options) if options.language is None else ()
        segments = [self._segment(segment, options) for segment in read]
        spoken = [segment for segment in segments if segment.tokens[0] not in script.hallucinated]
        if not options.timestamps and spoken:
            spoken = [_joined(spoken, len(job.pcm) // SAMPLES_PER_MS)]
        return WindowTranscript(
            segments=tuple(spoken),
            language=guesses[0].code if guesses else options.language,
            guesses=guesses,
            num_tokens=len(read),
            resume_ms=rest[0].start_ms if rest and not script.stops_silently else None,
            omitted=tuple(segment for segment in segments if segment.tokens[0] in script.hallucinated),
        )

    def _guess(self, read: Sequence[Segment], options: DecodeOptions) -> tuple[LanguageGuess, ...]:
        number = read[0].tokens[0] if read else 0
        fitting = [rule.guesses for rule in self.script.language_rules if rule.first <= number <= rule.last]
        guesses = fitting[0] if fitting else (LanguageGuess("en", 1.0),)
        if options.languages:
            guesses = tuple(guess for guess in guesses if guess.code in options.languages)
            guesses = guesses or (LanguageGuess(options.languages[0], 1.0),)
            total = sum(guess.probability for guess in guesses)
            guesses = tuple(replace(guess, probability=guess.probability / total) for guess in guesses)
        return guesses

    def _segment(self, segment: Segment, options: DecodeOptions) -> Segment:
        """A number as the options ask for it: translated, with words, at the last temperature if it is doubtful."""
        text = f"{segment.text}e" if options.task == "translate" else segment.text
        words = (Word(segment.start_ms, segment.end_ms, text),) if options.words else ()
        quality = None
        if segment.tokens[0] in self.script.doubtful:
            quality = Quality(temperature=max(options.temperatures, default=0.0), doubts=("low_confidence",))
        token_bytes = (text.encode(),) if options.token_texts else ()
        return replace(segment, text=text, words=words, quality=quality, token_bytes=token_bytes)


def number_pcm(numbers: Iterable[int], *, word_s: float = 0.5, pause_s: float = 0.5, mark: int | None = None) -> Pcm:
    """PCM from which the scripted engine reads these numbers, each a burst followed by a pause.

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


def read_numbers(pcm: Pcm) -> list[Segment]:
    """The numbers in this PCM with their times, tokens and log-probabilities; the inverse of `number_pcm`."""
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) >= LEVEL // 2)
    if loud.size == 0:
        return []
    breaks = np.flatnonzero(np.diff(loud) > MAX_GAP_SAMPLES)
    starts = loud[np.concatenate(([0], breaks + 1))]
    ends = loud[np.concatenate((breaks, [loud.size - 1]))] + 1
    segments: list[Segment] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        # The median, because one marked sample or an encoder's overshoot must not change the number.
        number = round(float(np.median(np.abs(pcm[start:end].astype(np.int32)))) / LEVEL)
        start_ms, end_ms = round(start / SAMPLES_PER_MS), round(end / SAMPLES_PER_MS)
        start_token, end_token = FIRST_TIMESTAMP + start_ms, FIRST_TIMESTAMP + end_ms
        segment = Segment(start_ms, end_ms, f" {number}", tokens=(number,), logprobs=(-number / 1000,))
        segments.append(replace(segment, start_token=start_token, end_token=end_token))
    return segments


def _joined(segments: Sequence[Segment], audio_ms: int) -> Segment:
    """One segment for the whole window, as without timestamps."""
    return Segment(
        0,
        audio_ms,
        "".join(segment.text for segment in segments),
        tuple(word for segment in segments for word in segment.words),
        next((segment.quality for segment in segments if segment.quality), None),
        tuple(token for segment in segments for token in segment.tokens),
        tuple(logprob for segment in segments for logprob in segment.logprobs),
        token_bytes=tuple(piece for segment in segments for piece in segment.token_bytes),
    )


def _crash() -> None:
    os._exit(1)  # a kill would be one from outside
