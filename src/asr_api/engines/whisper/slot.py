"""A window in work, from its prompt to its transcript.

In go what passes over the window wrote, out comes whether it is tried again, or its transcript. What a window says is
its own affair: nothing here knows about batches, models or how logits come about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from asr_api.engines.protocol import WindowJob
from asr_api.engines.whisper.fallback import Attempt, Candidate, assess, best_attempt, best_sample
from asr_api.engines.whisper.logit_filters import Floats
from asr_api.engines.whisper.prompt import Prompt
from asr_api.engines.whisper.timestamps import TokenSpan, segments_of, spans_of
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.transcript import LanguageGuess, Segment, WindowTranscript, Word


@dataclass(slots=True, eq=False)
class Slot:
    """One window.

    first_logits: (n_vocab,) after the whole prompt: every try begins with them
    tries:        the best of each temperature so far
    """

    job: WindowJob
    prompt: Prompt
    guesses: tuple[LanguageGuess, ...] = ()
    no_speech_probability: float = 0.0
    first_logits: Floats | None = None
    tries: list[Attempt] = field(default_factory=list)

    @property
    def audio_ms(self) -> int:
        return len(self.job.pcm) * 1000 // SAMPLE_RATE_HZ

    @property
    def has_timestamps(self) -> bool:
        return self.job.options.timestamps

    @property
    def temperature(self) -> float:
        """Of the try at hand."""
        return self._temperatures[len(self.tries)]

    @property
    def has_another_try(self) -> bool:
        return len(self.tries) + 1 < len(self._temperatures)

    @property
    def _temperatures(self) -> list[float]:
        return sorted({*self.job.options.temperatures}) or [0.0]


class TranscriptBuilder:
    """What is made of the text of a window."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def settle(self, slot: Slot, candidates: Sequence[Candidate]) -> Attempt | None:
        """The attempt that is kept, after a pass; None when the window is to be tried at its next temperature."""
        has_another_try = slot.has_another_try
        attempts = [
            assess(candidate, self._tokenizer, slot.temperature, slot.no_speech_probability) for candidate in candidates
        ]
        attempt = best_sample(attempts)
        if attempt.passes:
            return attempt
        slot.tries.append(attempt)
        return None if has_another_try else best_attempt(slot.tries)

    def spans(self, slot: Slot, attempt: Attempt) -> tuple[TokenSpan, ...]:
        """The text that is kept, by segment; none of them blank."""
        candidate, tokenizer = attempt.candidate, self._tokenizer
        tokens, logprobs = candidate.tokens[: candidate.num_kept], candidate.logprobs[: candidate.num_kept]
        if not slot.has_timestamps:  # what a model writes of them all the same does not count
            kept = [index for index, token in enumerate(tokens) if token < tokenizer.end]
            tokens, logprobs = tuple(tokens[index] for index in kept), tuple(logprobs[index] for index in kept)
        spans = spans_of(tokens, logprobs, tokenizer.timestamp_begin, slot.audio_ms)
        return tuple(span for span in spans if tokenizer.decode(span.tokens).strip())

    def transcript(self, slot: Slot, attempt: Attempt, words: Sequence[tuple[Word, ...]] = ()) -> WindowTranscript:
        """Text that begins where the audio is over is omitted, for nobody spoke there.

        words: of each of `spans`, or nothing
        """
        spans, quality = self.spans(slot, attempt), attempt.quality
        segments = tuple(
            Segment(segment.start_ms, segment.end_ms, segment.text, words[index] if words else (), quality)
            for index, segment in enumerate(segments_of(spans, self._tokenizer.decode))
        )
        is_silent = "no_speech" in quality.doubts
        spoken = tuple(segment for segment in segments if not is_silent and segment.start_ms < slot.audio_ms)
        unspoken = quality if is_silent else replace(quality, doubts=(*quality.doubts, "no_speech"))
        omitted = tuple(replace(segment, quality=unspoken) for segment in segments[len(spoken) :])
        if not segments and not attempt.candidate.is_whole:  # nothing was written, and not because nobody spoke
            omitted = (Segment(0, slot.audio_ms, "", quality=quality),)
        return WindowTranscript(
            segments=spoken,
            language=slot.prompt.language,
            guesses=slot.guesses,
            num_tokens=len(attempt.candidate.tokens),
            resume_ms=None if is_silent else attempt.candidate.resume_ms,
            omitted=omitted,
        )
