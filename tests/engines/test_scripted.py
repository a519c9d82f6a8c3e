"""The scripted engine is believed by every other test, so its own promises are checked here."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.engines.protocol import Engine, WindowJob
from asr_api.errors import CheckpointError
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from tests.engines.contract import EngineContract
from tests.engines.scripted import FAIL, MAX_NUMBER, Script, ScriptedEngine, hear, say

numbers_lists = st.lists(st.integers(1, MAX_NUMBER), max_size=8)


class TestScripted(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return ScriptedEngine(Script(steps_per_window=3))

    def pcm(self, engine: Engine, index: int) -> Pcm:
        num_words = int(engine.info.window_s) if index % 2 else 3
        return say(range(index + 1, index + 1 + num_words))


def job(job_id: int, pcm: Pcm) -> WindowJob:
    return WindowJob(job_id, pcm, DecodeOptions())


@given(numbers_lists)
@settings(max_examples=30, deadline=None)
def test_it_hears_what_was_said_and_when(numbers: list[int]) -> None:
    segments = hear(say(numbers, word_s=0.2, pause_s=0.1))
    assert [segment.text for segment in segments] == [f" {number}" for number in numbers]
    assert [segment.start_ms for segment in segments] == [300 * n for n in range(len(numbers))]
    assert all(segment.end_ms - segment.start_ms == 200 for segment in segments)


@given(numbers_lists, st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_passes_with_few_words_add_up_to_the_whole(numbers: list[int], max_words: int) -> None:
    engine = ScriptedEngine(Script(max_words=max_words))
    pcm, texts, resume_ms = say(numbers, word_s=0.1, pause_s=0.1), [], 0
    for n in range(len(numbers) + 1):
        engine.admit([job(n, pcm[resume_ms * 16 :])])
        transcript = engine.step()[0].transcript
        assert len(transcript.segments) <= max_words
        texts += [segment.text for segment in transcript.segments]
        if transcript.resume_ms is None:
            break
        assert transcript.resume_ms > 0
        resume_ms += transcript.resume_ms
    assert texts == [f" {number}" for number in numbers]


def test_slots_are_taken_by_windows_and_freed_by_the_last_step_or_a_cancel() -> None:
    engine = ScriptedEngine(Script(n_slots=2, steps_per_window=2))
    engine.admit([job(1, say([1])), job(2, say([2]))])
    assert engine.free_slots == 0
    with pytest.raises(ValueError, match="0 free slots"):
        engine.admit([job(3, say([3]))])
    assert engine.step() == []
    engine.cancel([2, 99])
    assert engine.free_slots == 1
    assert [finished.job_id for finished in engine.step()] == [1]
    assert engine.free_slots == 2


def test_a_mark_makes_it_fail_and_does_not_change_the_word() -> None:
    engine = ScriptedEngine(Script())
    pcm = say([5], mark=FAIL)
    assert [segment.text for segment in hear(pcm)] == [" 5"]
    engine.admit([job(1, pcm)])
    with pytest.raises(RuntimeError):
        engine.step()


def test_a_script_travels_and_can_refuse_to_load() -> None:
    script = pickle.loads(pickle.dumps(Script(load_error="no such checkpoint")))
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        ScriptedEngine(script)


def test_silence_is_no_speech() -> None:
    engine = ScriptedEngine(Script())
    engine.admit([job(1, np.zeros(16_000, np.int16))])
    transcript = engine.step()[0].transcript
    assert transcript.segments == ()
