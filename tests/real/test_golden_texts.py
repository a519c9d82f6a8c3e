"""Texts of real weights against what was said, in every compute type that the machine has.

Numbers in digits count as errors where the reference spells them. Limits are measured figures of int8 with a
margin of two words in the smallest set, which another compute type or processor can change.
"""

from __future__ import annotations

import pytest

from tests.real.conftest import Servers
from tests.real.real_server import BASE, COMPUTE_TYPES, TINY_EN
from tests.real.recordings import FLEURS, kennedy, needs_recordings, samples, speech
from tests.real.word_errors import num_edits, word_errors

pytestmark = pytest.mark.real

MARGIN_PERCENT = 2.5
EVERY_TYPE = pytest.mark.parametrize("compute_type", COMPUTE_TYPES)
# Word error rates in percent; synthetic voices are far from what the models have learned.
SAMPLES_PERCENT = {BASE: 25.4, TINY_EN: 27.8}
PERCENT = {
    BASE: {
        "fleurs-en": 18.9, "fleurs-de": 22.6, "fleurs-fr": 33.6, "fleurs-es": 8.7, "fleurs-pt": 18.4,
        "lj": 13.2, "read": 9.2,
    },
    TINY_EN: {"fleurs-en": 10.4, "lj": 10.5, "read": 6.2},
}  # fmt: skip


@needs_recordings
@EVERY_TYPE
@pytest.mark.parametrize("model_id", [BASE, TINY_EN])
def test_kennedy(servers: Servers, model_id: str, compute_type: str) -> None:
    text = servers.get(model_id, compute_type).text(kennedy())
    assert num_edits(word_errors(kennedy().text, text)) <= 1, text


@EVERY_TYPE
@pytest.mark.parametrize("model_id", [BASE, TINY_EN])
def test_samples(servers: Servers, model_id: str, compute_type: str) -> None:
    errors = servers.get(model_id, compute_type).errors(samples())
    assert errors.percent <= SAMPLES_PERCENT[model_id] + MARGIN_PERCENT, errors


@needs_recordings
@pytest.mark.parametrize("group", [*FLEURS, "lj", "read"])
def test_speech(servers: Servers, group: str) -> None:
    errors = servers.get(BASE, "int8").errors(speech(group))
    assert errors.percent <= PERCENT[BASE][group] + MARGIN_PERCENT, errors


@needs_recordings
@pytest.mark.parametrize("group", ["fleurs-en", "lj", "read"])
def test_speech_by_the_english_model(servers: Servers, group: str) -> None:
    errors = servers.get(TINY_EN, "int8").errors(speech(group))
    assert errors.percent <= PERCENT[TINY_EN][group] + MARGIN_PERCENT, errors
