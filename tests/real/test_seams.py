"""Seams with real weights: clips joined to a file of several windows have the words that the clips have alone.

The reference is the text of the same model for each clip alone, so that its own errors count nothing. What is left are
the words beside a cut, and words that the model spells otherwise when it has other sounds around them.
"""

from __future__ import annotations

import pytest

from asr_api.pcm import SAMPLE_RATE_HZ
from benchmarks.peers.audio import pcm
from benchmarks.quality.alignment import align
from benchmarks.quality.recording import Recording
from benchmarks.quality.repetition import doubled_runs
from tests.product.samples import words
from tests.real.real_server import RealServer
from tests.real.recordings import joined, kennedy, needs_recordings, recording, sample, speech
from tests.real.word_errors import long_runs, word_errors

pytestmark = pytest.mark.real

PAUSES_S = [0.2, 0.5]
MIN_LENGTH_S = 60
MIN_RUN = 5  # words in a row; fewer are a word that is heard otherwise
MARGIN_PERCENT = 3.0


def assert_same_words(server: RealServer, recordings: list[Recording], pause_s: float, max_percent: float) -> None:
    assert sum(len(pcm(each.path)) for each in recordings) > MIN_LENGTH_S * SAMPLE_RATE_HZ
    alone = " ".join(server.texts(recordings))
    together = server.text(joined(recordings, pause_s))
    assert long_runs(alone, together, MIN_RUN) == [], together
    doubled = doubled_runs(words(alone), words(together), align(words(alone), words(together)))
    assert [run for run in doubled if len(run) >= MIN_RUN] == [], together
    errors = word_errors(alone, together)
    assert errors.percent <= max_percent + MARGIN_PERCENT, (errors, together)


@pytest.mark.parametrize("pause_s", PAUSES_S)
def test_samples(base: RealServer, pause_s: float) -> None:
    names = ("minute.mp3", "weather.m4a", "dates.ogg", "film.mp4", "timer.mp3", "code.flac")
    assert_same_words(base, [sample(name) for name in names], pause_s, max_percent=3.9)


@needs_recordings
@pytest.mark.parametrize("pause_s", PAUSES_S)
def test_english(base: RealServer, pause_s: float) -> None:
    names = (
        "fleurs-en__fleurs_en_000",
        "lj__LJ001_0001",
        "fleurs-en__fleurs_en_006",
        "read__librispeech_1995_1837_0001",
        "lj__LJ001_0003",
    )
    recordings = [recording(name) for name in names]
    recordings.insert(2, kennedy())
    assert_same_words(base, recordings, pause_s, max_percent=2.9)


@needs_recordings
@pytest.mark.parametrize("pause_s", PAUSES_S)
@pytest.mark.parametrize("language", ["de", "pt"])
def test_other_languages(base: RealServer, language: str, pause_s: float) -> None:
    """The limit is for words that base is unsure of: alone, too, a fifth of them is wrong."""
    assert_same_words(base, speech(f"fleurs-{language}"), pause_s, max_percent=9.2)


@needs_recordings
def test_a_lost_clip(base: RealServer) -> None:
    """The limits are for a clip of 18 words that base leaves out in this file: its timestamps jump over loud speech.

    They may only become smaller.
    """
    french = speech("fleurs-fr")
    recordings = [*french, french[0], french[1]]
    alone = " ".join(base.texts(recordings))
    together = base.text(joined(recordings, 0.2))
    runs = long_runs(alone, together, MIN_RUN)
    assert len(runs) <= 1
    assert max(map(len, runs), default=0) <= 18
    assert word_errors(alone, together).percent <= 22.1 + MARGIN_PERCENT
