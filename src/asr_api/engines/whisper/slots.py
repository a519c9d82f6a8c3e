"""The windows being decoded: what each has been told, what it has said, and when it is done.

In go jobs and the logits of one step, out come the next tokens to feed and the transcripts of windows that finished.
A window's prompt is fed token by token through the same step as everything else, so windows at any stage share a batch,
and the step on <|startoftranscript|> gives language and no-speech probability for free. Knows nothing about how logits
come about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.protocol import SAMPLE_RATE_HZ, FinishedJob, WindowJob
from asr_api.engines.whisper.rules import History, Rules, log_sum_exp
from asr_api.engines.whisper.spec import WhisperSpec
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import TranscribeOptions
from asr_api.text.languages import language_code
from asr_api.text.quality import is_no_speech
from asr_api.text.timestamps import closed_part, segments_of, spans_of
from asr_api.text.tokenizer import Tokenizer
from asr_api.transcript import Quality, WindowTranscript

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# A window is resumed only if the pass got somewhere, and only if what is left can hold a word.
MIN_PROGRESS_MS = 1000
MIN_REST_MS = 100
# Placeholder in a prompt for the language that the first step will tell.
TO_BE_DETECTED = -1


@dataclass(slots=True, eq=False)
class Slot:
    """One window in the batch. num_fed: how many tokens, of the prompt and then of its own, the decoder has seen."""

    job_id: int
    audio_ms: int
    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    num_fed: int = 0
    sum_logprobs: float = 0.0
    no_speech_probability: float = 0.0

    @property
    def next_token(self) -> int:
        rest = self.num_fed - len(self.prompt)
        return self.prompt[self.num_fed] if rest < 0 else self.tokens[rest]

    @property
    def is_prompted(self) -> bool:
        """True when the step to come, or just taken, is answered by a token of the window's own."""
        return self.num_fed >= len(self.prompt)


class SlotTable:
    """Rows 0 … len-1 are in use; a row that is freed is filled by the last one."""

    def __init__(self, spec: WhisperSpec, tokenizer: Tokenizer, max_new_tokens: int) -> None:
        """Raises CheckpointError when the tokenizer is another model's."""
        if tokenizer.stamp_begin >= spec.n_vocab or (spec.is_multilingual and not tokenizer.languages):
            raise CheckpointError(
                f"The checkpoint's tokenizer has {len(tokenizer.languages)} languages and timestamps from "
                f"{tokenizer.stamp_begin} on, which do not fit its vocabulary of {spec.n_vocab}; "
                "fetch the checkpoint again, whole."
            )
        self._spec = spec
        self._tokenizer = tokenizer
        self._max_new_tokens = max_new_tokens
        self._rules = Rules(spec, end=tokenizer.end, no_timestamps=tokenizer.no_timestamps)
        self._language_of = {token: code for code, token in tokenizer.languages.items()}
        self._language_tokens = np.array(sorted(self._language_of), np.int64)
        self._slots: list[Slot] = []

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self._tokenizer.languages) if self._spec.is_multilingual else ("en",)

    def prompt_for(self, options: TranscribeOptions) -> list[int]:
        """The tokens a window starts with; raises InvalidParameter for what the checkpoint cannot do."""
        tokenizer = self._tokenizer
        code = self._spec.language if options.language is None else language_code(options.language)
        if code is not None and code not in self.languages:
            raise InvalidParameter(
                f"language is {code}, which this model does not know; it knows {', '.join(self.languages)}."
            )
        task = tokenizer.translate if options.task == "translate" else tokenizer.transcribe
        if options.task == "translate" and (task is None or not self._spec.is_multilingual):
            raise InvalidParameter("task is translate, and this model is English-only; use transcribe.")
        if not self._spec.is_multilingual:
            return [tokenizer.start]
        language = TO_BE_DETECTED if code is None else tokenizer.languages[code]
        return [tokenizer.start, language] + ([] if task is None else [task])

    def add(self, job: WindowJob) -> None:
        audio_ms = len(job.pcm) * 1000 // SAMPLE_RATE_HZ
        self._slots.append(Slot(job.job_id, audio_ms, self.prompt_for(job.options)))

    def row_of(self, job_id: int) -> int | None:
        return next((row for row, slot in enumerate(self._slots) if slot.job_id == job_id), None)

    def free(self, row: int) -> int:
        """Frees a row and returns the one whose window moves there: the last, maybe `row` itself."""
        last = self._slots.pop()
        if row < len(self._slots):
            self._slots[row] = last
        return len(self._slots)

    def next_tokens(self) -> Integers:
        return np.array([slot.next_token for slot in self._slots], np.int64)

    def positions(self) -> Integers:
        return np.array([slot.num_fed for slot in self._slots], np.int64)

    def take(self, logits: Floats) -> list[FinishedJob]:
        """What the step on `next_tokens` led to; finished windows stay in their rows until they are freed.

        logits: (rows, n_vocab) float32; overwritten
        """
        for row, slot in enumerate(self._slots):
            if slot.num_fed == 0:
                self._read_start(slot, logits[row])
            slot.num_fed += 1
        rows = [row for row, slot in enumerate(self._slots) if slot.is_prompted]
        if not rows:
            return []
        sampling = [self._slots[row] for row in rows]
        history = History.of([slot.tokens for slot in sampling], self._tokenizer.stamp_begin)
        choice = self._rules.choose(logits if len(rows) == len(logits) else logits[rows], history)
        finished = []
        for slot, token, logprob in zip(sampling, choice.tokens, choice.logprobs, strict=True):
            slot.sum_logprobs += float(logprob)
            if token != self._tokenizer.end:
                slot.tokens.append(int(token))
            transcript = self._transcript(slot, is_ended=bool(token == self._tokenizer.end))
            if transcript is not None:
                finished.append(FinishedJob(slot.job_id, transcript))
        return finished

    def _read_start(self, slot: Slot, logits: Floats) -> None:
        """What the position of <|startoftranscript|> tells, before any rule."""
        total = log_sum_exp(logits[None])[0]
        slot.no_speech_probability = float(np.exp(logits[self._tokenizer.no_speech] - total))
        if len(slot.prompt) > 1 and slot.prompt[1] == TO_BE_DETECTED:
            likeliest = logits[self._language_tokens].argmax()
            slot.prompt[1] = int(self._language_tokens[likeliest])

    def _transcript(self, slot: Slot, *, is_ended: bool) -> WindowTranscript | None:
        """The transcript if the window is done with this pass.

        Past MAX_NEW_TOKENS a pass ends as soon as there is something to resume from. Where nothing closes until the
        decoder's last position, whatever was said is returned as it is: no text is lost and no window goes on for ever.
        """
        if is_ended:
            return self._finish(slot, slot.tokens, None)
        is_exhausted = len(slot.prompt) + len(slot.tokens) >= self._spec.n_text_ctx
        if len(slot.tokens) < self._max_new_tokens and not is_exhausted:
            return None
        closed = closed_part(slot.tokens, self._tokenizer.stamp_begin)
        if closed is not None and closed.end_ms > slot.audio_ms - MIN_REST_MS:  # all audio is accounted for
            return self._finish(slot, slot.tokens[: closed.num_tokens], None)
        if closed is not None and closed.end_ms >= MIN_PROGRESS_MS:
            return self._finish(slot, slot.tokens[: closed.num_tokens], closed.end_ms)
        return self._finish(slot, slot.tokens, None) if is_exhausted else None

    def _finish(self, slot: Slot, tokens: Sequence[int], resume_ms: int | None) -> WindowTranscript:
        tokenizer = self._tokenizer
        mean_logprob = slot.sum_logprobs / (len(slot.tokens) + 1)
        is_silent = is_no_speech(slot.no_speech_probability, mean_logprob)
        quality = Quality(mean_logprob=mean_logprob, no_speech_probability=slot.no_speech_probability)
        segments = tuple(
            replace(segment, quality=quality)
            for segment in segments_of(
                spans_of(tokens, [0.0] * len(tokens), tokenizer.stamp_begin, slot.audio_ms), tokenizer.decode
            )
        )
        return WindowTranscript(
            segments=() if is_silent else segments,
            language=self._language_of.get(slot.prompt[1]) if self._spec.is_multilingual else "en",
            num_tokens=len(slot.tokens),
            resume_ms=None if is_silent else resume_ms,
            omitted=segments if is_silent else (),
        )
