"""Training windows are spliced from clips as their plan says."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.clips import SAMPLE_RATE, Clip, ClipInfo, ClipStore, write_shard
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


def test_as_many_windows_as_wanted_are_spoken_by_drawn_speakers(tmp_path: Path) -> None:
    pcm = np.full(SAMPLE_RATE, 1000, np.int16)
    for family, voices in (("espeak", ("en", "en-us")), ("drawn", ("slt~1", "awb~2", "awb~3"))):
        infos = [ClipInfo(f"{voice} {n}.", family, voice, "train", []) for voice in voices for n in range(20)]
        write_shard(tmp_path, f"train-{family}-000", (Clip(info, pcm) for info in infos))
    maker, rng = WindowMaker(ClipStore(tmp_path), "train"), random.Random(1)
    shares = [0.0, 0.7, 1.0]
    plans = [replace(PLAN, frequent_voices=("en",), drawn_share=share) for share in shares]
    counts = [sum("~" in maker.window(rng, plan).sentences[0].text for _ in range(100)) for plan in plans]
    assert counts[0] < 50 < counts[1] < counts[2] == 100, "without a wish, those that half of the windows leave"
