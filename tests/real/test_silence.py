"""Where nobody speaks nothing is written, and silence or noise before speech change neither its text nor its times."""

from __future__ import annotations

import numpy as np
import pytest

from asr_api.benchmark.speech import wav_bytes
from benchmarks.peers.audio import pcm
from tests.product.samples import words
from tests.real.noises import KINDS, noise
from tests.real.real_server import RealServer
from tests.real.recordings import sample, silence

pytestmark = pytest.mark.real

LEVELS_DB = [-20.0, -45.0]
LENGTH_S = 40.0  # two pieces


@pytest.mark.parametrize("level_db", LEVELS_DB)
@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_no_text_without_doubts(base: RealServer, kind: str, level_db: float) -> None:
    chunks = base.json(wav_bytes(noise(kind, LENGTH_S, level_db)))["chunks"]
    assert [chunk["text"] for chunk in chunks if not chunk.get("doubts")] == []


def test_the_prompt_is_not_written_for_noise(base: RealServer) -> None:
    prompt = "The patient is called Mister Albrook and takes aspirin."
    assert "Albrook" not in base.text(wav_bytes(noise("pink", 12, -30.0)), prompt=prompt)


def test_noise_after_speech_adds_no_text_without_doubts(base: RealServer) -> None:
    spoken = pcm(sample("timer.mp3").path)
    reply = base.json(wav_bytes(np.concatenate((spoken, noise("brown", 45, -45.0), spoken))))
    sure = "".join(chunk["text"] for chunk in reply["chunks"] if not chunk.get("doubts"))
    alone = words(base.text(wav_bytes(spoken)))
    assert words(sure) == [*alone, *alone]


@pytest.mark.parametrize("has_words", ["true", "false"])
def test_speech_behind_faint_noise_begins_where_it_begins(base: RealServer, has_words: str) -> None:
    lead = noise("pink", 12, -55.0)
    first = base.json(wav_bytes(np.concatenate((lead, pcm(sample("timer.mp3").path)))), words=has_words)["chunks"][0]
    alone = base.json(wav_bytes(pcm(sample("timer.mp3").path)), words=has_words)["chunks"][0]
    assert first["timestamp"][0] == pytest.approx(12 + alone["timestamp"][0], abs=0.3)
    if has_words == "true":
        assert first["words"][0]["timestamp"][0] == first["timestamp"][0]


def test_ten_seconds_of_silence_before_only_shift_the_times(base: RealServer) -> None:
    spoken = pcm(sample("minute.mp3").path)
    alone, later = (
        base.json(wav_bytes(part), words="true")["chunks"] for part in (spoken, np.concatenate((silence(10), spoken)))
    )
    assert [chunk["text"] for chunk in later] == [chunk["text"] for chunk in alone]
    times = [[round(time_s + 10, 3) for word in chunk["words"] for time_s in word["timestamp"]] for chunk in alone]
    assert [[time_s for word in chunk["words"] for time_s in word["timestamp"]] for chunk in later] == times
