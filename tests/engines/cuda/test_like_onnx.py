"""The CUDA engine gives the transcripts of the ONNX engine in float32: temperature fallback, words, limits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.resolve import BUILTIN_FOLDER
from asr_api.options import DecodeOptions
from asr_api.transcript import Quality, WindowTranscript
from tests.engines.cuda.cuda_engines import open_cuda
from tests.engines.sounds import sound
from tests.engines.whisper_checkpoints import SMALL_128, write_checkpoint

pytest.importorskip("onnx")  # and with it ONNX Runtime, which only the engine may load

from tests.engines.transcribing import open_onnx, transcribe
from tests.parity.speech import recordings

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


OPTIONS = {
    "all temperatures": DecodeOptions(),
    "sampled from the start": DecodeOptions(temperatures=(0.7,), language="de"),
    "no timestamps": DecodeOptions(timestamps=False),
    "after a prompt": DecodeOptions(prompt="An earlier sentence.", hotwords="Ada"),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("beam_size", [1, 3])
def test_fallback_and_words_equal_onnx(name: str, beam_size: int, folders: dict[str, Path]) -> None:
    """Texts of random weights hardly pass a quality test, so many temperatures are used."""
    options = dataclasses.replace(OPTIONS[name], words=True)
    windows = [sound(3 * (0.3 + 0.2 * seed), seed) for seed in range(4)]
    folder = folders["mels128"]
    ours = transcribe(open_cuda(folder, n_slots=3, beam_size=beam_size), windows, options)
    theirs = transcribe(open_onnx(folder, n_slots=3, beam_size=beam_size), windows, options)
    for our, their in zip(ours, theirs, strict=True):
        assert our.prompt == their.prompt
        assert our.tokens == their.tokens
        assert_equal(our, their)
    if name == "no timestamps" and beam_size == 1:
        assert any(quality.temperature > 0 for result in ours for quality in qualities(result))


def qualities(transcript: WindowTranscript) -> list[Quality]:
    return [segment.quality for segment in (*transcript.segments, *transcript.omitted) if segment.quality]


def assert_equal(ours: WindowTranscript, theirs: WindowTranscript) -> None:
    for name in ("segments", "omitted", "language", "num_tokens", "resume_ms"):
        assert getattr(ours, name) == getattr(theirs, name)
    for our, their in zip(qualities(ours), qualities(theirs), strict=True):
        assert dataclasses.astuple(our)[:-1] == pytest.approx(dataclasses.astuple(their)[:-1], abs=1e-3)


def test_pass_at_its_token_limit_is_resumed(folders: dict[str, Path]) -> None:
    engines = (open_engine(folders["english"], max_new_tokens=12) for open_engine in (open_cuda, open_onnx))
    ours, theirs = (transcribe(engine, [sound(3, 1)])[0] for engine in engines)
    assert_equal(ours, theirs)
    assert ours.resume_ms


def test_untied_output_projection_is_used(tmp_path: Path) -> None:
    untied = write_checkpoint(tmp_path / "untied", SMALL_128, output_projection="other")
    ours, theirs = (transcribe(open_engine(untied), [sound(3, 0)])[0] for open_engine in (open_cuda, open_onnx))
    assert ours.tokens == theirs.tokens


def test_transcripts_of_recordings_equal_onnx() -> None:
    """The built-in model, with word timestamps."""
    options = DecodeOptions(words=True)
    ours = transcribe(open_cuda(BUILTIN_FOLDER, max_new_tokens=128), recordings()[:6], options)
    theirs = transcribe(open_onnx(BUILTIN_FOLDER, max_new_tokens=128), recordings()[:6], options)
    for our, their in zip(ours, theirs, strict=True):
        assert_equal(our, their)
        assert all(segment.words for segment in our.segments)
