"""Clips → training windows: several sentences with pauses, sentences cut at the edges, or no speech at all.

A window of parallel clips is said by one of their voices, or by a speaker drawn from it, and knows what it would be if
the plain voice said it.

In go a clip store and a seeded generator; out come windows with the true times of every sentence and word.
Knows nothing about tokens or tensors.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.clips import SAMPLE_RATE, ClipInfo, ClipStore, Pcm
from training.drawn import Speaker, any_speaker, said_by
from training.parallel import GROUP, PLAIN_VOICE
from training.sounds import no_speech
from training.voices import FREQUENT_WINDOW_SHARE, RELIABLE

Wave = NDArray[np.float32]
Takes = NDArray[np.float32]
"""(2, n_samples): what is HEARD, and the same PLAIN."""
HEARD, PLAIN = 0, 1
PIECE = re.compile(r"[\w']+|[^\w\s]")
SAMPLES_PER_MS = SAMPLE_RATE // 1000
MAX_DRAWS = 8
HEARD_WEIGHTS = (0.2, 0.15, 0.4, 0.25)
"""How often each of GROUP is heard in windows of parallel clips."""
DRAWN_SHARE = 0.55
"""Of these windows so many are said by a speaker drawn from that voice, and all where it is the plain one."""
UNSURE_MS = 350
"""Words without marks of the synthesiser get their share of the clip by letters, widened by this much."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A word (with its space in front) or a mark, and when it is said."""

    text: str
    start_ms: float
    end_ms: float
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is said between two pauses."""

    pieces: list[Piece]
    start_ms: float
    end_ms: float

    @property
    def text(self) -> str:
        """The sentence without a space in front."""
        return "".join(piece.text for piece in self.pieces).strip()


@dataclass(frozen=True, slots=True)
class Window:
    """pcm, plain: (n_samples,) float32 in [-1, 1]; plain: by the plain voice of parallel clips; no sentences means no
    speech.
    """

    pcm: Wave
    plain: Wave
    sentences: list[Sentence]


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """How long the window is and what may be in it; shares are probabilities.

    parallel_share: windows of parallel clips, of which there must be some
    """

    length_ms: int
    max_sentences: int = 20
    max_pause_ms: int = 3000
    no_speech_share: float = 0.08
    digits_share: float = 0.15
    same_voice_share: float = 0.65
    repeat_share: float = 0.0
    cut_share: float = 0.12
    digit_speeds: tuple[float, float] = (0.86, 1.16)
    frequent_voices: tuple[str, ...] = RELIABLE
    parallel_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Cast:
    """What a window is made of: clips and the share of digit strings between them.

    heard: of parallel clips, given as the plain ones, the place in GROUP of the voice; speaker: who is drawn from it
    """

    clips: list[int]
    digits_share: float
    heard: int = 0
    speaker: Speaker | None = None


def word_spans(info: ClipInfo, length_ms: float) -> list[tuple[float, float]]:
    """(start, end) of each whitespace word of a clip: the synthesiser's marks, or a share by letters."""
    if info.words_ms:
        return [(float(start), float(end)) for start, end in info.words_ms]
    edges = np.cumsum([0, *(len(word) + 1 for word in info.text.split())])
    times = edges * (length_ms / edges[-1])
    return [(max(0.0, a - UNSURE_MS), min(length_ms, b + UNSURE_MS)) for a, b in pairwise(times.tolist())]


def pieces_of(info: ClipInfo, length_ms: float) -> list[Piece]:
    """The words and marks of a clip with their times, from the clip's start."""
    found: list[Piece] = []
    for word, (start, end) in zip(info.text.split(), word_spans(info, length_ms), strict=True):
        for number, match in enumerate(PIECE.finditer(word)):
            is_mark = not match.group()[0].isalnum()
            text = match.group() if number else " " + match.group()
            found.append(Piece(text, max(start, end - 80) if is_mark else start, end, bool(info.words_ms)))
    return found


def moved(sentence: Sentence, offset_ms: float) -> Sentence:
    """The same sentence later."""
    pieces = [Piece(p.text, p.start_ms + offset_ms, p.end_ms + offset_ms, p.is_exact) for p in sentence.pieces]
    return Sentence(pieces, sentence.start_ms + offset_ms, sentence.end_ms + offset_ms)


class WindowMaker:
    """Draws clips of one split and splices windows from them."""

    def __init__(self, store: ClipStore, split: str, families: tuple[str, ...] = ()) -> None:
        self._store = store
        self._spoken: list[int] = []
        self._parallel: list[int] = []
        self._by_voice: dict[str, list[int]] = defaultdict(list)
        self._digits: dict[str, list[int]] = defaultdict(list)
        for index in store.select(split, families):
            info = store.infos[index]
            if info.family == "digits":
                self._digits[info.voice].append(index)
            elif info.family == "parallel":
                if info.voice == PLAIN_VOICE:
                    self._parallel.append(index)
            else:
                self._spoken.append(index)
                self._by_voice[info.voice].append(index)
        self._speakers = sorted(self._digits)

    def window(self, rng: random.Random, plan: WindowPlan) -> Window:
        """One window; the same generator state gives the same window."""
        n_samples = plan.length_ms * SAMPLES_PER_MS
        if rng.random() < plan.no_speech_share:
            pcm = no_speech(rng, n_samples)
            return Window(pcm, pcm, [])
        takes = np.zeros((2, n_samples), np.float32)
        sentences: list[Sentence] = []
        cast = self._cast(rng, plan)
        at_ms = 0.0 if rng.random() < plan.cut_share else self._pause(rng, plan, rng.choice((200, 1000, 1000, 3000)))
        starts_cut = at_ms == 0.0
        while len(sentences) < plan.max_sentences:
            said, sentence = self._sentence(rng, plan, cast, is_first=not sentences)
            if starts_cut and not sentences:
                said, sentence = _without_beginning(said, sentence, rng)
            room_ms = plan.length_ms - at_ms
            if sentence.end_ms > room_ms and (not sentences or rng.random() < 4 * plan.cut_share):
                said, sentence = _without_end(said, sentence, room_ms)
            if not sentence.pieces or sentence.end_ms > room_ms:
                break
            start = round(at_ms * SAMPLES_PER_MS)
            part = said[:, : n_samples - start]
            takes[:, start : start + part.shape[1]] += part
            sentences.append(moved(sentence, at_ms))
            if part.shape[1] < said.shape[1] or (len(sentences) > 1 and rng.random() < 0.01):
                break
            at_ms += sentence.end_ms + self._pause(rng, plan, plan.max_pause_ms)
        return Window(takes[HEARD], takes[PLAIN], sentences)

    def _cast(self, rng: random.Random, plan: WindowPlan) -> Cast:
        """Who says what: all clips, those of one voice, or one or two that are said again and again."""
        if plan.parallel_share and rng.random() < plan.parallel_share:
            if not self._parallel:
                raise ValueError("there are no parallel clips; make some by training.speech --parallel.")
            heard = rng.choices(range(len(GROUP)), HEARD_WEIGHTS)[0]
            is_drawn = heard == 0 or rng.random() < DRAWN_SHARE
            return Cast(self._parallel, 0.0, heard, any_speaker(rng) if is_drawn else None)
        if not self._spoken or rng.random() >= plan.same_voice_share:
            return Cast(self._spoken, plan.digits_share)
        choices = self._by_voice[self._voice(rng, plan)]
        if plan.repeat_share and rng.random() < plan.repeat_share:
            choices = rng.choices(choices, k=rng.randint(1, 2))
        return Cast(choices, plan.digits_share)

    def _voice(self, rng: random.Random, plan: WindowPlan) -> str:
        frequent = [voice for voice in plan.frequent_voices if voice in self._by_voice]
        if frequent and rng.random() < FREQUENT_WINDOW_SHARE:
            return rng.choice(frequent)
        return self._store.infos[rng.choice(self._spoken)].voice

    def _pause(self, rng: random.Random, plan: WindowPlan, max_ms: int) -> float:
        """Between sentences, more often short than long."""
        return (
            min(150 + rng.expovariate(1 / 450), max_ms, plan.max_pause_ms)
            if rng.random() < 0.8
            else rng.uniform(150, max_ms)
        )

    def _sentence(self, rng: random.Random, plan: WindowPlan, cast: Cast, is_first: bool) -> tuple[Takes, Sentence]:
        if self._speakers and (not self._spoken or rng.random() < cast.digits_share):
            wave, sentence = self._digit_string(rng, plan)
            return np.stack([wave, wave]), sentence
        index = rng.choice(cast.clips)
        if is_first and rng.random() > plan.cut_share:  # without a cut one that fits, where there are such
            others = [index, *(rng.choice(cast.clips) for _ in range(MAX_DRAWS))]
            room = plan.length_ms * SAMPLES_PER_MS * 3 // 4
            index = next((i for i in others if self._store.n_samples(i) <= room), index)
        clip = self._store.clip(index)
        length_ms = len(clip.pcm) / SAMPLES_PER_MS
        heard = plain = _wave(clip.pcm)
        if cast.heard:
            clip = self._store.clip(index + cast.heard)
            heard = _wave(clip.pcm)
        if cast.speaker:
            heard = said_by(cast.speaker, clip, heard)
        return np.stack([heard, plain]), Sentence(pieces_of(clip.info, length_ms), 0.0, length_ms)

    def _digit_string(self, rng: random.Random, plan: WindowPlan) -> tuple[Wave, Sentence]:
        """Single recorded digits of one speaker as a sentence, with the small gaps of connected speech."""
        takes = self._digits[rng.choice(self._speakers)]
        speed, waves, pieces, at_ms = rng.uniform(*plan.digit_speeds), [], [], 0.0
        for number in range(rng.randint(1, 8)):
            clip = self._store.clip(rng.choice(takes))
            wave = respeeded(_wave(clip.pcm), speed)
            if number:
                gap = np.zeros(round(rng.uniform(10, 220)) * SAMPLES_PER_MS, np.float32)
                waves.append(gap)
                at_ms += len(gap) / SAMPLES_PER_MS
            waves.append(wave)
            word = clip.info.text if number else clip.info.text.capitalize()
            pieces.append(Piece(" " + word, at_ms, at_ms + len(wave) / SAMPLES_PER_MS))
            at_ms = pieces[-1].end_ms
        pieces.append(Piece(".", at_ms - 80, at_ms))
        return np.concatenate(waves), Sentence(pieces, 0.0, at_ms)


def _wave(pcm: Pcm) -> Wave:
    return (pcm / np.float32(32768)).astype(np.float32)


def respeeded(wave: Wave, speed: float) -> Wave:
    """The wave played faster or slower, pitch and all, by linear interpolation."""
    places = np.arange(0, len(wave) - 1, speed)
    return np.interp(places, np.arange(len(wave)), wave).astype(np.float32)


def _without_beginning(takes: Takes, sentence: Sentence, rng: random.Random) -> tuple[Takes, Sentence]:
    """The sentence from a later word on, as after a cut between words; unchanged where word times are unsure."""
    starts = [p for p in sentence.pieces[1:] if p.text.startswith(" ") and p.is_exact]
    if not starts:
        return takes, sentence
    first = rng.choice(starts)
    pieces = sentence.pieces[sentence.pieces.index(first) :]
    rest = moved(Sentence(pieces, first.start_ms, sentence.end_ms), -first.start_ms)
    return takes[:, round(first.start_ms * SAMPLES_PER_MS) :], rest


def _without_end(takes: Takes, sentence: Sentence, room_ms: float) -> tuple[Takes, Sentence]:
    """The words that fit before the window ends, and the takes up to there; no pieces if word times are unsure."""
    if not sentence.pieces[0].is_exact:
        return takes, Sentence([], 0.0, 0.0)
    pieces = [piece for piece in sentence.pieces if piece.end_ms <= room_ms]
    end_ms = pieces[-1].end_ms if pieces else 0.0
    return takes[:, : round(end_ms * SAMPLES_PER_MS)], Sentence(pieces, 0.0, end_ms)
