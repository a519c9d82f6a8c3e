"""When a pass over a window is done and what follows from it; the logits are written by hand."""

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
from asr_api.engines.whisper.fallback import BEST_OF, Attempt
from asr_api.engines.whisper.prompt import Prompter
from asr_api.engines.whisper.slot import Slot, TranscriptBuilder
from asr_api.engines.whisper.tokenizer import Tokenizer
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
class Desk:
    """A window and a model that wants what it is told to want."""

    config: WhisperConfig
    tokenizer: Tokenizer
    max_new_tokens: int = 100
    beam_size: int = 1
    options: DecodeOptions = ONCE
    no_speech_probability: float = 0.0

    def __post_init__(self) -> None:
        self.writer = TokenStepper(
            self.config, self.tokenizer, max_new_tokens=self.max_new_tokens, beam_size=self.beam_size
        )
        self.finisher = TranscriptBuilder(self.tokenizer)
        job = WindowJob(0, np.zeros(48_000, np.int16), self.options)
        prompt = Prompter(self.config, self.tokenizer).prompt(self.options)
        self.slot = Slot(job, prompt, no_speech_probability=self.no_speech_probability)

    def say(self, tokens: Sequence[int], sureness: float = 30.0) -> tuple[Pass, int]:
        """A pass in which every row wants these tokens, until it is done; how many of them it took."""
        self.slot.first_logits = wanting(1, tokens[0], sureness)[0]
        one = self.writer.open(self.slot)
        for index, token in enumerate(tokens[1:], 1):
            if one.is_done:
                return one, index
            self.writer.write([one], wanting(len(one.tokens), token, sureness))
        return one, len(tokens)

    def hear(self, tokens: Sequence[int], sureness: float = 30.0) -> tuple[WindowTranscript, int]:
        one, num_taken = self.say(tokens, sureness)
        assert one.is_done
        attempt = self.finisher.settle(self.slot, one.candidates)
        assert attempt is not None
        return self.finisher.transcript(self.slot, attempt), num_taken


def wanting(rows: int, token: int, sureness: float = 30.0) -> Logits:
    logits = np.zeros((rows, SMALL.n_vocab), np.float32)
    if sureness < 20:
        logits[:, 200:220] = 0.99 * sureness  # words that come second
    logits[:, token] = sureness
    return logits


def stamp(seconds: float) -> int:
    return BEGIN + round(seconds * 50)


def test_mean_logprob_counts_the_end_of_text(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    desk = Desk(config, tokenizer)
    transcript, _ = desk.hear([stamp(0), WORD, WORD, END], sureness=9.0)
    (segment,) = transcript.segments
    # The first stamp is one of 51; then all but the suppressed, the next time without <|0.00|>.
    kept = SMALL.n_vocab - len(config.suppress_tokens) - 21
    seconds = 20 * np.exp(9 * 0.99)
    logprobs = [9 - np.log(np.exp(9) + 50)]
    logprobs += [9 - np.log(np.exp(9) + seconds + number - 1) for number in (kept - 1501, kept - 1, kept - 1)]
    assert transcript.num_tokens == 3
    assert segment.quality is not None
    assert segment.quality.mean_logprob == pytest.approx(sum(logprobs) / 4, abs=1e-3)
    assert segment.quality.compression_ratio > 0
    beams = Desk(config, tokenizer, beam_size=2)
    (found,) = beams.hear([stamp(0), WORD, WORD, *[END] * 80], sureness=9.0)[0].segments
    assert found.text == segment.text
    assert found.quality is not None
    assert found.quality.mean_logprob == pytest.approx(sum(logprobs) / 4, abs=1e-3)


@pytest.mark.parametrize(
    ("said", "num_taken", "end_ms", "resume_ms"),
    [
        # The limit falls inside the second segment: the first is final.
        ([stamp(0), WORD, stamp(1.5), stamp(1.5), WORD, WORD, WORD], 6, 1500, 1500),
        # Nothing is closed at the limit: on to the next closing stamp.
        ([stamp(0), *[WORD] * 8, stamp(2), stamp(2)], 10, 2000, 2000),
        # What is closed is too little progress: on to the next.
        ([stamp(0), WORD, stamp(0.5), stamp(0.5), WORD, WORD, WORD, stamp(1.2)], 8, 1200, 1200),
        # All of the audio is accounted for: nothing to resume.
        ([stamp(0), WORD, stamp(2.96), stamp(2.96), WORD, WORD, WORD], 6, 2960, None),
        ([stamp(0), WORD, stamp(9), stamp(9), WORD, WORD, WORD], 6, 3000, None),
        # It ends by itself just at the limit.
        ([stamp(0), WORD, stamp(1.5), stamp(1.5), WORD, END], 6, 3000, None),
    ],
)
def test_a_pass_ends_where_the_next_can_begin(
    folder: Path, said: list[int], num_taken: int, end_ms: int, resume_ms: int | None
) -> None:
    for beam_size in (1, 3):
        desk = Desk(
            read_whisper_config(open_checkpoint(folder)),
            Tokenizer(read_tokenizer_files(folder)),
            max_new_tokens=6,
            beam_size=beam_size,
        )
        transcript, taken = desk.hear(said)
        assert taken == num_taken
        assert transcript.segments[-1].end_ms == end_ms
        assert transcript.resume_ms == resume_ms


@pytest.mark.parametrize("prompt", ["", "earlier text"])
def test_text_that_never_closes_is_returned_whole_with_a_doubt(
    config: WhisperConfig, tokenizer: Tokenizer, prompt: str
) -> None:
    desk = Desk(config, tokenizer, max_new_tokens=6, options=dataclasses.replace(ONCE, prompt=prompt))
    words = [WORD + index % 3 for index in range(200)]
    transcript, taken = desk.hear([stamp(0.2), *words])
    assert taken == transcript.num_tokens == SMALL.n_text_ctx - len(desk.slot.prompt.tokens)
    assert transcript.resume_ms is None
    (segment,) = transcript.segments
    assert (segment.start_ms, segment.end_ms) == (200, 3000)
    assert segment.text == tokenizer.decode(words[: taken - 1])
    assert segment.quality is not None
    assert set(segment.quality.doubts) >= {"low_confidence"}


def test_without_timestamps_a_window_is_one_segment(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    desk = Desk(config, tokenizer, options=dataclasses.replace(ONCE, timestamps=False))
    transcript, _ = desk.hear([WORD, stamp(1), WORD + 1, END])
    (segment,) = transcript.segments
    assert (segment.start_ms, segment.end_ms, segment.text) == (0, 3000, tokenizer.decode([WORD, WORD + 1]))


@pytest.mark.parametrize("temperatures", [(0.0,), (0.0, 0.2)])
def test_a_window_without_speech_says_nothing_and_is_neither_resumed_nor_tried_again(
    config: WhisperConfig, tokenizer: Tokenizer, temperatures: tuple[float, ...]
) -> None:
    options = dataclasses.replace(ONCE, temperatures=temperatures)
    desk = Desk(config, tokenizer, max_new_tokens=4, options=options, no_speech_probability=0.9)
    transcript, _ = desk.hear([stamp(0), WORD, stamp(1.5), stamp(1.5)], sureness=4.0)  # a mean of about -3
    assert (transcript.segments, transcript.resume_ms) == ((), None)
    (omitted,) = transcript.omitted
    assert (omitted.text, omitted.end_ms) == (tokenizer.decode([WORD]), 1500)
    assert omitted.quality is not None
    assert omitted.quality.doubts == ("no_speech",)


def test_text_that_begins_where_the_audio_is_over_is_omitted(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    written = [stamp(0.2), WORD, stamp(2.9), stamp(2.9), WORD + 1, stamp(3.2), stamp(3.4), WORD + 2, stamp(5), END]
    transcript, _ = Desk(config, tokenizer).hear(written)
    assert [(segment.start_ms, segment.end_ms, segment.text) for segment in transcript.segments] == [
        (200, 2900, tokenizer.decode([WORD])),
        (2900, 3000, tokenizer.decode([WORD + 1])),
    ]
    (omitted,) = transcript.omitted
    assert (omitted.start_ms, omitted.end_ms, omitted.text) == (3000, 3000, tokenizer.decode([WORD + 2]))
    assert omitted.quality is not None
    assert omitted.quality.doubts == ("no_speech",)
    assert all(segment.quality and not segment.quality.doubts for segment in transcript.segments)


def test_a_loop_is_left_early_only_where_there_is_another_try(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    looping = [stamp(0), *[5, 6, 7, 8] * 30]
    desk = Desk(config, tokenizer, options=dataclasses.replace(ONCE, temperatures=(0.0, 0.4)))
    one, taken = desk.say(looping)
    assert taken == 40
    assert desk.finisher.settle(desk.slot, one.candidates) is None
    assert desk.slot.temperature == 0.4
    one, _ = desk.say([*looping[:70], END])
    assert len(one.tokens) == BEST_OF
    attempt = desk.finisher.settle(desk.slot, one.candidates)  # the last try goes on to its end
    assert attempt is not None
    assert attempt.quality.temperature == 0.4
    assert len(attempt.candidate.tokens) == 70
    assert attempt.quality.doubts == ("repetition",)


def test_the_ladder_stops_at_the_first_text_that_passes_and_keeps_the_best_if_none_does(
    config: WhisperConfig, tokenizer: Tokenizer
) -> None:
    unsure, sure = [stamp(0), WORD, 8, END], [stamp(0), WORD, 9, END]
    options = dataclasses.replace(ONCE, temperatures=(0.4, 0.0, 0.2, 0.2))  # in whatever order: rising
    desk = Desk(config, tokenizer, options=options)
    tried = []

    def try_with(tokens: list[int], sureness: float) -> Attempt | None:
        tried.append(desk.slot.temperature)
        return desk.finisher.settle(desk.slot, desk.say(tokens, sureness)[0].candidates)

    assert try_with(unsure, 9.0) is None
    kept = try_with(sure, 30.0)
    assert tried == [0.0, 0.2]
    assert kept is not None
    assert kept.quality.doubts == ()
    desk.slot.tries.clear()
    tried.clear()
    assert try_with(sure, 9.0) is None
    assert try_with([stamp(0), *[WORD] * 50, END], 30.0) is None
    kept = try_with([stamp(0), *[WORD] * 50, END], 30.0)
    assert tried == [0.0, 0.2, 0.4]
    assert kept is not None
    assert kept.candidate.tokens == tuple(sure[:-1])
    assert kept.quality.doubts == ("low_confidence",)


@pytest.mark.parametrize("beam_size", [1, 2])
def test_logits_that_are_no_numbers_end_a_row_and_are_told(
    config: WhisperConfig, tokenizer: Tokenizer, beam_size: int
) -> None:
    desk = Desk(config, tokenizer, beam_size=beam_size)
    desk.slot.first_logits = wanting(1, stamp(0))[0]
    one, neighbour = desk.writer.open(desk.slot), desk.writer.open(desk.slot)
    for token in (WORD, None, *[END] * 80):
        logits = wanting(2 * beam_size, token or WORD)
        if token is None:
            logits[:beam_size] = np.nan
        desk.writer.write([one, neighbour], logits)
    assert one.is_done
    assert neighbour.is_done
    for each, doubts, words in ((one, ("low_confidence",), [WORD]), (neighbour, (), [WORD, WORD])):
        desk.slot.tries.clear()
        attempt = desk.finisher.settle(desk.slot, each.candidates)
        assert attempt is not None
        (segment,) = desk.finisher.transcript(desk.slot, attempt).segments
        assert segment.text == tokenizer.decode(words)
        assert segment.quality is not None
        assert segment.quality.doubts == doubts


def test_a_window_of_which_nothing_can_be_computed_is_reported(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    desk = Desk(config, tokenizer)
    desk.slot.first_logits = np.full(SMALL.n_vocab, np.nan, np.float32)
    attempt = desk.finisher.settle(desk.slot, desk.writer.open(desk.slot).candidates)
    assert attempt is not None
    transcript = desk.finisher.transcript(desk.slot, attempt)
    assert transcript.segments == ()
    (omitted,) = transcript.omitted
    assert (omitted.start_ms, omitted.end_ms, omitted.text) == (0, 3000, "")


def test_what_is_fed_follows_the_prompt_and_never_overwrites_it(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    desk = Desk(config, tokenizer)
    desk.slot.first_logits = wanting(1, stamp(0))[0]
    one = desk.writer.open(desk.slot)
    fed = [(one.positions, one.next_tokens)]
    for token in (WORD, 6, END, 7):
        desk.writer.write([one], wanting(1, token))
        fed.append((one.positions, one.next_tokens))
    assert fed == [([3], [stamp(0)]), ([4], [WORD]), ([5], [6]), ([5], [6]), ([5], [6])]
    desk.slot.first_logits = np.full(SMALL.n_vocab, np.nan, np.float32)
    assert desk.writer.open(desk.slot).positions == [3]


def test_beams_say_whom_they_continue(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    desk = Desk(config, tokenizer, beam_size=2)
    first = np.zeros(SMALL.n_vocab, np.float32)
    first[[stamp(0), stamp(0.5)]] = 20, 19.9
    desk.slot.first_logits = first
    one = desk.writer.open(desk.slot)
    assert isinstance(one, BeamSearchPass)
    assert one.tokens == [[stamp(0)], [stamp(0.5)]]
    logits = wanting(2, WORD)
    logits[0, [WORD, 6]] = 15  # the first row is torn between two words, so the second overtakes it
    desk.writer.write([one], logits)
    assert one.tokens == [[stamp(0.5), WORD], [stamp(0), WORD]]
    assert one.parents.tolist() == [1, 0]


def test_words_belong_to_the_segments_in_turn(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    desk = Desk(config, tokenizer)
    one, _ = desk.say([stamp(0), WORD, stamp(1), stamp(1), 6, stamp(2), END])
    attempt = desk.finisher.settle(desk.slot, one.candidates)
    assert attempt is not None
    spans = desk.finisher.spans(desk.slot, attempt)
    assert [(span.start_ms, span.tokens) for span in spans] == [(0, (WORD,)), (1000, (6,))]
    assert all(len(span.logprobs) == 1 for span in spans)
    words = [(Word(span.start_ms, span.end_ms, tokenizer.decode(span.tokens)),) for span in spans]
    segments = desk.finisher.transcript(desk.slot, attempt, words).segments
    assert [segment.words for segment in segments] == words
