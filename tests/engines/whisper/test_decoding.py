"""Decoding of a window with logits written by hand: when a pass ends, temperature fallback, and the transcript."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.engines.protocol import WindowJob
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.decoding import BeamSearchPass, Pass, TokenStepper
from asr_api.engines.whisper.fallback import BEST_OF, Candidate
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.options import DecodeOptions
from asr_api.transcript import WindowTranscript, Word
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint

Logits = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
BEGIN = SMALL.special("notimestamps") + 1
END = SMALL.end
WORD = 5  # any text token that is not suppressed
ONCE = DecodeOptions(language="en", temperatures=(0.0,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("passes"), SMALL)


@pytest.fixture(scope="module")
def config(folder: Path) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(folder))


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(read_tokenizer_files(folder))


@dataclasses.dataclass
class Decoding:
    """A window, and a model that prefers given tokens."""

    config: WhisperConfig
    tokenizer: Tokenizer
    max_new_tokens: int = 100
    beam_size: int = 1
    options: DecodeOptions = ONCE
    no_speech_probability: float = 0.0

    def __post_init__(self) -> None:
        self.stepper = TokenStepper(
            self.config, self.tokenizer, max_new_tokens=self.max_new_tokens, beam_size=self.beam_size
        )
        self.transcripts = TranscriptBuilder(self.tokenizer)
        job = WindowJob(0, np.zeros(48_000, np.int16), self.options)
        prompt = PromptBuilder(self.config, self.tokenizer).build(self.options)
        self.slot = Slot(job, prompt, no_speech_probability=self.no_speech_probability)

    def run(self, tokens: Sequence[int], margin: float = 30.0) -> tuple[Pass, int]:
        """A pass in which every row prefers these tokens, until it is done; how many of them it took."""
        self.slot.first_logits = preferring(1, tokens[0], margin)[0]
        running = self.stepper.start(self.slot)
        for index, token in enumerate(tokens[1:], 1):
            if running.is_done:
                return running, index
            self.stepper.step([running], preferring(len(running.tokens), token, margin))
        return running, len(tokens)

    def transcribe(self, tokens: Sequence[int], margin: float = 30.0) -> tuple[WindowTranscript, int]:
        running, num_taken = self.run(tokens, margin)
        assert running.is_done
        candidate = self.transcripts.assess_candidates(self.slot, running.candidates)
        assert candidate is not None
        return self.transcripts.transcript(self.slot, candidate), num_taken


def preferring(rows: int, token: int, margin: float = 30.0) -> Logits:
    logits = np.zeros((rows, SMALL.n_vocab), np.float32)
    if margin < 20:
        logits[:, 200:220] = 0.99 * margin  # tokens that come second
    logits[:, token] = margin
    return logits


def timestamp(seconds: float) -> int:
    return BEGIN + round(seconds * 50)


def test_mean_logprob_includes_the_end(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    decoding = Decoding(config, tokenizer)
    transcript, _ = decoding.transcribe([timestamp(0), WORD, WORD, END], margin=9.0)
    (segment,) = transcript.segments
    # The first timestamp is one of 51; then all but the suppressed tokens, and once without <|0.00|>.
    kept = SMALL.n_vocab - len(config.suppress_tokens) - 21
    seconds = 20 * np.exp(9 * 0.99)
    logprobs = [9 - np.log(np.exp(9) + 50)]
    logprobs += [9 - np.log(np.exp(9) + seconds + number - 1) for number in (kept - 1501, kept - 1, kept - 1)]
    assert transcript.num_tokens == 3
    assert segment.quality is not None
    assert segment.quality.mean_logprob == pytest.approx(sum(logprobs) / 4, abs=1e-3)
    assert segment.quality.compression_ratio > 0
    beams = Decoding(config, tokenizer, beam_size=2)
    (found,) = beams.transcribe([timestamp(0), WORD, WORD, *[END] * 80], margin=9.0)[0].segments
    assert found.text == segment.text
    assert found.quality is not None
    assert found.quality.mean_logprob == pytest.approx(sum(logprobs) / 4, abs=1e-3)


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
        # The text ends just at the limit.
        ([timestamp(0), WORD, timestamp(1.5), timestamp(1.5), WORD, END], 6, 3000, None),
    ],
)
def test_pass_ends_where_the_window_can_be_resumed(
    folder: Path, tokens: list[int], num_taken: int, end_ms: int, resume_ms: int | None
) -> None:
    for beam_size in (1, 3):
        decoding = Decoding(
            read_whisper_config(open_checkpoint(folder)),
            Tokenizer(read_tokenizer_files(folder)),
            max_new_tokens=6,
            beam_size=beam_size,
        )
        transcript, taken = decoding.transcribe(tokens)
        assert taken == num_taken
        assert transcript.segments[-1].end_ms == end_ms
        assert transcript.resume_ms == resume_ms


@pytest.mark.parametrize("prompt", ["", "earlier text"])
def test_text_without_closing_timestamp_is_doubtful(config: WhisperConfig, tokenizer: Tokenizer, prompt: str) -> None:
    decoding = Decoding(config, tokenizer, max_new_tokens=6, options=dataclasses.replace(ONCE, prompt=prompt))
    words = [WORD + index % 3 for index in range(200)]
    transcript, taken = decoding.transcribe([timestamp(0.2), *words])
    assert taken == transcript.num_tokens == SMALL.n_text_ctx - len(decoding.slot.prompt.tokens)
    assert transcript.resume_ms is None
    (segment,) = transcript.segments
    assert (segment.start_ms, segment.end_ms) == (200, 3000)
    assert segment.text == tokenizer.decode(words[: taken - 1])
    assert segment.quality is not None
    assert set(segment.quality.doubts) >= {"low_confidence"}


def test_window_without_timestamps_is_one_segment(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    decoding = Decoding(config, tokenizer, options=dataclasses.replace(ONCE, timestamps=False))
    transcript, _ = decoding.transcribe([WORD, timestamp(1), WORD + 1, END])
    (segment,) = transcript.segments
    assert (segment.start_ms, segment.end_ms, segment.text) == (0, 3000, tokenizer.decode([WORD, WORD + 1]))


@pytest.mark.parametrize("temperatures", [(0.0,), (0.0, 0.2)])
def test_window_without_speech_is_omitted(
    config: WhisperConfig, tokenizer: Tokenizer, temperatures: tuple[float, ...]
) -> None:
    options = dataclasses.replace(ONCE, temperatures=temperatures)
    decoding = Decoding(config, tokenizer, max_new_tokens=4, options=options, no_speech_probability=0.9)
    transcript, _ = decoding.transcribe(
        [timestamp(0), WORD, timestamp(1.5), timestamp(1.5)], margin=4.0
    )  # a mean of about -3
    assert (transcript.segments, transcript.resume_ms) == ((), None)
    (omitted,) = transcript.omitted
    assert (omitted.text, omitted.end_ms) == (tokenizer.decode([WORD]), 1500)
    assert omitted.quality is not None
    assert omitted.quality.doubts == ("no_speech",)


def test_text_after_the_audio_is_omitted(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    written = [
        timestamp(0.2),
        WORD,
        timestamp(2.9),
        timestamp(2.9),
        WORD + 1,
        timestamp(3.2),
        timestamp(3.4),
        WORD + 2,
        timestamp(5),
        END,
    ]
    transcript, _ = Decoding(config, tokenizer).transcribe(written)
    assert [(segment.start_ms, segment.end_ms, segment.text) for segment in transcript.segments] == [
        (200, 2900, tokenizer.decode([WORD])),
        (2900, 3000, tokenizer.decode([WORD + 1])),
    ]
    (omitted,) = transcript.omitted
    assert (omitted.start_ms, omitted.end_ms, omitted.text) == (3000, 3000, tokenizer.decode([WORD + 2]))
    assert omitted.quality is not None
    assert omitted.quality.doubts == ("no_speech",)
    assert all(segment.quality and not segment.quality.doubts for segment in transcript.segments)


def test_loop_ends_a_pass_if_there_is_another_temperature(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    looping = [timestamp(0), *[5, 6, 7, 8] * 30]
    decoding = Decoding(config, tokenizer, options=dataclasses.replace(ONCE, temperatures=(0.0, 0.4)))
    running, taken = decoding.run(looping)
    assert taken == 40
    assert decoding.transcripts.assess_candidates(decoding.slot, running.candidates) is None
    assert decoding.slot.temperature == 0.4
    running, _ = decoding.run([*looping[:70], END])
    assert len(running.tokens) == BEST_OF
    candidate = decoding.transcripts.assess_candidates(
        decoding.slot, running.candidates
    )  # the last temperature continues to its end
    assert candidate is not None
    assert candidate.quality.temperature == 0.4
    assert len(candidate.tokens) == 70
    assert candidate.quality.doubts == ("repetition",)


def test_fallback_stops_at_the_first_pass_or_keeps_the_best(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    unsure, sure = [timestamp(0), WORD, 8, END], [timestamp(0), WORD, 9, END]
    options = dataclasses.replace(ONCE, temperatures=(0.4, 0.0, 0.2, 0.2))  # in whatever order: rising
    decoding = Decoding(config, tokenizer, options=options)
    tried = []

    def try_with(tokens: list[int], margin: float) -> Candidate | None:
        tried.append(decoding.slot.temperature)
        return decoding.transcripts.assess_candidates(decoding.slot, decoding.run(tokens, margin)[0].candidates)

    assert try_with(unsure, 9.0) is None
    kept = try_with(sure, 30.0)
    assert tried == [0.0, 0.2]
    assert kept is not None
    assert kept.quality.doubts == ()
    decoding.slot.failed.clear()
    tried.clear()
    assert try_with(sure, 9.0) is None
    assert try_with([timestamp(0), *[WORD] * 50, END], 30.0) is None
    kept = try_with([timestamp(0), *[WORD] * 50, END], 30.0)
    assert tried == [0.0, 0.2, 0.4]
    assert kept is not None
    assert kept.tokens == tuple(sure[:-1])
    assert kept.quality.doubts == ("low_confidence",)


@pytest.mark.parametrize("beam_size", [1, 2])
def test_non_finite_logits_end_a_row(config: WhisperConfig, tokenizer: Tokenizer, beam_size: int) -> None:
    decoding = Decoding(config, tokenizer, beam_size=beam_size)
    decoding.slot.first_logits = preferring(1, timestamp(0))[0]
    running, neighbour = decoding.stepper.start(decoding.slot), decoding.stepper.start(decoding.slot)
    for token in (WORD, None, *[END] * 80):
        logits = preferring(2 * beam_size, token or WORD)
        if token is None:
            logits[:beam_size] = np.nan
        decoding.stepper.step([running, neighbour], logits)
    assert running.is_done
    assert neighbour.is_done
    for finished, doubts, words in ((running, ("low_confidence",), [WORD]), (neighbour, (), [WORD, WORD])):
        decoding.slot.failed.clear()
        candidate = decoding.transcripts.assess_candidates(decoding.slot, finished.candidates)
        assert candidate is not None
        (segment,) = decoding.transcripts.transcript(decoding.slot, candidate).segments
        assert segment.text == tokenizer.decode(words)
        assert segment.quality is not None
        assert segment.quality.doubts == doubts


def test_window_of_non_finite_logits_is_omitted(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    decoding = Decoding(config, tokenizer)
    decoding.slot.first_logits = np.full(SMALL.n_vocab, np.nan, np.float32)
    candidate = decoding.transcripts.assess_candidates(decoding.slot, decoding.stepper.start(decoding.slot).candidates)
    assert candidate is not None
    transcript = decoding.transcripts.transcript(decoding.slot, candidate)
    assert transcript.segments == ()
    (omitted,) = transcript.omitted
    assert (omitted.start_ms, omitted.end_ms, omitted.text) == (0, 3000, "")


def test_positions_follow_the_prompt(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    decoding = Decoding(config, tokenizer)
    decoding.slot.first_logits = preferring(1, timestamp(0))[0]
    running = decoding.stepper.start(decoding.slot)
    fed = [(running.positions, running.next_tokens)]
    for token in (WORD, 6, END, 7):
        decoding.stepper.step([running], preferring(1, token))
        fed.append((running.positions, running.next_tokens))
    assert fed == [([3], [timestamp(0)]), ([4], [WORD]), ([5], [6]), ([5], [6]), ([5], [6])]
    decoding.slot.first_logits = np.full(SMALL.n_vocab, np.nan, np.float32)
    assert decoding.stepper.start(decoding.slot).positions == [3]


def test_parents_of_beams(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    decoding = Decoding(config, tokenizer, beam_size=2)
    first = np.zeros(SMALL.n_vocab, np.float32)
    first[[timestamp(0), timestamp(0.5)]] = 20, 19.9
    decoding.slot.first_logits = first
    running = decoding.stepper.start(decoding.slot)
    assert isinstance(running, BeamSearchPass)
    assert running.tokens == [[timestamp(0)], [timestamp(0.5)]]
    logits = preferring(2, WORD)
    logits[0, [WORD, 6]] = 15  # the first row is split between two tokens, so the second overtakes it
    decoding.stepper.step([running], logits)
    assert running.tokens == [[timestamp(0.5), WORD], [timestamp(0), WORD]]
    assert running.parents.tolist() == [1, 0]


def test_words_of_segments(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    decoding = Decoding(config, tokenizer)
    running, _ = decoding.run([timestamp(0), WORD, timestamp(1), timestamp(1), 6, timestamp(2), END])
    candidate = decoding.transcripts.assess_candidates(decoding.slot, running.candidates)
    assert candidate is not None
    segments = decoding.transcripts.segments(decoding.slot, candidate)
    assert [(segment.start_ms, segment.tokens) for segment in segments] == [(0, (WORD,)), (1000, (6,))]
    assert all(len(segment.logprobs) == 1 for segment in segments)
    words = [(Word(segment.start_ms, segment.end_ms, segment.text),) for segment in segments]
    with_words = decoding.transcripts.transcript(decoding.slot, candidate, words).segments
    assert [segment.words for segment in with_words] == words
    assert [segment.tokens for segment in with_words] == [(WORD,), (6,)]
