"""One pass over a window: rows written token by token, side by side, until each is done.

In go the logits of a step over many passes, out come the tokens to feed next and, at the end, candidates. A pass is greedy
(one row), sampled (some rows with a chance of their own) or a beam search. Knows nothing about how logits come about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from asr_api.engines.whisper.beam_search import BeamSearch
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.fallback import BEST_OF, Candidate
from asr_api.engines.whisper.logit_filters import Floats, Integers, LogitFilters, TokenHistory, log_sum_exp
from asr_api.engines.whisper.quality import LOOP_CHECK_TOKENS, ends_in_loop
from asr_api.engines.whisper.sampling import greedy, sample, sample_rngs
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.timestamps import closed_part
from asr_api.engines.whisper.tokenizer import Tokenizer

# A window is resumed only if the pass got somewhere, and only if what is left can hold a word.
MIN_PROGRESS_MS = 1000
MIN_REST_MS = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """end, timestamp_begin: token ids; n_text_ctx: the decoder's positions; max_new_tokens: of a pass, where it can end"""

    end: int
    timestamp_begin: int
    n_text_ctx: int
    max_new_tokens: int


@dataclass(slots=True, eq=False)
class Row:
    """candidate: None while it is being written"""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    sum_logprob: float = 0.0
    candidate: Candidate | None = None


class SamplingPass:
    """DecodeState that know nothing of each other: one that is greedy, or samples."""

    def __init__(self, slot: Slot, limits: Limits) -> None:
        self.slot = slot
        self._limits = limits
        self.temperature = slot.temperature
        self._dice = (
            sample_rngs(slot.job.pcm, slot.prompt.tokens, self.temperature, BEST_OF) if self.temperature else []
        )
        self._rows = [Row() for _ in range(max(1, len(self._dice)))]

    @property
    def tokens(self) -> list[list[int]]:
        """What each row said; every pass has at least one row."""
        return [row.tokens for row in self._rows]

    @property
    def next_tokens(self) -> list[int]:
        """To feed; rows that are done are fed, too, and what follows is ignored."""
        return [row.tokens[-1] if row.tokens else self._limits.end for row in self._rows]

    @property
    def positions(self) -> list[int]:
        """Where the next tokens stand. What the prompt left in the caches is never overwritten."""
        num_before = len(self.slot.prompt.tokens) - 1
        return [num_before + max(1, len(row.tokens)) for row in self._rows]

    @property
    def is_done(self) -> bool:
        return all(row.candidate is not None for row in self._rows)

    @property
    def candidates(self) -> list[Candidate]:
        return [row.candidate for row in self._rows if row.candidate is not None]

    def roll(self) -> list[float]:
        """A number in [0, 1) for each row."""
        return [each.random() for each in self._dice]

    def take(self, tokens: Sequence[int], logprobs: Sequence[float]) -> None:
        """One more token for each row."""
        for row, token, logprob in zip(self._rows, tokens, logprobs, strict=True):
            if row.candidate is None:
                self._take(row, token, logprob)

    def _take(self, row: Row, token: int, logprob: float) -> None:
        if not math.isfinite(logprob):
            row.candidate = Candidate(
                tuple(row.tokens), tuple(row.logprobs), row.sum_logprob, len(row.tokens), is_whole=False
            )
            return
        row.sum_logprob += logprob
        is_ended = token == self._limits.end
        if not is_ended:
            row.tokens.append(token)
            row.logprobs.append(logprob)
        row.candidate = _candidate(self.slot, self._limits, row, is_ended=is_ended)


class BeamSearchPass:
    """DecodeState that continue each other; what is done with their caches follows `parents`."""

    def __init__(self, slot: Slot, limits: Limits, beam_size: int) -> None:
        self.slot = slot
        self.parents: Integers = np.arange(beam_size)
        self.temperature = 0.0
        self._limits = limits
        num_before = len(slot.prompt.tokens)
        self._beams = BeamSearch(beam_size, end=limits.end, max_tokens=limits.n_text_ctx - num_before)
        # What the rules left after each text: beams compare without it, the verdict is by what OpenAI compares with.
        self._kept: dict[tuple[int, ...], float] = {}
        self.candidates: list[Candidate] = []

    @property
    def tokens(self) -> list[list[int]]:
        return self._beams.tokens

    @property
    def next_tokens(self) -> list[int]:
        return [row[-1] if row else self._limits.end for row in self._beams.tokens]

    @property
    def positions(self) -> list[int]:
        num_before = len(self.slot.prompt.tokens) - 1
        return [num_before + max(1, len(row)) for row in self._beams.tokens]

    @property
    def is_done(self) -> bool:
        return bool(self.candidates)

    def advance(self, logprobs: Floats, kept: Floats) -> None:
        """One more token for each row.

        logprobs: (beam_size, n_vocab) float32, log-softmax of the raw logits, then -inf where rules forbid
        kept:     (beam_size,) log-probability of all that the rules left
        """
        if self.is_done:
            return
        is_broken = not np.isfinite(kept).all()
        if not is_broken:
            self._kept.update(zip(map(tuple, self._beams.tokens), kept.tolist(), strict=True))
            self.parents = self._beams.advance(logprobs).parents
        best = self._beams.best()
        num_scored = len(best.tokens) + best.is_ended
        kept_sum = sum(self._kept.get(best.tokens[:size], 0.0) for size in range(num_scored))
        row = Row(list(best.tokens), list(best.logprobs), best.sum_logprob - kept_sum)
        if is_broken:
            self.candidates = [Candidate(best.tokens, best.logprobs, row.sum_logprob, len(best.tokens), is_whole=False)]
            return
        is_past_limit = len(self._beams.tokens[0]) >= self._limits.max_new_tokens
        if self._beams.is_done or is_past_limit:
            candidate = _candidate(self.slot, self._limits, row, is_ended=best.is_ended)
            self.candidates = [candidate] if candidate else []


Pass = SamplingPass | BeamSearchPass


class TokenStepper:
    """Writes passes, as many at once as there are. Their kinds are not mixed in one call."""

    def __init__(self, config: WhisperConfig, tokenizer: Tokenizer, *, max_new_tokens: int, beam_size: int) -> None:
        self._limits = Limits(tokenizer.end, tokenizer.timestamp_begin, config.n_text_ctx, max_new_tokens)
        self._rules = LogitFilters(config, end=tokenizer.end, no_timestamps=tokenizer.no_timestamps)
        self._beam_size = beam_size

    def open(self, slot: Slot) -> Pass:
        """A pass at the window's temperature, with the first token of each row."""
        if slot.first_logits is None:
            raise ValueError("a pass needs what follows the prompt; this is a bug")
        is_beams = slot.temperature == 0 and self._beam_size > 1
        one = BeamSearchPass(slot, self._limits, self._beam_size) if is_beams else SamplingPass(slot, self._limits)
        self.write([one], np.tile(slot.first_logits, (len(one.tokens), 1)))
        return one

    def write(self, passes: Sequence[Pass], logits: Floats) -> None:
        """One more token for each row of each pass. logits: (rows of all passes in turn, n_vocab); overwritten"""
        texts = [tokens for each in passes for tokens in each.tokens]
        has_timestamps = [each.slot.has_timestamps for each in passes for _ in each.tokens]
        history = TokenHistory.of(texts, self._limits.timestamp_begin, has_timestamps)
        beams = [each for each in passes if isinstance(each, BeamSearchPass)]
        if beams:
            self._advance(beams, logits, history)
            return
        rows = [each for each in passes if isinstance(each, SamplingPass)]
        self._rules.mask(logits, history)
        uniforms = [number for each in rows for number in each.roll()]
        temperatures = [each.temperature for each in rows for _ in each.tokens]
        choice = sample(logits, temperatures, uniforms) if uniforms else greedy(logits)
        tokens, logprobs = choice.tokens.tolist(), choice.logprobs.tolist()
        for each in rows:
            num = len(each.tokens)
            each.take(tokens[:num], logprobs[:num])
            del tokens[:num], logprobs[:num]

    def _advance(self, passes: Sequence[BeamSearchPass], logits: Floats, history: TokenHistory) -> None:
        with np.errstate(invalid="ignore"):
            logits -= log_sum_exp(logits)[:, None]
        self._rules.mask(logits, history)
        kept = log_sum_exp(logits)
        size = self._beam_size
        for index, each in enumerate(passes):
            rows = slice(index * size, (index + 1) * size)
            each.advance(logits[rows], kept[rows])


def _candidate(slot: Slot, limits: Limits, row: Row, *, is_ended: bool) -> Candidate | None:
    """What a row wrote, if it is done with this pass.

    Past max_new_tokens a pass ends as soon as there is something to resume from. Where nothing closes until the
    decoder's last position, whatever was said is returned as it is: no window goes on for ever. A loop is left early,
    where there is another temperature to try.
    """
    text = tuple(row.tokens), tuple(row.logprobs), row.sum_logprob
    if is_ended:
        return Candidate(*text, num_kept=len(row.tokens))
    is_checked = slot.has_another_try and len(row.tokens) % LOOP_CHECK_TOKENS == 0
    if is_checked and ends_in_loop([token for token in row.tokens if token < limits.end]):
        return Candidate(*text, num_kept=len(row.tokens), is_whole=False)
    is_exhausted = len(slot.prompt.tokens) + len(row.tokens) >= limits.n_text_ctx
    if len(row.tokens) < limits.max_new_tokens and not is_exhausted:
        return None
    closed = closed_part(row.tokens, limits.timestamp_begin) if slot.has_timestamps else None
    if closed is not None and closed.end_ms > slot.audio_ms - MIN_REST_MS:  # all audio is accounted for
        return Candidate(*text, num_kept=closed.num_tokens)
    if closed is not None and closed.end_ms >= MIN_PROGRESS_MS:
        return Candidate(*text, num_kept=closed.num_tokens, resume_ms=closed.end_ms)
    return Candidate(*text, num_kept=len(row.tokens), is_whole=False) if is_exhausted else None
