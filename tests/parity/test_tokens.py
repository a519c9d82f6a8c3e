"""The tokens of transformers' generate, one by one, on checkpoints of every shape, in mixed batches.

The weights are random, so the texts are nonsense and none passes a quality test: only temperature 0 is used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asr_api.engines.onnx.engine import OnnxEngine
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from tests.engines.sounds import sound
from tests.engines.transcribing import open_onnx, transcribe
from tests.engines.whisper_checkpoints import TINY, Shape, write_checkpoint
from tests.parity.reference import ReferenceModel, assert_equal
from tests.parity.speech import recordings

pytestmark = [
    pytest.mark.parity,
    # torch and transformers warn about themselves.
    pytest.mark.filterwarnings("default"),
]

# As the originals in mel bands, layers, languages and heads per state, but narrow and short, to be fast enough.
NARROW = dataclasses.replace(
    TINY, n_state=128, n_head=2, n_audio_ctx=500, n_text_ctx=96, n_text_tokens=1000, end_gain=1.6
)
V3 = dataclasses.replace(NARROW, n_mels=128, num_languages=100)  # yue is the hundredth
SHAPES = {
    "base": dataclasses.replace(NARROW, n_audio_layer=6, n_text_layer=6),
    "tiny.en": dataclasses.replace(NARROW, is_multilingual=False, n_text_tokens=50256),
    "large-v3": dataclasses.replace(V3, n_audio_layer=6, n_text_layer=6),
    "turbo": dataclasses.replace(V3, n_audio_layer=8, n_text_layer=4),
    "distil": dataclasses.replace(V3, n_audio_layer=8, n_text_layer=2),
}
STORED = {
    "sharded float16": dataclasses.replace(NARROW, dtype="float16", num_shards=3),
    "bfloat16": dataclasses.replace(NARROW, dtype="bfloat16"),
}
SECONDS = (10.0, 4.2, 9.99, 0.3, 7.0)
BASE = DecodeOptions(temperatures=(0.0,))
PROMPT = "Earlier, they said: 12 (twelve) days. "


@dataclass(frozen=True, slots=True)
class Case:
    """languages: one for each window, or none to let the model detect them"""

    options: DecodeOptions
    languages: tuple[str, ...] = ()
    beam_size: int = 1


def case(languages: str = "", beam_size: int = 1, **options: Any) -> Case:
    return Case(dataclasses.replace(BASE, **options), tuple(languages.split()), beam_size)


FIVE = "de fr ja hi en"
CASES = {
    "detected": case(),
    "five languages": case(FIVE),
    "five languages without timestamps": case(FIVE, timestamps=False),
    "translate": case("es zh ru ar en", task="translate"),
    "translate detected without timestamps": case(task="translate", timestamps=False),
    "prompt": case(FIVE, prompt=PROMPT),
    "prompt without timestamps": case(FIVE, prompt=PROMPT, timestamps=False),
    "prompt longer than its room": case("en de", prompt=30 * PROMPT),
    "prompt, translate, detected": case(prompt=PROMPT, task="translate"),
    "2 beams": case(FIVE, 2),
    "2 beams detected without timestamps": case("", 2, timestamps=False),
    "5 beams": case("", 5),
    "5 beams with prompt without timestamps": case(FIVE, 5, prompt=PROMPT, timestamps=False),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """The same checkpoint in both, and our engine opened once for each number of beams."""

    shape: Shape
    folder: Path
    theirs: ReferenceModel
    engines: dict[int, OnnxEngine]

    def ours(self, beam_size: int) -> OnnxEngine:
        if beam_size not in self.engines:
            self.engines[beam_size] = open_onnx(self.folder, beam_size=beam_size)
        return self.engines[beam_size]


def pair_of(folder: Path, shape: Shape) -> Pair:
    write_checkpoint(folder, shape, seed=5)
    return Pair(shape, folder, ReferenceModel(folder), {})


@pytest.fixture(scope="module", params=SHAPES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = pair_of(tmp_path_factory.mktemp("parity") / request.param, SHAPES[request.param])
    yield pair
    for engine in pair.engines.values():
        engine.close()


def assert_same_tokens(pair: Pair, windows: list[Pcm], case: Case) -> None:
    codes = (*case.languages, *len(windows) * (None,))[: len(windows)]
    options = [dataclasses.replace(case.options, language=code) for code in codes]
    transcripts = transcribe(pair.ours(case.beam_size), windows, options)
    expected = pair.theirs.generate(windows, options, case.beam_size)
    assert_equal(pair.theirs, windows, transcripts, expected)
    assert (
        len({transcript.tokens for transcript in transcripts}) > len(windows) / 2
    )  # equality means something: they differ


@pytest.mark.parametrize("name", CASES)
def test_sounds(pair: Pair, name: str) -> None:
    case = CASES[name]
    if not pair.shape.is_multilingual:
        if case.options.task == "translate":
            pytest.skip("an English-only model does not translate")
        case = dataclasses.replace(case, languages=())
    num_windows = len(case.languages) or 3
    assert_same_tokens(pair, [sound(SECONDS[seed % 5], seed) for seed in range(num_windows)], case)


def test_languages_of_large_v3(pair: Pair) -> None:
    if pair.shape.num_languages < 100 or not pair.shape.is_multilingual:
        pytest.skip("only large-v3 and models made from it support Cantonese")
    assert_same_tokens(pair, [sound(8, 21), sound(9, 22)], case("yue su"))


@pytest.mark.parametrize("name", STORED)
def test_16_bit_checkpoints(name: str, tmp_path: Path) -> None:
    assert_same_tokens(pair_of(tmp_path / name, STORED[name]), [sound(10, 7), sound(8, 8)], CASES["detected"])


def test_size_of_tiny(tmp_path: Path) -> None:
    pair = pair_of(tmp_path / "tiny", TINY)
    assert_same_tokens(pair, [sound(30, 0), *recordings()[:1]], CASES["detected"])
    short = pair_of(tmp_path / "short", dataclasses.replace(TINY, n_text_ctx=64))  # 448 positions of beams take minutes
    assert_same_tokens(short, [sound(29.9, 2)], CASES["2 beams detected without timestamps"])
