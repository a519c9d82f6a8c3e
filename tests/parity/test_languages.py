"""Language identification equals transformers' detect_language, with the same probabilities."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from asr_api.options import DecodeOptions
from tests.engines.sounds import sound
from tests.engines.transcribing import open_onnx, transcribe
from tests.engines.whisper_checkpoints import SMALL, SMALL_128, Shape, write_checkpoint
from tests.parity.reference import ReferenceModel

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

WINDOWS = [sound(0.3 + 0.2 * seed, 100 + seed) for seed in range(12)]


@pytest.mark.parametrize("shape", [SMALL, SMALL_128], ids=["99 languages", "100 languages"])
@pytest.mark.parametrize("prompt", ["", "It was said before."])
def test_language(shape: Shape, prompt: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", dataclasses.replace(shape, n_text_layer=2, n_text_ctx=40), seed=8)
    options = DecodeOptions(temperatures=(0.0,), prompt=prompt)
    theirs = ReferenceModel(folder)
    transcripts = transcribe(open_onnx(folder), WINDOWS, [options] * len(WINDOWS))
    detected = theirs.detect_language(WINDOWS)
    assert [transcript.language for transcript in transcripts] == [theirs.code_of(token) for token in detected]
    assert len(set(detected)) > 1
    for transcript, pcm in zip(transcripts, WINDOWS, strict=True):
        expected = theirs.language_probabilities(pcm)
        assert transcript.guesses[0].code == transcript.language
        for guess in transcript.guesses:
            assert guess.probability == pytest.approx(expected[guess.code], abs=1e-4)
