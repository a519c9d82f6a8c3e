"""Word times of real weights: words of two clips lie on their side of a silence between them, and none lies in it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from asr_api.pcm import SAMPLE_RATE_HZ
from benchmarks.peers.audio import pcm
from benchmarks.quality.recording import Recording
from tests.product.samples import words
from tests.real.real_server import RealServer
from tests.real.recordings import joined, kennedy, needs_recordings, recording, sample

pytestmark = pytest.mark.real

SILENCE_S = 2.0
# A word may end so long after the silence has begun, or begin so long before it has ended: the model gives a word that
# follows a pause some of the pause.
TOLERANCE_S = 0.3


@dataclass(frozen=True, slots=True)
class TimedWord:
    text: str
    start_s: float
    end_s: float


def timed_words(server: RealServer, audio: bytes) -> list[TimedWord]:
    chunks = server.json(audio, words="true")["chunks"]
    return [TimedWord(word["text"], *word["timestamp"]) for chunk in chunks for word in chunk["words"]]


def assert_on_both_sides(server: RealServer, first: Recording, second: Recording) -> None:
    end_s = len(pcm(first.path)) / SAMPLE_RATE_HZ
    start_s = end_s + SILENCE_S
    found = timed_words(server, joined([first, second], SILENCE_S))
    assert all(word.end_s <= end_s + TOLERANCE_S or word.start_s >= start_s - TOLERANCE_S for word in found), found
    for clip, part in (
        (first, [word for word in found if word.start_s < end_s]),
        (second, [word for word in found if word.start_s >= end_s]),
    ):
        assert words(" ".join(word.text for word in part)) == words(clip.text)
        assert all(word.start_s <= word.end_s for word in part)


@pytest.mark.parametrize(("first", "second"), [("weather.m4a", "dates.ogg"), ("film.mp4", "weather.m4a")])
def test_synthetic_voices(base: RealServer, first: str, second: str) -> None:
    assert_on_both_sides(base, sample(first), sample(second))


@needs_recordings
@pytest.mark.parametrize("is_reversed", [False, True])
def test_kennedy_and_a_reader(base: RealServer, is_reversed: bool) -> None:
    clips = [kennedy(), recording("lj__LJ001_0001")]
    assert_on_both_sides(base, *(reversed(clips) if is_reversed else clips))
