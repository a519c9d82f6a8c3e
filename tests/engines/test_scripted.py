"""The scripted engine itself, on which the tests of the service rely."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.engines.protocol import Engine, WindowJob
from asr_api.errors import InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLES_PER_MS, Pcm
from asr_api.transcript import Segment, WindowTranscript, Word
from tests.engines.contract import EngineContract
from tests.engines.scripted import (
    MAX_NUMBER,
    Script,
    ScriptedEngine,
    logprob_of,
    number_pcm,
    read_numbers,
)

number_lists = st.lists(st.integers(1, MAX_NUMBER), max_size=8)


class TestScripted(EngineContract):
    mixed_options = (
        DecodeOptions(language="fr", task="translate", words=True),
        DecodeOptions(timestamps=False),
        DecodeOptions(languages=("de",)),
    )

    @pytest.fixture
    def engine(self) -> Engine:
        return ScriptedEngine(Script(steps_per_window=3))

    def pcm(self, engine: Engine, index: int) -> Pcm:
        num_words = int(engine.info.window_s) if index % 2 else 3
        return number_pcm(range(index + 1, index + 1 + num_words))


def transcribe(pcm: Pcm, options: DecodeOptions, script: Script | None = None) -> WindowTranscript:
    engine = ScriptedEngine(script or Script())
    engine.admit([WindowJob(0, pcm, options)])
    return engine.step()[0].transcript


@given(number_lists)
@settings(max_examples=30, deadline=None)
def test_numbers_are_read_with_their_times(numbers: list[int]) -> None:
    segments = read_numbers(number_pcm(numbers, word_s=0.2, pause_s=0.1))
    assert segments == [Segment(300 * n, 300 * n + 200, f" {number}") for n, number in enumerate(numbers)]
    assert [segment.tokens for segment in segments] == [(number,) for number in numbers]
    assert [segment.logprobs for segment in segments] == [(logprob_of(number),) for number in numbers]


@given(number_lists, st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_resumed_windows_lose_no_number(numbers: list[int], max_words: int) -> None:
    engine = ScriptedEngine(Script(max_words=max_words))
    pcm, texts, resume_ms = number_pcm(numbers, word_s=0.1, pause_s=0.1), [], 0
    for n in range(len(numbers) + 1):
        engine.admit([WindowJob(n, pcm[resume_ms * SAMPLES_PER_MS :], DecodeOptions())])
        transcript = engine.step()[0].transcript
        assert len(transcript.segments) <= max_words
        texts += [segment.text for segment in transcript.segments]
        if transcript.resume_ms is None:
            break
        assert transcript.resume_ms > 0
        resume_ms += transcript.resume_ms
    assert texts == [f" {number}" for number in numbers]


def test_options() -> None:
    pcm = number_pcm([3, 14])
    (translated, _) = transcribe(pcm, DecodeOptions(task="translate", words=True)).segments
    assert (translated.text, translated.words) == (" 3e", (Word(0, 500, " 3e"),))
    (joined,) = transcribe(pcm, DecodeOptions(timestamps=False)).segments
    assert (joined.start_ms, joined.end_ms, joined.text, joined.tokens) == (0, 2000, " 3 14", (3, 14))
    doubtful = transcribe(pcm, DecodeOptions(temperatures=(0.0, 0.4)), Script(doubtful=(14,))).segments[1]
    assert doubtful.quality is not None
    assert doubtful.quality.temperature == 0.4
    assert transcribe(pcm, DecodeOptions(language="de")).language == "de"


@pytest.mark.parametrize("options", [DecodeOptions(language="it"), DecodeOptions(languages=("en", "it"))])
def test_unknown_language_is_refused(options: DecodeOptions) -> None:
    with pytest.raises(InvalidParameter, match="'it'"):
        transcribe(number_pcm([3]), options)
