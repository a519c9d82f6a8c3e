"""Training windows are spliced from clips as their plan says."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.test_drawn import spoken
from training.clips import SAMPLE_RATE, Clip, ClipInfo, ClipStore, write_shard
from training.parallel import GROUP
from training.windows import WindowMaker, WindowPlan

PLAN = WindowPlan(length_ms=30_000, no_speech_share=0.0, cut_share=0.0, same_voice_share=1.0, frequent_voices=())


@pytest.fixture
def maker(tmp_path: Path) -> WindowMaker:
    """Windows of one voice's thirty sentences, each of one word that lasts a second."""
    pcm = np.full(SAMPLE_RATE, 1000, np.int16)
    infos = (ClipInfo(f"Word{number}.", "espeak", "en", "train", [[0, 1000]]) for number in range(30))
    write_shard(tmp_path, "train-espeak-000", (Clip(info, pcm) for info in infos))
    return WindowMaker(ClipStore(tmp_path), "train")


def test_some_windows_say_the_same_again_and_again(maker: WindowMaker) -> None:
    rng = random.Random(1)
    windows = [maker.window(rng, replace(PLAN, repeat_share=0.5)) for _ in range(40)]
    texts = [[sentence.text for sentence in window.sentences] for window in windows]
    num_repeating = sum(len(set(said)) <= 2 < len(said) for said in texts)
    assert 10 < num_repeating < 30


def test_a_plan_without_repetition_draws_from_all_clips(maker: WindowMaker) -> None:
    texts = {sentence.text for seed in range(5) for sentence in maker.window(random.Random(seed), PLAN).sentences}
    assert len(texts) > 15


def test_as_many_windows_as_wanted_are_of_parallel_clips(tmp_path: Path) -> None:
    espeak = [ClipInfo(f"En {number}.", "espeak", "en", "train", []) for number in range(20)]
    write_shard(tmp_path, "train-espeak-000", (Clip(info, np.full(SAMPLE_RATE, 1000, np.int16)) for info in espeak))
    write_shard(tmp_path, "train-parallel-000", (spoken(voice, n) for n, voice in enumerate(GROUP * 5)))
    maker, rng = WindowMaker(ClipStore(tmp_path), "train", ("espeak", "parallel")), random.Random(1)
    plans = [replace(PLAN, length_ms=3000, same_voice_share=0.0, parallel_share=share) for share in (0.0, 0.7, 1.0)]
    for plan, (fewest, most) in zip(plans, ((0, 0), (20, 80), (60, 60)), strict=True):
        windows = [maker.window(rng, plan) for _ in range(60)]
        num_parallel = sum((window.pcm != window.plain).any() for window in windows)
        assert fewest <= num_parallel <= most
        said = {sentence.text for window in windows for sentence in window.sentences}
        assert ("Hello." in said) == (most > 0), "parallel clips are in no other window"
    assert all("Hello" in sentence.text for window in windows for sentence in window.sentences)


def test_the_plain_take_of_a_window_is_what_the_plain_voice_says(tmp_path: Path) -> None:
    write_shard(tmp_path, "train-parallel-000", (spoken(voice, number) for number, voice in enumerate(GROUP)))
    maker, plain = WindowMaker(ClipStore(tmp_path), "train"), spoken(GROUP[0], 0).pcm / 32768
    plan = replace(PLAN, length_ms=3000, max_sentences=1, parallel_share=1.0)
    heard_voices = set()
    for seed in range(40):
        window = maker.window(random.Random(seed), plan)
        start = round(window.sentences[0].start_ms * SAMPLE_RATE / 1000)
        np.testing.assert_allclose(window.plain[start:][: len(plain)], plain, atol=1e-6)
        for number, voice in enumerate(GROUP):
            if np.allclose(window.pcm[start:][: len(plain)], spoken(voice, number).pcm / 32768, atol=1e-6):
                heard_voices.add(voice)
    assert heard_voices == set(GROUP[1:]), "each as it is now and then; the plain one only as a drawn speaker"


def test_windows_of_parallel_clips_without_such_clips_are_refused(maker: WindowMaker) -> None:
    with pytest.raises(ValueError, match=r"make some by training\.speech --parallel"):
        maker.window(random.Random(1), replace(PLAN, parallel_share=1.0))
