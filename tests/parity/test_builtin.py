"""The built-in model gives the same tokens as in transformers, whatever its weights are."""

from __future__ import annotations

import pytest

from asr_api.engines.checkpoints.resolve import BUILTIN_FOLDER
from asr_api.options import DecodeOptions
from tests.engines.transcribing import open_onnx, transcribe
from tests.parity.clips import NUM_CLIPS, clips
from tests.parity.reference import ReferenceModel, assert_equal
from tests.parity.speech import recordings

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(not BUILTIN_FOLDER.is_dir(), reason="the built-in model is not in this checkout"),
    pytest.mark.skipif(not recordings(), reason="no recordings of speech on this machine"),
]

GREEDY = DecodeOptions(temperatures=(0.0,))
AT_ONCE = 10


def test_fifty_clips() -> None:
    windows = clips()
    options = [GREEDY] * len(windows)
    theirs = ReferenceModel(BUILTIN_FOLDER)
    transcripts = transcribe(open_onnx(BUILTIN_FOLDER, n_slots=AT_ONCE), windows, options)
    for begin in range(0, NUM_CLIPS, AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        assert_equal(theirs, windows[part], transcripts[part], theirs.generate(windows[part], options[part]))
    assert len({transcript.tokens for transcript in transcripts}) > NUM_CLIPS / 2


def test_beams() -> None:
    windows = recordings()[:4]
    options = [GREEDY] * len(windows)
    theirs = ReferenceModel(BUILTIN_FOLDER)
    for beam_size in (2, 5):
        transcripts = transcribe(open_onnx(BUILTIN_FOLDER, beam_size=beam_size), windows, options)
        assert_equal(theirs, windows, transcripts, theirs.generate(windows, options, beam_size))
