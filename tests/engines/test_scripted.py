"""The scripted engine itself, on which the tests of the service rely."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.engines.protocol import Engine, WindowJob
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from asr_api.transcript import Segment, WindowTranscript, Word
from tests.engines.contract import EngineContract
from tests.engines.scripted import MAX_NUMBER, Script, ScriptedEngine, number_pcm, read_numbers
from tests.engines.transcribing import run_jobs


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
    return run_jobs(ScriptedEngine(script or Script()), [WindowJob(0, pcm, options)])[0]


@given(st.lists(st.integers(1, MAX_NUMBER), max_size=8))
@settings(max_examples=30, deadline=None)
def test_numbers_are_read_with_their_times(numbers: list[int]) -> None:
    segments = read_numbers(number_pcm(numbers, word_s=0.2, pause_s=0.1))
    assert segments == [Segment(300 * n, 300 * n + 200, f" {number}") for n, number in enumerate(numbers)]
    assert [segment.tokens for segment in segments] == [(number,) for number in numbers]
    assert [segment.logprobs for segment in segments] == [(-number / 1000,) for number in numbers]


def test_options() -> None:
    pcm = number_pcm([3, 14])
    (translated, _) = transcribe(pcm, DecodeOptions(task="translate", words=True)).segments
    assert (translated.text, translated.words) == (" 3e", (Word(0, 500, " 3e"),))
    (joined,) = transcribe(pcm, DecodeOptions(timestamps=False)).segments
    assert (joined.start_ms, joined.end_ms, joined.text, joined.tokens) == (0, 2000, " 3 14", (3, 14))
    (asked,) = transcribe(pcm, DecodeOptions(timestamps=False, token_texts=True)).segments
    assert (asked.token_bytes, joined.token_bytes) == ((b" 3", b" 14"), ())
    doubtful = transcribe(pcm, DecodeOptions(temperatures=(0.0, 0.4)), Script(doubtful=(14,))).segments[1]
    assert doubtful.quality is not None
    assert doubtful.quality.temperature == 0.4
    assert transcribe(pcm, DecodeOptions(language="de")).language == "de"
