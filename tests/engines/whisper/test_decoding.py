"""Decoding of a window with logits written by hand: when a pass ends, temperature fallback, and the transcript."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from asr_api.engines.protocol import WindowJob
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.decoding import Limits, Pass, SamplingPass, TokenStepper
from asr_api.engines.whisper.fallback import BEST_OF, Candidate
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.token_kinds import TokenKinds
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.options import DecodeOptions
from asr_api.transcript import Quality, Segment, WindowTranscript
from tests.engines.whisper_checkpoints import SMALL

Logits = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
BEGIN = SMALL.special("notimestamps") + 1
END = SMALL.end
WORD = 5  # any text token that is not suppressed
ONCE = DecodeOptions(language="en", temperatures=(0.0,))


class Decoding:
    """A window of 3 s, and a model that prefers given tokens."""

    def __init__(
        self, config: WhisperConfig, tokenizer: Tokenizer, options: DecodeOptions, max_new_tokens: int, beam_size: int
    ) -> None:
        self.stepper = TokenStepper(config, tokenizer, max_new_tokens=max_new_tokens, beam_size=beam_size)
        self.transcripts = TranscriptBuilder(tokenizer)
        job = WindowJob(0, np.zeros(48_000, np.int16), options)
        self.slot = Slot(job, PromptBuilder(config, tokenizer).build(options))

    def start(self, first_logits: Logits) -> Pass:
        self.slot.first_logits = first_logits
        return self.stepper.start(self.slot)

    def run(self, tokens: Sequence[int], margin: float = 30.0) -> tuple[Pass, int]:
        """A pass in which every row prefers these tokens, until it is done; how many of them it took."""
        running = self.start(preferring(1, tokens[0], margin)[0])
        for index, token in enumerate(tokens[1:], 1):
            if running.is_done:
                return running, index
            self.stepper.step([running], preferring(len(running.tokens), token, margin))
        return running, len(tokens)

    def assess(self, done: Pass) -> Candidate | None:
        assert done.is_done
        return self.transcripts.assess_candidates(self.slot, done.candidates)

    def transcript(self, done: Pass) -> WindowTranscript:
        candidate = self.assess(done)
        assert candidate is not None
        return self.transcripts.transcript(self.slot, candidate)

    def transcribe(self, tokens: Sequence[int], margin: float = 30.0) -> WindowTranscript:
        return self.transcript(self.run(tokens, margin)[0])


New = Callable[..., Decoding]


@pytest.fixture
def new(config: WhisperConfig, tokenizer: Tokenizer) -> New:
    def new(*, max_new_tokens: int = 100, beam_size: int = 1, **options: Any) -> Decoding:
        return Decoding(config, tokenizer, dataclasses.replace(ONCE, **options), max_new_tokens, beam_size)

    return new


def preferring(rows: int, token: int, margin: float = 30.0) -> Logits:
    logits = np.zeros((rows, SMALL.n_vocab), np.float32)
    if margin < 20:
        logits[:, 200:220] = 0.99 * margin  # tokens that come second
    logits[:, token] = margin
    return logits


def timestamp(seconds: float) -> int:
    return BEGIN + round(seconds * 50)


def quality_of(segment: Segment) -> Quality:
    assert segment.quality is not None
    return segment.quality


@pytest.mark.parametrize("beam_size", [1, 2])
def test_mean_logprob_includes_the_end(new: New, config: WhisperConfig, tokenizer: Tokenizer, beam_size: int) -> None:
    transcript = new(beam_size=beam_size).transcribe([timestamp(0), WORD, WORD, *[END] * 80], margin=9.0)
    (segment,) = transcript.segments
    # The first timestamp is one of 51; then all but the suppressed tokens, and once without <|0.00|>.
    kept = SMALL.n_vocab - len(config.suppress_tokens) - 21
    seconds = 20 * np.exp(9 * 0.99)
    logprobs = [9 - np.log(np.exp(9) + 50)]
    logprobs += [9 - np.log(np.exp(9) + seconds + number - 1) for number in (kept - 1501, kept - 1, kept - 1)]
    assert (transcript.num_tokens, segment.text) == (3, tokenizer.decode([WORD, WORD]))
    assert quality_of(segment).mean_logprob == pytest.approx(sum(logprobs) / 4, abs=1e-3)
    assert quality_of(segment).compression_ratio > 0


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize(
    ("tokens", "num_taken", "end_ms", "resume_ms"),
    [
        # The limit falls inside the second segment; the first is final.
        ([timestamp(0), WORD, timestamp(1.5), timestamp(1.5), WORD, WORD, WORD], 6, 1500, 1500),
        # No segment is closed at the limit: continue to the next closing timestamp.
        ([timestamp(0), *[WORD] * 8, timestamp(2), timestamp(2)], 10, 2000, 2000),
        # The closed segment is too little progress: continue to the next one.
        ([timestamp(0), WORD, timestamp(0.5), timestamp(0.5), WORD, WORD, WORD, timestamp(1.2)], 8, 1200, 1200),
        # The text covers all of the audio: nothing to resume.
        ([timestamp(0), WORD, timestamp(2.96), timestamp(2.96), WORD, WORD, WORD], 6, 2960, None),
        ([timestamp(0), WORD, timestamp(9), timestamp(9), WORD, WORD, WORD], 6, 3000, None),
        # The text ends just at the limit. What has no end belongs to the next window.
        ([timestamp(0), WORD, timestamp(1.5), timestamp(1.5), WORD, END], 6, 1500, 1500),
        ([timestamp(0), WORD, WORD, WORD, timestamp(1.5), END], 6, 1500, None),
    ],
)
def test_pass_ends_where_the_window_can_be_resumed(
    new: New, beam_size: int, tokens: list[int], num_taken: int, end_ms: int, resume_ms: int | None
) -> None:
    decoding = new(max_new_tokens=6, beam_size=beam_size)
    done, taken = decoding.run(tokens)
    transcript = decoding.transcript(done)
    assert (taken, transcript.segments[-1].end_ms, transcript.resume_ms) == (num_taken, end_ms, resume_ms)


@pytest.mark.parametrize("prompt", ["", "earlier text"])
def test_text_without_closing_timestamp_is_doubtful(new: New, tokenizer: Tokenizer, prompt: str) -> None:
    decoding = new(max_new_tokens=6, prompt=prompt)
    words = [WORD + index % 3 for index in range(200)]
    done, taken = decoding.run([timestamp(0.2), *words])
    transcript = decoding.transcript(done)
    assert taken == transcript.num_tokens == SMALL.n_text_ctx - len(decoding.slot.prompt.tokens)
    assert transcript.resume_ms is None
    (segment,) = transcript.segments
    assert (segment.start_ms, segment.end_ms, segment.text) == (200, 3000, tokenizer.decode(words[: taken - 1]))
    assert "low_confidence" in quality_of(segment).doubts


def test_window_without_timestamps_is_one_segment(new: New, tokenizer: Tokenizer) -> None:
    (segment,) = new(timestamps=False).transcribe([WORD, timestamp(1), WORD + 1, END]).segments
    assert (segment.start_ms, segment.end_ms, segment.text) == (0, 3000, tokenizer.decode([WORD, WORD + 1]))


@pytest.mark.parametrize("temperatures", [(0.0,), (0.0, 0.2)])
def test_window_without_speech_is_omitted(new: New, tokenizer: Tokenizer, temperatures: tuple[float, ...]) -> None:
    decoding = new(max_new_tokens=4, temperatures=temperatures)
    decoding.slot.no_speech_probability = 0.9
    tokens = [timestamp(0), WORD, timestamp(1.5), timestamp(1.5)]
    transcript = decoding.transcribe(tokens, margin=4.0)  # a mean of about -3
    assert (transcript.segments, transcript.resume_ms) == ((), None)
    (omitted,) = transcript.omitted
    assert (omitted.text, omitted.end_ms) == (tokenizer.decode([WORD]), 1500)
    assert quality_of(omitted).doubts == ("no_speech",)


def test_text_after_the_audio_is_omitted(new: New, tokenizer: Tokenizer) -> None:
    tokens = [timestamp(0.2), WORD, timestamp(2.9), timestamp(2.9), WORD + 1, timestamp(3.2), timestamp(3.4), WORD + 2]
    transcript = new().transcribe([*tokens, timestamp(5), END])
    segments = (*transcript.segments, *transcript.omitted)
    assert [(segment.start_ms, segment.end_ms, segment.text) for segment in segments] == [
        (200, 2900, tokenizer.decode([WORD])),
        (2900, 3000, tokenizer.decode([WORD + 1])),
        (3000, 3000, tokenizer.decode([WORD + 2])),
    ]
    assert [quality_of(segment).doubts for segment in segments] == [(), (), ("no_speech",)]
    assert len(transcript.omitted) == 1


def test_loop_ends_a_pass_if_there_is_another_temperature(new: New) -> None:
    looping = [timestamp(0), *[5, 6, 7, 8] * 30]
    decoding = new(temperatures=(0.0, 0.4))
    running, taken = decoding.run(looping)
    assert taken == 40
    assert decoding.assess(running) is None
    assert decoding.slot.temperature == 0.4
    running, _ = decoding.run([*looping[:70], END])
    assert len(running.tokens) == BEST_OF
    candidate = decoding.assess(running)  # the last temperature continues to its end
    assert candidate is not None
    assert len(candidate.tokens) == 70
    assert (candidate.quality.temperature, candidate.quality.doubts) == (0.4, ("repetition",))


def test_loop_of_text_behind_the_timestamps_ends_a_pass(new: New) -> None:
    added = SMALL.timestamps.stop
    kinds = TokenKinds(END, SMALL.timestamps, frozenset({added}))
    running = SamplingPass(new(temperatures=(0.0, 0.4)).slot, Limits(kinds, SMALL.n_text_ctx, max_new_tokens=80))
    while not running.is_done:
        running.append_tokens([added], [-0.1])
    assert len(running.tokens[0]) == 32


def test_fallback_stops_at_the_first_pass_or_keeps_the_best(new: New) -> None:
    unsure, sure = [timestamp(0), WORD, 8, END], [timestamp(0), WORD, 9, END]
    looping = [timestamp(0), *[WORD] * 50, END]
    passing = ((unsure, 9.0), (sure, 30.0)), [0.0, 0.2], sure, ()
    failing = ((sure, 9.0), (looping, 30.0), (looping, 30.0)), [0.0, 0.2, 0.4], sure, ("low_confidence",)
    for attempts, temperatures, tokens, doubts in (passing, failing):
        decoding, tried = new(temperatures=(0.4, 0.0, 0.2, 0.2)), []  # rising, whatever the order
        kept: Candidate | None = None
        for preferred, margin in attempts:
            assert kept is None
            tried.append(decoding.slot.temperature)
            kept = decoding.assess(decoding.run(preferred, margin)[0])
        assert tried == temperatures
        assert kept is not None
        assert (kept.tokens, kept.quality.doubts) == (tuple(tokens[:-1]), doubts)


@pytest.mark.parametrize("beam_size", [1, 2])
def test_non_finite_logits_end_a_row(new: New, tokenizer: Tokenizer, beam_size: int) -> None:
    decoding = new(beam_size=beam_size)
    first_logits = preferring(1, timestamp(0))[0]
    running, neighbour = decoding.start(first_logits), decoding.start(first_logits)
    for token in (WORD, None, *[END] * 80):
        logits = preferring(2 * beam_size, token or WORD)
        if token is None:
            logits[:beam_size] = np.nan
        decoding.stepper.step([running, neighbour], logits)
    for done, doubts, words in ((running, ("low_confidence",), [WORD]), (neighbour, (), [WORD, WORD])):
        decoding.slot.failed.clear()
        (segment,) = decoding.transcript(done).segments
        assert segment.text == tokenizer.decode(words)
        assert quality_of(segment).doubts == doubts


def test_window_of_non_finite_logits_is_omitted(new: New) -> None:
    decoding = new()
    transcript = decoding.transcript(decoding.start(np.full(SMALL.n_vocab, np.nan, np.float32)))
    assert transcript.segments == ()
    (omitted,) = transcript.omitted
    assert (omitted.start_ms, omitted.end_ms, omitted.text) == (0, 3000, "")


def test_positions_follow_the_prompt(new: New) -> None:
    decoding = new()
    running = decoding.start(preferring(1, timestamp(0))[0])
    fed = [(running.positions, running.next_tokens)]
    for token in (WORD, 6, END, 7):
        decoding.stepper.step([running], preferring(1, token))
        fed.append((running.positions, running.next_tokens))
    assert fed == [([3], [timestamp(0)]), ([4], [WORD]), ([5], [6]), ([5], [6]), ([5], [6])]
    assert decoding.start(np.full(SMALL.n_vocab, np.nan, np.float32)).positions == [3]
