"""When a window is done, and what is made of what it said; the logits are written by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.protocol import FinishedJob, WindowJob
from asr_api.engines.whisper.slots import SlotTable
from asr_api.engines.whisper.spec import WhisperSpec, read_spec
from asr_api.errors import CheckpointError
from asr_api.options import TranscribeOptions
from asr_api.text.tokenizer import Tokenizer
from asr_api.transcript import Quality, WindowTranscript
from tests.engines.checkpoints import SMALL, write_checkpoint

BEGIN = SMALL.special("notimestamps") + 1
END = SMALL.end
WORD = 5  # any text token that is not suppressed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("slots"), SMALL)


@pytest.fixture(scope="module")
def spec(folder: Path) -> WhisperSpec:
    return read_spec(folder)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder)


def stamp(seconds: float) -> int:
    return BEGIN + round(seconds * 50)


def wanting(tokens: Sequence[int], sureness: float = 30.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Logits of a model that wants these tokens, one for each row."""
    logits = np.zeros((len(tokens), SMALL.n_vocab), np.float32)
    logits[np.arange(len(tokens)), tokens] = sureness
    return logits


def job(job_id: int, seconds: float = 3.0, language: str | None = "en") -> WindowJob:
    return WindowJob(job_id, np.zeros(int(16_000 * seconds), np.int16), TranscribeOptions(language=language))


def say(table: SlotTable, tokens: Sequence[int], sureness: float = 30.0) -> tuple[WindowTranscript | None, int]:
    """Feeds the prompt of a lone window, then its tokens; the transcript and how many of the tokens it took."""
    for _ in range(2):
        assert table.take(wanting([END])) == []
    for index, token in enumerate(tokens):
        finished = table.take(wanting([token], sureness))
        if finished:
            return finished[0].transcript, index + 1
    return None, len(tokens)


def test_prompt_then_own_tokens_are_fed_at_their_positions(spec: WhisperSpec, tokenizer: Tokenizer) -> None:
    table = SlotTable(spec, tokenizer, 100)
    table.add(job(0, language="de"))
    fed, said = [], [stamp(0), WORD, WORD]
    for wanted in (END, END, *said):
        fed += [(table.positions()[0], table.next_tokens()[0])]
        table.take(wanting([wanted]))
    prompt = [SMALL.special("startoftranscript"), SMALL.special("de"), SMALL.special("transcribe")]
    assert fed == list(enumerate([*prompt, *said[:-1]]))


def test_the_first_step_tells_language_and_silence(spec: WhisperSpec, tokenizer: Tokenizer) -> None:
    table = SlotTable(spec, tokenizer, 100)
    for job_id in range(2):
        table.add(job(job_id, language=None))
    logits = np.full((2, SMALL.n_vocab), -50, np.float32)
    logits[:, WORD] = np.log(0.25)  # no language, however likely
    logits[0, SMALL.special("ko")] = np.log(0.5)
    logits[0, SMALL.special("nospeech")] = np.log(0.25)
    logits[1, SMALL.special("fi")] = np.log(0.75)
    table.take(logits)
    assert table.next_tokens().tolist() == [SMALL.special("ko"), SMALL.special("fi")]
    table.take(wanting([END, END]))
    table.take(wanting([stamp(0), stamp(0)]))
    table.take(wanting([WORD, WORD]))
    finished = table.take(wanting([END, END]))
    assert [done.transcript.language for done in finished] == ["ko", "fi"]
    assert [quality_of(done).no_speech_probability for done in finished] == pytest.approx([0.25, 0], abs=1e-5)


def test_mean_logprob_counts_the_end_of_text(spec: WhisperSpec, tokenizer: Tokenizer) -> None:
    table = SlotTable(spec, tokenizer, 100)
    table.add(job(0))
    transcript, _ = say(table, [stamp(0), WORD, WORD, END], sureness=9.0)
    assert transcript is not None
    (segment,) = transcript.segments
    # The first stamp is one of 51; then all but the suppressed, the next time without <|0.00|>.
    kept = SMALL.n_vocab - len(spec.suppress_tokens) - 1
    competitors = [51, kept - 1501, kept - 1, kept - 1]
    logprobs = [9 - np.log(np.exp(9) + number - 1) for number in competitors]
    assert transcript.num_tokens == 3
    assert segment.quality is not None
    assert segment.quality.mean_logprob == pytest.approx(sum(logprobs) / 4, abs=1e-3)


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
    spec: WhisperSpec, tokenizer: Tokenizer, said: list[int], num_taken: int, end_ms: int, resume_ms: int | None
) -> None:
    table = SlotTable(spec, tokenizer, max_new_tokens=6)
    table.add(job(0))
    transcript, taken = say(table, said)
    assert transcript is not None
    assert taken == num_taken
    assert transcript.segments[-1].end_ms == end_ms
    assert transcript.resume_ms == resume_ms


def test_text_that_never_closes_is_returned_whole_at_the_last_position(spec: WhisperSpec, tokenizer: Tokenizer) -> None:
    table = SlotTable(spec, tokenizer, max_new_tokens=6)
    table.add(job(0))
    transcript, taken = say(table, [stamp(0.2), *[WORD] * 200])
    assert transcript is not None
    assert taken == transcript.num_tokens == SMALL.n_text_ctx - 3
    assert transcript.resume_ms is None
    (segment,) = transcript.segments
    assert (segment.start_ms, segment.end_ms) == (200, 3000)
    assert segment.text == tokenizer.decode([WORD] * (taken - 1))


def test_a_window_without_speech_says_nothing_and_is_not_resumed(spec: WhisperSpec, tokenizer: Tokenizer) -> None:
    for no_speech, expected in ((0.9, 0), (0.3, 1)):
        table = SlotTable(spec, tokenizer, max_new_tokens=4)
        table.add(job(0))
        logits = np.full((1, SMALL.n_vocab), -50, np.float32)
        logits[0, SMALL.special("nospeech")] = np.log(no_speech)
        logits[0, WORD] = np.log(1 - no_speech)
        table.take(logits)
        table.take(wanting([END]))
        finished: list[FinishedJob] = []
        for token in (stamp(0), WORD, stamp(1.5), stamp(1.5)):
            finished = table.take(wanting([token], sureness=4.0))  # unsure among hundreds
        (done,) = finished
        assert quality_of(done).mean_logprob < -1
        assert len(done.transcript.segments) == expected
        assert (done.transcript.resume_ms is None) is (expected == 0)


def test_the_checkpoints_own_language_is_the_default(spec: WhisperSpec, tokenizer: Tokenizer) -> None:
    table = SlotTable(dataclasses.replace(spec, language="hi"), tokenizer, 100)
    assert table.prompt_for(TranscribeOptions())[1] == SMALL.special("hi")
    assert table.prompt_for(TranscribeOptions(language="en"))[1] == SMALL.special("en")


def test_another_models_tokenizer_is_refused(spec: WhisperSpec, tokenizer: Tokenizer) -> None:
    with pytest.raises(CheckpointError, match="do not fit its vocabulary of 300"):
        SlotTable(dataclasses.replace(spec, n_vocab=300), tokenizer, 100)


def test_the_last_row_fills_a_freed_one(spec: WhisperSpec, tokenizer: Tokenizer) -> None:
    table = SlotTable(spec, tokenizer, 100)
    for job_id in range(4):
        table.add(job(job_id))
    assert table.free(1) == 3
    assert [table.row_of(job_id) for job_id in range(4)] == [0, None, 2, 1]
    assert table.free(2) == 2
    assert len(table) == 2


def quality_of(done: FinishedJob) -> Quality:
    (segment, *_) = done.transcript.segments or done.transcript.omitted
    assert segment.quality is not None
    return segment.quality
