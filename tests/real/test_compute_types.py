"""Compute types: products in 8 bits write almost the words of float32, with real weights and over all clips.

Limits are measured figures of int8 with a margin. Most words that change are wrong in both types: where a model is
unsure, rounding decides.
"""

from __future__ import annotations

import pytest

from benchmarks.quality.recording import Recording
from tests.real.conftest import Servers
from tests.real.real_server import BASE, COMPUTE_TYPES, TINY_EN
from tests.real.recordings import FLEURS, needs_recordings, samples, speech
from tests.real.word_errors import total_errors

pytestmark = pytest.mark.real

EIGHT_BITS = [name for name in COMPUTE_TYPES if name != "float32"]
MAX_PERCENT = {BASE: 3.0, TINY_EN: 2.0}  # measured: 20 of 831 words, 5 of 346
MAX_SAMPLES_PERCENT = {BASE: 10.0, TINY_EN: 9.0}  # measured: 13 of 152 words, 4 of 161


def percent_changed(servers: Servers, model_id: str, compute_type: str, recordings: list[Recording]) -> float:
    exact, texts = (servers.get(model_id, each).texts(recordings) for each in ("float32", compute_type))
    errors = total_errors(zip(exact, texts, strict=True))
    print(f"{model_id}, {compute_type}: {errors}, {errors.percent:.2f} %")
    return errors.percent


@needs_recordings
@pytest.mark.parametrize("compute_type", EIGHT_BITS)
def test_base(servers: Servers, compute_type: str) -> None:
    recordings = speech(*FLEURS, "lj", "read")
    assert percent_changed(servers, BASE, compute_type, recordings) <= MAX_PERCENT[BASE]


@needs_recordings
@pytest.mark.parametrize("compute_type", EIGHT_BITS)
def test_no_more_words_are_wrong(servers: Servers, compute_type: str) -> None:
    """Measured: 145 in int8 and 147 in float32, of 826."""
    recordings = speech(*FLEURS, "lj", "read")
    exact, errors = (servers.get(BASE, each).errors(recordings) for each in ("float32", compute_type))
    assert errors.percent <= exact.percent + 1, (exact, errors)


@needs_recordings
@pytest.mark.parametrize("compute_type", EIGHT_BITS)
def test_tiny_en(servers: Servers, compute_type: str) -> None:
    recordings = speech("fleurs-en", "lj", "read")
    assert percent_changed(servers, TINY_EN, compute_type, recordings) <= MAX_PERCENT[TINY_EN]


@pytest.mark.parametrize("compute_type", EIGHT_BITS)
@pytest.mark.parametrize("model_id", [BASE, TINY_EN])
def test_synthetic_voices(servers: Servers, model_id: str, compute_type: str) -> None:
    """The models read them with many errors, and are unsure more often."""
    assert percent_changed(servers, model_id, compute_type, samples()) <= MAX_SAMPLES_PERCENT[model_id]
