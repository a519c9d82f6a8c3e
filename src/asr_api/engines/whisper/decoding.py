"""Token-by-token decoding of windows: greedy, sampled and beam search passes, and when a pass is done.

A pass is one decoding of a window at one temperature, with one or several rows. `TokenStepper` takes the logits of a
step over many passes and adds the next token to each row; a finished pass has candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from asr_api.engines.whisper.arrays import Floats, Integers
from asr_api.engines.whisper.beam_search import BeamSearch
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.fallback import BEST_OF, Candidate
from asr_api.engines.whisper.logit_filters import LogitFilters, TokenHistory, log_sum_exp
from asr_api.engines.whisper.quality import LOOP_CHECK_TOKENS, ends_in_loop
from asr_api.engines.whisper.sampling import greedy, sample, sample_rngs
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.timestamps import MIN_PROGRESS_MS, MIN_REST_MS, closed_part
from asr_api.engines.whisper.token_kinds import TokenKinds
from asr_api.engines.whisper.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a pass ends."""

    kinds: TokenKinds
    n_text_ctx: int  # the decoder's positions
    max_new_tokens: int  # the pass ends at the first point after it from which the window can be resumed


@dataclass(slots=True, eq=False)
class Row:
    """tokens: sampled, the end excluded; sum_logprobs: of the tokens and of the end"""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    sum_logprobs: float = 0.0

    def candidate(
        self, num_kept: int | None = None, resume_ms: int | None = None, *, is_whole: bool = True
    ) -> Candidate:
        num_kept = len(self.tokens) if num_kept is None else num_kept
        return Candidate(tuple(self.tokens), tuple(self.logprobs), self.sum_logprobs, num_kept, resume_ms, is_whole)


class Pass:
    """One decoding of a window at one temperature. tokens: of each row, at least one, prompt and end excluded"""

    def __init__(self, slot: Slot, limits: Limits, num_rows: int) -> None:
        self.slot = slot
        self.temperature = slot.temperature
        self.tokens: list[list[int]] = [[] for _ in range(num_rows)]
        self._limits = limits
        self._candidates: list[Candidate | None] = [None] * num_rows

    @property
    def next_tokens(self) -> list[int]:
        """To feed; finished rows are fed, too, and their logits are ignored."""
        return [row[-1] if row else self._limits.kinds.end for row in self.tokens]

    @property
    def positions(self) -> list[int]:
        """Of the next tokens. They never overwrite the prompt in the KV cache."""
        num_before = len(self.slot.prompt.tokens) - 1
        return [num_before + max(1, len(row)) for row in self.tokens]

    @property
    def is_done(self) -> bool:
        return all(candidate is not None for candidate in self._candidates)

    @property
    def candidates(self) -> list[Candidate]:
        return [candidate for candidate in self._candidates if candidate is not None]

    def _candidate(self, row: Row, *, is_ended: bool) -> Candidate | None:
        """The candidate of a row that is done; None while it continues.

        Past max_new_tokens a pass ends as soon as there is a point to resume from. If no segment closes until the
        decoder's last position, the text is returned as it is, so no window is decoded without end. A loop ends the
        pass early if there is another temperature to try.
        """
        slot, limits = self.slot, self._limits
        if is_ended:
            return row.candidate()
        is_checked = slot.has_next_temperature and len(row.tokens) % LOOP_CHECK_TOKENS == 0
        if is_checked and ends_in_loop([token for token in row.tokens if limits.kinds.is_text(token)]):
            return row.candidate(is_whole=False)
        is_exhausted = len(slot.prompt.tokens) + len(row.tokens) >= limits.n_text_ctx
        if len(row.tokens) < limits.max_new_tokens and not is_exhausted:
            return None
        closed = closed_part(row.tokens, limits.kinds.timestamps) if slot.has_timestamps else None
        if closed is not None and closed.end_ms > slot.audio_ms - MIN_REST_MS:  # the text covers all of the audio
            return row.candidate(closed.num_tokens)
        if closed is not None and closed.end_ms >= MIN_PROGRESS_MS:
            return row.candidate(closed.num_tokens, closed.end_ms)
        return row.candidate(is_whole=False) if is_exhausted else None


class SamplingPass(Pass):
    """One greedy row, or several sampled rows that are independent of each other."""

    def __init__(self, slot: Slot, limits: Limits) -> None:
        super().__init__(slot, limits, BEST_OF if slot.temperature else 1)
        self._rngs = (
            sample_rngs(slot.job.pcm, slot.prompt.tokens, self.temperature, BEST_OF) if self.temperature else []
        )
        self._rows = [Row(tokens) for tokens in self.tokens]

    def draw_uniforms(self) -> list[float]:
        """A number in [0, 1) for each row; none where the row is greedy."""
        return [rng.random() for rng in self._rngs]

    def append_tokens(self, tokens: Sequence[int], logprobs: Sequence[float]) -> None:
        """One more token for each row."""
        for index, (token, logprob) in enumerate(zip(tokens, logprobs, strict=True)):
            if self._candidates[index] is None:
                self._candidates[index] = self._append(self._rows[index], token, logprob)

    def _append(self, row: Row, token: int, logprob: float) -> Candidate | None:
        if not math.isfinite(logprob):
            return row.candidate(is_whole=False)
        row.sum_logprobs += logprob
        is_ended = token == self._limits.kinds.end
        if not is_ended:
            row.tokens.append(token)
            row.logprobs.append(logprob)
        return self._candidate(row, is_ended=is_ended)


class BeamSearchPass(Pass):
    """The rows of a beam search; after each step their KV caches are reordered by `parents`."""

    def __init__(self, slot: Slot, limits: Limits, beam_size: int) -> None:
        super().__init__(slot, limits, beam_size)
        self.parents: Integers = np.arange(beam_size)
        max_tokens = limits.n_text_ctx - len(slot.prompt.tokens)
        self._beams = BeamSearch(beam_size, end=limits.kinds.end, max_tokens=max_tokens)
        # Log-probability of all tokens that the filters left after each text. Beams are compared without it; quality is
        # measured with it, as in OpenAI's code.
        self._kept: dict[tuple[int, ...], float] = {}

    def advance(self, logprobs: Floats, kept: Floats) -> None:
        """One more token for each row.

        logprobs: (beam_size, n_vocab) float32, log-softmax of the raw logits, then -inf for filtered tokens
        kept:     (beam_size,) log-probability of all tokens that the filters left
        """
        if self.is_done:
            return
        is_broken = not np.isfinite(kept).all()
        if not is_broken:
            self._kept.update(zip(map(tuple, self.tokens), kept.tolist(), strict=True))
            self.parents = self._beams.advance(logprobs)
            self.tokens = self._beams.tokens
        best = self._beams.best()
        kept_sum = sum(self._kept.get(best.tokens[:size], 0.0) for size in range(best.num_scored))
        row = Row(list(best.tokens), list(best.logprobs), best.sum_logprobs - kept_sum)
        is_past_limit = len(self.tokens[0]) >= self._limits.max_new_tokens
        if is_broken:
            self._candidates = [row.candidate(is_whole=False)]
        elif self._beams.is_done or is_past_limit:
            self._candidates = [self._candidate(row, is_ended=best.is_ended)]


class TokenStepper:
    """Starts passes and advances them, many at once. One call never mixes sampling and beam search."""

    def __init__(self, config: WhisperConfig, tokenizer: Tokenizer, *, max_new_tokens: int, beam_size: int) -> None:
        self._limits = Limits(tokenizer.kinds, config.n_text_ctx, max_new_tokens)
        self._filters = LogitFilters(config, tokenizer.kinds)
        self._beam_size = beam_size

    def start(self, slot: Slot) -> Pass:
        """A pass at the window's temperature, with the first token of each row."""
        if slot.first_logits is None:
            raise ValueError("a pass needs the logits after the prompt; this is a bug")
        is_beam_search = slot.temperature == 0 and self._beam_size > 1
        started: Pass = (
            BeamSearchPass(slot, self._limits, self._beam_size) if is_beam_search else SamplingPass(slot, self._limits)
        )
        self.step([started], np.tile(slot.first_logits, (len(started.tokens), 1)))
        return started

    def step(self, passes: Sequence[Pass], logits: Floats) -> None:
        """One more token for each row of each pass. logits: (rows of all passes in turn, n_vocab); overwritten"""
        texts = [tokens for running in passes for tokens in running.tokens]
        has_timestamps = [running.slot.has_timestamps for running in passes for _ in running.tokens]
        history = TokenHistory.of(texts, self._limits.kinds.timestamps, has_timestamps)
        beam_passes = [running for running in passes if isinstance(running, BeamSearchPass)]
        if beam_passes:
            self._step_beams(beam_passes, logits, history)
            return
        sampling_passes = [running for running in passes if isinstance(running, SamplingPass)]
        self._filters.mask(logits, history)
        uniforms = [uniform for running in sampling_passes for uniform in running.draw_uniforms()]
        temperatures = [running.temperature for running in sampling_passes for _ in running.tokens]
        next_tokens = sample(logits, temperatures, uniforms) if uniforms else greedy(logits)
        tokens, logprobs = next_tokens.tokens.tolist(), next_tokens.logprobs.tolist()
        for running in sampling_passes:
            num = len(running.tokens)
            running.append_tokens(tokens[:num], logprobs[:num])
            del tokens[:num], logprobs[:num]

    def _step_beams(self, passes: Sequence[BeamSearchPass], logits: Floats, history: TokenHistory) -> None:
        with np.errstate(invalid="ignore"):
            logits -= log_sum_exp(logits)[:, None]
        self._filters.mask(logits, history)
        kept = log_sum_exp(logits)
        for index, running in enumerate(passes):
            rows = slice(index * self._beam_size, (index + 1) * self._beam_size)
            running.advance(logits[rows], kept[rows])
