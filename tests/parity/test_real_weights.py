"""OpenAI's weights give the same tokens as in transformers, with and without timestamps, and the same languages.

The recordings are real speech where RECORDINGS names a folder of it, and the samples of the repository elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from benchmarks.peers.audio import pcm
from benchmarks.quality.recording import Recording
from tests.engines.transcribing import AT_ZERO, TracedTranscript, open_onnx, transcribe
from tests.parity.reference import Reference, ReferenceModel, assert_equal
from tests.real.real_server import BASE, TINY_EN
from tests.real.recordings import has_recordings, kennedy, recording, samples, speech
from tests.real.weights import transformers_copy

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

AT_ONCE = 7
OTHERS = ("common_voice_ja_24511055", "fleurs_zh_1883_clip5", "ru", "se10x016_08071999_1334_u0016003", "test_it_norm")


def english() -> list[Recording]:
    if not has_recordings():
        return samples()
    return [kennedy(), *speech("fleurs-en"), *speech("lj")[:3], *speech("read")[:3]]


def multilingual() -> list[Recording]:
    """Ten languages."""
    if not has_recordings():
        return samples()
    named = [recording(f"other__{name}") for name in OTHERS]
    fleurs = [speech(f"fleurs-{code}")[number] for code in ("de", "fr", "es", "pt") for number in (0, 3)]
    return [*named, *fleurs, kennedy()]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same weights in both, the windows, and their languages if the model can be told them."""

    folder: Path
    theirs: ReferenceModel
    windows: list[Pcm]
    languages: list[str | None]


@pytest.fixture(scope="module", params=[TINY_EN, BASE])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = transformers_copy(request.param, tmp_path_factory.mktemp("weights"))
    is_english = request.param == TINY_EN
    clips = english() if is_english else multilingual()
    assert max(clip.seconds for clip in clips if has_recordings()) <= 30
    languages = [None if is_english else clip.language for clip in clips]
    return Pair(folder, ReferenceModel(folder), [pcm(clip.path)[: 30 * 16_000] for clip in clips], languages)


def generate(theirs: ReferenceModel, windows: list[Pcm], options: Sequence[DecodeOptions]) -> list[Reference]:
    parts = [slice(begin, begin + AT_ONCE) for begin in range(0, len(windows), AT_ONCE)]
    return [reference for part in parts for reference in theirs.generate(windows[part], options[part])]


def ours(pair: Pair, options: Sequence[DecodeOptions]) -> list[TracedTranscript]:
    return transcribe(open_onnx(pair.folder, n_slots=AT_ONCE, num_threads=0), pair.windows, options)


def test_tokens_with_timestamps_in_a_detected_language(pair: Pair) -> None:
    """The prompt has the language that each of them has detected."""
    options = [AT_ZERO] * len(pair.windows)
    transcripts = ours(pair, options)
    assert_equal(transcripts, generate(pair.theirs, pair.windows, options))
    assert all(transcript.tokens for transcript in transcripts)


def test_tokens_without_timestamps_in_a_given_language(pair: Pair) -> None:
    options = [replace(AT_ZERO, timestamps=False, language=language) for language in pair.languages]
    transcripts = ours(pair, options)
    assert_equal(transcripts, generate(pair.theirs, pair.windows, options))
    assert len({transcript.tokens for transcript in transcripts}) > len(pair.windows) / 2
