"""Windows → batches: token targets as in Whisper's own training, character targets for CTC, spans that guide attention.

A batch is a function of its seeds, its size and the training's progress, on which depends how hard the windows are:
CURRICULA hold the whole policy. Where steps are counted, a resumed run sees what an unbroken one would have seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training import sounds
from training.logmel import N_BINS, NUM_WARPS, RIPPLE_BANDS, RIPPLE_SAMPLES
from training.model import ModelSize
from training.tokenizer import TIMESTAMP_STEP_MS, Vocabulary
from training.voices import FLITE_VOICES, RELIABLE
from training.windows import SAMPLES_PER_MS, Piece, Window, WindowMaker, WindowPlan

IGNORED = -100
MAX_PROMPT_TOKENS = 223
PROMPT_SHARE = 0.12
"""Share of the batches with prompts; in the others no row is padded to a prompt's length."""
CHARACTERS = {character: number for number, character in enumerate("abcdefghijklmnopqrstuvwxyz' ", start=1)}
SPAN_MARGIN_MS = 40
FREQUENT = (*RELIABLE, *FLITE_VOICES)
"""Whom a grown model hears most: flite's voices are few, and slower to learn."""


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Which windows come, and how spoiled: lengths with weights, plan details, strength 0 to 1.

    repeat_share: windows of one voice that say the same again and again; parallel_share: windows of parallel clips;
    warp_share, colour_share: windows that another vocal tract speaks, and that come through an equaliser, for
    a strength of 1; max_holes: bands that a window may lack; ripple_db: how far single sounds may change in colour, for
    a strength of 1
    """

    lengths_ms: tuple[int, ...]
    weights: tuple[float, ...]
    max_sentences: int
    strength: float
    no_speech_share: float
    cut_share: float
    digits_share: float = 0.15
    frequent_voices: tuple[str, ...] = RELIABLE
    repeat_share: float = 0.0
    warp_share: float = 0.6
    colour_share: float = 0.5
    max_holes: int = 0
    ripple_db: float = 0.0
    parallel_share: float = 0.0


Curriculum = Callable[[float], Difficulty]
"""Progress of the training, 0 to 1 → what comes then."""


def from_nothing(progress: float) -> Difficulty:
    """Short single clips until letters and sounds are aligned, then ever longer windows, then mostly full ones."""
    strength = min(0.75, 0.1 + max(0.0, progress - 0.08) * 1.6)
    if progress < 0.08:
        return Difficulty((3000, 5000), (2, 1), 1, strength, 0.02, 0.0)
    if progress < 0.35:
        return Difficulty((3000, 5000, 8000), (1, 2, 1.5), 4, strength, 0.04, 0.05)
    if progress < 0.5:
        return Difficulty((4000, 8000, 15000, 30000), (1, 1.5, 1.5, 1), 20, strength, 0.06, 0.1)
    return Difficulty((4000, 10000, 20000, 30000), (0.5, 1, 1, 3), 20, strength, 0.06, 0.1)


GROWN = Difficulty(
    lengths_ms=(6000, 10000, 20000, 30000),
    weights=(1, 1, 1, 2),
    max_sentences=20,
    strength=0.6,
    no_speech_share=0.06,
    cut_share=0.08,
    digits_share=0.08,
    frequent_voices=FREQUENT,
    repeat_share=0.05,
    warp_share=1.2,
    colour_share=1.2,
    max_holes=2,
    ripple_db=10.0,
)


def grown(progress: float) -> Difficulty:
    """For a model that hears sounds already and learns words: moderate windows, mostly full ones in the last third."""
    now = replace(GROWN, strength=min(GROWN.strength, 0.2 + 0.6 * progress))
    if progress >= 0.65:
        return now
    return replace(
        now,
        lengths_ms=(6000, 10000, 15000, 30000),
        weights=(2, 4, 2, 1),
        no_speech_share=0.02,
        cut_share=0.05,
        digits_share=0.06,
    )


def adopted(_progress: float) -> Difficulty:
    """For a finished model that learns further voices: everything at once, parallel clips, which hold flite's
    voices, in three windows of ten.
    """
    return replace(
        GROWN,
        lengths_ms=(5000, 8000, 15000, 30000),
        weights=(3, 3, 2, 1),
        strength=0.4,
        no_speech_share=0.02,
        cut_share=0.05,
        digits_share=0.06,
        frequent_voices=RELIABLE,
        parallel_share=0.3,
    )


CURRICULA: dict[str, Curriculum] = {"from-nothing": from_nothing, "grown": grown, "adopted": adopted}


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's data.

    pcm, plain: (batch, n_samples) float32, what is heard, and the same unspoiled and by the plain voice; warps:
    (batch,) int64; gains: (batch, N_BINS) float32; ripples: (batch, RIPPLE_BANDS, n_knots) float32; tokens, labels:
    (batch, n_ctx) int64; spans: (batch, n_ctx, 2) int64, encoder positions, -1 where unguided;
    characters: (total,) int64 with lengths (batch,).
    """

    pcm: Tensor
    plain: Tensor
    warps: Tensor
    gains: Tensor
    ripples: Tensor
    tokens: Tensor
    labels: Tensor
    spans: Tensor
    characters: Tensor
    character_lengths: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Target:
    """What the decoder sees, what it should say next, and where that is heard (ms, or None)."""

    tokens: list[int]
    labels: list[int]
    spans_ms: list[tuple[float, float] | None]


def sentence_tokens(vocabulary: Vocabulary, pieces: list[Piece]) -> list[tuple[int, tuple[float, float]]]:
    """Ids of the pieces, each with the time at which it is said."""
    return [(token, (p.start_ms, p.end_ms)) for p in pieces for token in vocabulary.word(p.text)]


def target_of(window: Window, vocabulary: Vocabulary, rng: random.Random) -> Target:
    """Timestamp mode mostly, plain mode now and then; <|nospeech|> right after the start where nobody speaks."""
    is_plain = rng.random() < 0.22
    if not window.sentences:
        first = vocabulary.no_timestamps if is_plain else vocabulary.timestamp(rng.uniform(0, 1000))
        if rng.random() < 0.3:
            first = vocabulary.no_speech
        return Target([vocabulary.start, first], [vocabulary.no_speech, vocabulary.end], [None, None])
    said: list[tuple[int, tuple[float, float] | None]] = []
    for sentence in window.sentences:
        words = sentence_tokens(vocabulary, sentence.pieces)
        start, end = sentence.start_ms, sentence.end_ms
        edges = (
            (vocabulary.timestamp(start), (start - 60, start + 60)),
            (vocabulary.timestamp(end), (end - 60, end + 60)),
        )
        said += words if is_plain else [edges[0], *words, edges[1]]
    said.append((vocabulary.end, None))
    first_start = vocabulary.timestamp(window.sentences[0].start_ms)
    if is_plain:
        said.insert(0, (first_start, None))
    tokens = [vocabulary.start, *(token for token, _ in said[:-1])]
    if is_plain:
        tokens[1] = vocabulary.no_timestamps
    return Target(tokens, [token for token, _ in said], [span for _, span in said])


def with_prompt(target: Target, prompt: list[int], vocabulary: Vocabulary) -> Target:
    """The target after <|startofprev|> and some earlier text, which is not to be learned by heart."""
    head = [vocabulary.start_of_previous, *prompt[-MAX_PROMPT_TOKENS:]]
    unguided: list[tuple[float, float] | None] = [None] * len(head)
    return Target(head + target.tokens, [IGNORED] * len(head) + target.labels, unguided + target.spans_ms)


def character_ids(window: Window) -> list[int]:
    """CTC target of everything said in the window."""
    text = " ".join(sentence.text for sentence in window.sentences).lower()
    return [CHARACTERS[character] for character in text if character in CHARACTERS]


class BatchMaker:
    """Makes the batch of any step."""

    def __init__(
        self,
        windows: WindowMaker,
        vocabulary: Vocabulary,
        prompts: list[str],
        size: ModelSize,
        curriculum: Curriculum = from_nothing,
    ) -> None:
        self._windows, self._vocabulary, self._prompts, self._size = windows, vocabulary, prompts, size
        self._curriculum = curriculum

    def batch(self, seeds: tuple[str, str], progress: float, n_positions: int) -> Batch:
        """Windows of one length whose encoder positions add up to about `n_positions`.

        Seeds: of the step, which decides the length for all processes, and of this process.
        """
        now = self._curriculum(progress)
        length_ms = random.Random(seeds[0]).choices(now.lengths_ms, now.weights)[0]
        rng = random.Random("-".join(seeds))
        plan = WindowPlan(
            length_ms,
            now.max_sentences,
            no_speech_share=now.no_speech_share,
            cut_share=now.cut_share,
            digits_share=now.digits_share,
            repeat_share=now.repeat_share,
            frequent_voices=now.frequent_voices,
            parallel_share=now.parallel_share,
            max_pause_ms=min(3000, length_ms // 8),
        )
        count = max(1, n_positions * TIMESTAMP_STEP_MS // length_ms)
        windows = [self._windows.window(rng, plan) for _ in range(count)]
        has_prompts = rng.random() < PROMPT_SHARE
        targets = [self._target(window, has_prompts, rng) for window in windows]
        heard = [self._spoiled(window, now, rng) for window in windows]
        characters = [character_ids(window) for window in windows]
        tokens, labels, spans = self._padded(targets)
        warp_share, ripple_db = now.warp_share * now.strength, now.ripple_db * now.strength
        num_knots = length_ms * SAMPLES_PER_MS // RIPPLE_SAMPLES + 1
        return Batch(
            torch.from_numpy(np.stack([pcm for pcm, _ in heard])),
            torch.from_numpy(np.stack([window.plain for window in windows])),
            torch.tensor([rng.randrange(NUM_WARPS) if rng.random() < warp_share else 0 for _ in windows]),
            torch.from_numpy(np.stack([gain for _, gain in heard])),
            torch.from_numpy(np.stack([sounds.ripples(rng, RIPPLE_BANDS, num_knots, ripple_db) for _ in windows])),
            tokens,
            labels,
            spans,
            torch.tensor([number for one in characters for number in one], dtype=torch.long),
            torch.tensor([len(one) for one in characters]),
        )

    def _target(self, window: Window, may_have_prompt: bool, rng: random.Random) -> Target:
        target = target_of(window, self._vocabulary, rng)
        if may_have_prompt and rng.random() < 0.7:
            texts = (rng.choice(self._prompts) for _ in range(rng.randint(1, 20)))
            prompt = [token for text in texts for token in self._vocabulary.word(" " + text)]
            room = self._size.n_text_ctx - len(target.tokens) - 1
            target = with_prompt(target, prompt[-room:], self._vocabulary)
        return target

    def _spoiled(self, window: Window, now: Difficulty, rng: random.Random) -> tuple[sounds.Wave, sounds.Wave]:
        """The window's wave at some level with room, telephone and noise, and its spectral gain."""
        pcm, strength = window.pcm, now.strength
        if window.sentences and rng.random() < 0.12 * strength:
            pcm = sounds.in_room(rng, pcm)
        is_telephone = rng.random() < 0.07 * strength
        if is_telephone:
            pcm = sounds.over_telephone(pcm)
        if window.sentences and rng.random() < 0.5 * strength:
            pcm = sounds.with_noise(rng, pcm, rng.uniform(5, 40))
        pcm = pcm * np.float32(10 ** (rng.uniform(-22, 6) * strength / 20))
        gain = np.ones(N_BINS, np.float32)
        if is_telephone or rng.random() < now.colour_share * strength:
            gain = sounds.spectral_gain(rng, N_BINS, is_telephone)
        return pcm, gain * sounds.spectral_holes(rng, N_BINS, now.max_holes)

    def _padded(self, targets: list[Target]) -> tuple[Tensor, Tensor, Tensor]:
        longest = max(len(target.tokens) for target in targets)
        tokens = torch.full((len(targets), longest), self._vocabulary.end)
        labels = torch.full((len(targets), longest), IGNORED)
        spans = torch.full((len(targets), longest, 2), -1)
        for row, target in enumerate(targets):
            tokens[row, : len(target.tokens)] = torch.tensor(target.tokens)
            labels[row, : len(target.labels)] = torch.tensor(target.labels)
            for column, span in enumerate(target.spans_ms):
                if span is not None:
                    first = max(0.0, span[0] - SPAN_MARGIN_MS) // TIMESTAMP_STEP_MS
                    spans[row, column, 0] = int(first)
                    spans[row, column, 1] = int((span[1] + SPAN_MARGIN_MS) // TIMESTAMP_STEP_MS)
        return tokens, labels, spans
