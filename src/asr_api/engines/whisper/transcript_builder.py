"""Turns the candidates of a window into its transcript, or into the decision to decode it at the next temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.fallback import Attempt, Candidate, assess, best_attempt, best_sample
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.timestamps import segments_of
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.word_timestamps import timed_words
from asr_api.transcript import Segment, WindowTranscript, Word


class TranscriptBuilder:
    """The transcripts of one checkpoint."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def assess_candidates(self, slot: Slot, candidates: Sequence[Candidate]) -> Attempt | None:
        """The attempt to keep; None when the window is to be decoded at its next temperature."""
        has_next_temperature = slot.has_next_temperature
        attempts = [
            assess(candidate, self._tokenizer, slot.temperature, slot.no_speech_probability) for candidate in candidates
        ]
        attempt = best_sample(attempts)
        if attempt.passes:
            return attempt
        slot.attempts.append(attempt)
        return None if has_next_temperature else best_attempt(slot.attempts)

    def segments(self, slot: Slot, attempt: Attempt) -> tuple[Segment, ...]:
        """The segments of an attempt's final tokens, none of them blank, before silent ones are omitted."""
        candidate, tokenizer = attempt.candidate, self._tokenizer
        tokens, logprobs = candidate.tokens[: candidate.num_kept], candidate.logprobs[: candidate.num_kept]
        # Other special tokens are no text, and neither are timestamps that a model samples unasked.
        first_timestamp = tokenizer.timestamp_begin if slot.has_timestamps else math.inf
        kept = [index for index, token in enumerate(tokens) if token < tokenizer.end or token >= first_timestamp]
        return segments_of(
            [tokens[index] for index in kept],
            [logprobs[index] for index in kept],
            timestamp_begin=tokenizer.timestamp_begin,
            audio_ms=slot.audio_ms,
            decode=tokenizer.decode,
        )

    def words(
        self, slot: Slot, segments: Sequence[Segment], attention: Floats, first_row: int
    ) -> tuple[tuple[Word, ...], ...]:
        """The words of each segment. attention, first_row: see `timed_words`"""
        return timed_words(segments, attention, first_row, self._tokenizer, slot.audio_ms)

    def transcript(self, slot: Slot, attempt: Attempt, words: Sequence[tuple[Word, ...]] = ()) -> WindowTranscript:
        """Text that begins where the audio is over is omitted: there is no speech in the padding.

        words: of each of `segments`, or nothing
        """
        quality = attempt.quality
        segments = tuple(
            replace(segment, words=words[index] if words else (), quality=quality)
            for index, segment in enumerate(self.segments(slot, attempt))
        )
        is_silent = "no_speech" in quality.doubts
        spoken = tuple(segment for segment in segments if not is_silent and segment.start_ms < slot.audio_ms)
        unspoken = quality if is_silent else replace(quality, doubts=(*quality.doubts, "no_speech"))
        omitted = tuple(replace(segment, quality=unspoken) for segment in segments[len(spoken) :])
        if not segments and not attempt.candidate.is_whole:  # no text, and not because there is no speech
            omitted = (Segment(0, slot.audio_ms, "", quality=quality),)
        return WindowTranscript(
            segments=spoken,
            language=slot.prompt.language,
            guesses=slot.guesses,
            num_tokens=len(attempt.candidate.tokens),
            resume_ms=None if is_silent else attempt.candidate.resume_ms,
            omitted=omitted,
        )
