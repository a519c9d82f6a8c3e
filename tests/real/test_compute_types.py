"""Compute types: products in 8 bits write almost the words of float32, with real weights and over all clips."""

from __future__ import annotations

import pytest

from benchmarks.quality.recording import Recording
from tests.real.conftest import Servers
from tests.real.real_server import BASE, COMPUTE_TYPES, TINY_EN
from tests.real.recordings import FLEURS, needs_recordings, samples, speech
from tests.real.word_errors import total_errors

pytestmark = pytest.mark.real

EIGHT_BITS = [name for name in COMPUTE_TYPES if name != "float32"]


def percent_changed(servers: Servers, model_id: str, compute_type: str, recordings: list[Recording]) -> float:
    exact, texts = (servers.get(model_id, each).texts(recordings) for each in ("float32", compute_type))
    errors = total_errors(zip(exact, texts, strict=True))
    print(model_id, compute_type, errors, round(errors.percent, 2))
    return errors.percent


@needs_recordings
@pytest.mark.parametrize("compute_type", EIGHT_BITS)
def test_base(servers: Servers, compute_type: str) -> None:
    recordings = speech(*FLEURS, "lj", "read")
    assert percent_changed(servers, BASE, compute_type, recordings) <= 1


@needs_recordings
@pytest.mark.parametrize("compute_type", EIGHT_BITS)
def test_tiny_en(servers: Servers, compute_type: str) -> None:
    recordings = speech("fleurs-en", "lj", "read")
    assert percent_changed(servers, TINY_EN, compute_type, recordings) <= 1


@pytest.mark.parametrize("compute_type", EIGHT_BITS)
@pytest.mark.parametrize("model_id", [BASE, TINY_EN])
def test_synthetic_voices(servers: Servers, model_id: str, compute_type: str) -> None:
    """The limit is for voices that the models read with many errors: where they are unsure, rounding decides."""
    assert percent_changed(servers, model_id, compute_type, samples()) <= 5
