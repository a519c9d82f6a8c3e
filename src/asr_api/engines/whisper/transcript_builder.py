"""Turns the candidates of a window into its transcript, or into the decision to decode it at the next temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.fallback import Candidate, best_failed, best_sample
from asr_api.engines.whisper.quality import doubted_if_unsure, has_loop, quality_of
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.timestamps import MIN_PROGRESS_MS, MIN_REST_MS, next_window, segments_of
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.word_timestamps import timed_words
from asr_api.transcript import Segment, WindowTranscript, Word


class TranscriptBuilder:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def assess_candidates(self, slot: Slot, candidates: Sequence[Candidate]) -> Candidate | None:
        """The candidate to keep, assessed; None when the window is to be decoded at its next temperature."""
        has_next_temperature = slot.has_next_temperature
        best = best_sample([self._assess(slot, candidate) for candidate in candidates])
        if best.passes:
            return self._until_next_window(slot, best)
        slot.failed.append(best)
        return None if has_next_temperature else self._until_next_window(slot, best_failed(slot.failed))

    def segments(self, slot: Slot, candidate: Candidate) -> tuple[Segment, ...]:
        """The segments of a candidate's final tokens, none of them blank, before silent ones are omitted."""
        kinds = self._tokenizer.kinds
        # Other special tokens are no text, and neither are timestamps that a model samples unasked.
        timestamps = kinds.timestamps if slot.has_timestamps else range(0)
        tokens = candidate.tokens[: candidate.num_kept]
        kept = [index for index, token in enumerate(tokens) if kinds.is_text(token) or token in timestamps]
        return segments_of(
            [tokens[index] for index in kept],
            [candidate.logprobs[index] for index in kept],
            timestamps=timestamps,
            audio_ms=slot.audio_ms,
            decode=self._tokenizer.decode,
        )

    def words(
        self, slot: Slot, segments: Sequence[Segment], attention: Floats, first_row: int
    ) -> tuple[tuple[Word, ...], ...]:
        return timed_words(segments, attention, first_row, self._tokenizer, slot.audio_ms)

    def transcript(self, slot: Slot, candidate: Candidate, words: Sequence[tuple[Word, ...]] = ()) -> WindowTranscript:
        """Text that begins where the audio is over is omitted: there is no speech in the padding.

        words: of each of `segments`, or nothing
        """
        quality = doubted_if_unsure(candidate.quality)
        segments = tuple(
            replace(
                segment,
                words=words[index] if words else (),
                quality=quality,
                token_bytes=self._tokenizer.token_bytes(segment.tokens) if slot.job.options.token_texts else (),
            )
            for index, segment in enumerate(self.segments(slot, candidate))
        )
        is_silent = "no_speech" in quality.doubts
        spoken = tuple(segment for segment in segments if not is_silent and segment.start_ms < slot.audio_ms)
        unspoken = quality if is_silent else replace(quality, doubts=(*quality.doubts, "no_speech"))
        omitted = tuple(replace(segment, quality=unspoken) for segment in segments[len(spoken) :])
        if not segments and not candidate.is_whole:  # no text, and not because there is no speech
            omitted = (Segment(0, slot.audio_ms, "", quality=quality),)
        return WindowTranscript(
            segments=spoken,
            language=slot.prompt.language,
            guesses=slot.guesses,
            num_tokens=len(candidate.tokens),
            resume_ms=None if is_silent else candidate.resume_ms,
            omitted=omitted,
        )

    def _until_next_window(self, slot: Slot, candidate: Candidate) -> Candidate:
        """The candidate, of which only the text before the beginning of the next window is kept."""
        if not slot.has_timestamps or candidate.resume_ms is not None or not candidate.is_whole:
            return candidate
        kinds = self._tokenizer.kinds
        kept = [
            index for index, token in enumerate(candidate.tokens) if kinds.is_text(token) or token in kinds.timestamps
        ]
        part = next_window([candidate.tokens[index] for index in kept], kinds.timestamps)
        if part is None or not MIN_PROGRESS_MS <= part.end_ms < slot.audio_ms - MIN_REST_MS:
            return candidate
        return replace(candidate, num_kept=kept[part.num_tokens], resume_ms=part.end_ms)

    def _assess(self, slot: Slot, candidate: Candidate) -> Candidate:
        quality = quality_of(
            self._tokenizer.decode(candidate.tokens),
            mean_logprob=candidate.mean_logprob,
            no_speech_probability=slot.no_speech_probability,
            temperature=slot.temperature,
            is_loop=has_loop([token for token in candidate.tokens if self._tokenizer.kinds.is_text(token)]),
            is_whole=candidate.is_whole,
        )
        return replace(candidate, quality=quality)
