"""Candidates with timestamps written by hand: the text that is kept, and where the next window begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asr_api.engines.protocol import WindowJob
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.fallback import Candidate
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.options import DecodeOptions
from asr_api.transcript import WindowTranscript, Word
from tests.engines.whisper_checkpoints import SMALL

BEGIN = SMALL.timestamps.start
A, B, C = 5, 6, 7  # text tokens
TASK = SMALL.special("transcribe")  # neither text nor a timestamp
OPTIONS = DecodeOptions(language="en", temperatures=(0.0,))
AUDIO_MS = 2500


def at(seconds: float) -> int:
    return BEGIN + round(seconds * 50)


def candidate_of(*tokens: int, is_whole: bool = True) -> Candidate:
    return Candidate(tokens, (-0.1,) * len(tokens), -0.1 * len(tokens), len(tokens), is_whole=is_whole)


@pytest.fixture
def builder(tokenizer: Tokenizer) -> TranscriptBuilder:
    return TranscriptBuilder(tokenizer)


@pytest.fixture
def slot(config: WhisperConfig, tokenizer: Tokenizer) -> Slot:
    job = WindowJob(0, np.zeros(AUDIO_MS * 16, np.int16), OPTIONS)
    return Slot(job, PromptBuilder(config, tokenizer).build(OPTIONS))


def transcript_of(builder: TranscriptBuilder, slot: Slot, candidate: Candidate) -> WindowTranscript:
    slot.failed.clear()
    kept = builder.assess_candidates(slot, [candidate])
    assert kept is not None
    return builder.transcript(slot, kept)


@pytest.mark.parametrize(
    ("tokens", "kept", "end_ms", "resume_ms"),
    [
        ((at(0), A, at(1.4), at(1.4), B), [(A,)], 1400, 1400),  # B has no end
        ((at(0), A, at(1.4), at(1.8), B), [(A,)], 1400, 1400),
        ((at(0), A, at(1.2), at(1.2), B, at(1.8), at(1.8), C), [(A,), (B,)], 1800, 1800),
        ((at(0), A, at(1.4), at(1.4)), [(A,)], 1400, 1400),
        ((at(0), A, at(1.4), at(1.4), B, at(2)), [(A,), (B,)], 2000, None),  # nothing follows
        ((at(0), A, at(1.4)), [(A,)], 1400, None),
        ((at(0), A), [(A,)], 2500, None),
        ((at(0), A, at(2.4), at(2.4), B), [(A,), (B,)], 2500, None),  # the rest holds no word
        ((at(0), A, at(2.38), at(2.38), B), [(A,)], 2380, 2380),
        ((at(0), A, at(0.98), at(0.98), B), [(A,), (B,)], 2500, None),  # too little progress: all of the text is kept
        ((at(0), A, at(1), at(1), B), [(A,)], 1000, 1000),
        ((at(0), TASK, A, at(1.4), TASK, at(1.4), TASK, B), [(A,)], 1400, 1400),  # other special tokens do not count
    ],
)
def test_text_without_an_end_is_left_to_the_next_window(
    builder: TranscriptBuilder, slot: Slot, tokens: tuple[int, ...], kept: list[tuple[int]], end_ms: int, resume_ms: int
) -> None:
    transcript = transcript_of(builder, slot, candidate_of(*tokens))
    assert [segment.tokens for segment in transcript.segments] == kept
    assert (transcript.segments[-1].end_ms, transcript.resume_ms) == (end_ms, resume_ms)
    assert transcript.num_tokens == len(tokens)
    assert transcript.omitted == ()


def test_windows_that_cover_all_of_their_text(builder: TranscriptBuilder, slot: Slot) -> None:
    """Broken off, cut at a limit before, without timestamps, and without speech."""
    open_end = candidate_of(at(0), A, at(1.4), at(1.4), B)
    broken = transcript_of(builder, slot, replace(open_end, is_whole=False))
    assert ([segment.tokens for segment in broken.segments], broken.resume_ms) == ([(A,), (B,)], None)
    limited = transcript_of(builder, slot, replace(open_end, num_kept=3, resume_ms=1400))
    assert ([segment.tokens for segment in limited.segments], limited.resume_ms) == ([(A,)], 1400)
    plain = Slot(replace(slot.job, options=replace(OPTIONS, timestamps=False)), slot.prompt)
    whole = transcript_of(builder, plain, open_end)
    assert ([segment.tokens for segment in whole.segments], whole.resume_ms) == ([(A, B)], None)
    slot.no_speech_probability = 0.9
    silent = transcript_of(builder, slot, replace(open_end, sum_logprobs=-20.0))
    assert (silent.segments, silent.resume_ms, len(silent.omitted)) == ((), None, 1)


def test_the_best_failed_candidate_is_cut_too(builder: TranscriptBuilder, slot: Slot) -> None:
    unsure = replace(candidate_of(at(0), A, at(1.4), at(1.4), B), sum_logprobs=-20.0)
    transcript = transcript_of(builder, slot, unsure)
    assert ([segment.tokens for segment in transcript.segments], transcript.resume_ms) == ([(A,)], 1400)
    assert [segment.quality.doubts for segment in transcript.segments if segment.quality] == [("low_confidence",)]


def test_segments_have_the_timestamps_around_their_tokens(builder: TranscriptBuilder, slot: Slot) -> None:
    """TASK is neither text nor a timestamp."""
    tokens = (at(0), A, TASK, B, at(1.4), at(1.6), C, at(2))
    first, second = transcript_of(builder, slot, candidate_of(*tokens)).segments
    assert (first.start_token, first.tokens, first.end_token) == (at(0), (A, B), at(1.4))
    assert (second.start_token, second.tokens, second.end_token) == (at(1.6), (C,), at(2))
    plain = Slot(replace(slot.job, options=replace(OPTIONS, timestamps=False)), slot.prompt)
    (whole,) = transcript_of(builder, plain, candidate_of(*tokens)).segments
    assert (whole.start_token, whole.tokens, whole.end_token) == (None, (A, B, C), None)


@pytest.mark.parametrize("no_speech_probability", [0.0, 0.9])
def test_token_bytes_are_given_if_asked_for(
    builder: TranscriptBuilder, slot: Slot, no_speech_probability: float
) -> None:
    """In omitted text as well."""
    slot.no_speech_probability = no_speech_probability
    candidate = replace(candidate_of(at(0), A, B, at(1.4)), sum_logprobs=-20.0)
    asked = Slot(replace(slot.job, options=replace(OPTIONS, token_texts=True)), slot.prompt)
    asked.no_speech_probability = no_speech_probability
    for some, num_bytes in ((slot, 0), (asked, 2)):
        transcript = transcript_of(builder, some, candidate)
        (segment,) = (*transcript.segments, *transcript.omitted)
        assert len(segment.token_bytes) == num_bytes
        assert b"".join(segment.token_bytes).decode() == segment.text[: len(segment.token_bytes)]


def test_only_kept_segments_have_words(builder: TranscriptBuilder, slot: Slot, config: WhisperConfig) -> None:
    candidate = builder.assess_candidates(slot, [candidate_of(at(0), A, at(1.4), at(1.4), B, C)])
    assert candidate is not None
    segments = builder.segments(slot, candidate)
    assert [segment.tokens for segment in segments] == [(A,)]
    attention = np.random.default_rng(0).random((2, 8, config.n_audio_ctx), np.float32)
    words = builder.words(slot, segments, attention, 2)
    (segment,) = builder.transcript(slot, candidate, words).segments
    assert "".join(word.text for word in segment.words) == segment.text
    assert all(isinstance(word, Word) and word.end_ms <= 1400 for word in segment.words)
