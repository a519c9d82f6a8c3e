"""Formats of a checkpoint: the same weights give the same tokens from each, and rounded ones almost the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from asr_api.engines.onnx.engine import OnnxEngine
from asr_api.engines.protocol import ComputeType
from benchmarks.peers.audio import pcm
from tests.engines.ctranslate2_files import write_ctranslate2
from tests.engines.transcribing import AT_ZERO, TracedTranscript, open_onnx, tokens_of, transcribe
from tests.real.real_server import BASE, TINY_EN
from tests.real.recordings import has_recordings, kennedy, sample, samples, speech
from tests.real.weights import installed_files, transformers_copy, weight_files
from tests.real.word_errors import total_errors

pytestmark = pytest.mark.real

MAX_DIFFERENCE_PERCENT = 0.5
# One word of the speech; of the synthetic voices, of which tiny.en reads every fourth word wrongly, four.
TOLERANCE_PERCENT = 0.5 if has_recordings() else 4.0


@dataclass(frozen=True, slots=True)
class Formats:
    """model_id: of the packages, in CTranslate2's format and float16; folder: of transformers, in float32"""

    model_id: str
    folder: Path

    def open_package(self, compute_type: ComputeType) -> OnnxEngine:
        files = installed_files(self.model_id)
        return open_onnx(files.folder, weight_files=weight_files(files), compute_type=compute_type, num_threads=0)

    def open_folder(self, compute_type: ComputeType) -> OnnxEngine:
        return open_onnx(self.folder, compute_type=compute_type, num_threads=0)


@pytest.fixture(scope="module", params=[TINY_EN, BASE])
def formats(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Formats:
    return Formats(request.param, transformers_copy(request.param, tmp_path_factory.mktemp("transformers")))


def with_and_without_timestamps(engine: OnnxEngine) -> list[TracedTranscript]:
    clips = [kennedy(), *speech("fleurs-en")[:1]] if has_recordings() else [sample("number.aiff")]
    clips.append(sample("weather.m4a"))
    windows = [pcm(clip.path) for clip in clips]
    without = replace(AT_ZERO, timestamps=False)
    return transcribe(engine, [*windows, *windows], [AT_ZERO] * len(windows) + [without] * len(windows))


@pytest.mark.parametrize("compute_type", ["float32", "int8"])
def test_tokens_are_those_of_the_other_format(formats: Formats, compute_type: ComputeType) -> None:
    package = with_and_without_timestamps(formats.open_package(compute_type))
    folder = with_and_without_timestamps(formats.open_folder(compute_type))
    assert tokens_of(package) == tokens_of(folder)
    assert package == folder
    assert len(set(tokens_of(package))) > len(package) / 2


def percent_wrong(engine: OnnxEngine) -> float:
    clips = speech("fleurs-en", "read") if has_recordings() else samples()[:-1]
    transcripts: Sequence[TracedTranscript] = transcribe(engine, [pcm(clip.path) for clip in clips])
    texts = ["".join(segment.text for segment in transcript.segments) for transcript in transcripts]
    return total_errors(zip([clip.text for clip in clips], texts, strict=True)).percent


def test_weights_in_whole_numbers(tmp_path: Path) -> None:
    """Of tiny.en, in all types that model.bin can have for them."""
    exact = Formats(TINY_EN, transformers_copy(TINY_EN, tmp_path / "exact"))
    expected = percent_wrong(exact.open_folder("float32"))
    for dtype in ("int8", "int16"):
        found = percent_wrong(open_onnx(write_ctranslate2(exact.folder, tmp_path / dtype, dtype), num_threads=0))
        print(f"weights in {dtype}: {found:.2f} %, in float32 {expected:.2f} %")
        assert abs(found - expected) <= MAX_DIFFERENCE_PERCENT + TOLERANCE_PERCENT
