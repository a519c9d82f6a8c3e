"""The tokens of transformers' generate, one by one, on checkpoints of every shape, in mixed batches.

The weights are random, so the texts are nonsense and none passes a quality test: only temperature 0 is used.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from tests.engines.added_tokens import write_with_added_tokens
from tests.engines.sounds import sound
from tests.engines.transcribing import open_onnx, transcribe
from tests.engines.whisper_checkpoints import SMALL, SMALL_128, TINY, Shape, vocabulary, write_checkpoint
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
SECONDS = (10.0, 4.2, 9.99, 0.3, 7.0)
PROMPT = "Earlier, they wrote: 12 (twelve) days. "


Case = tuple[tuple[str, ...], int, DecodeOptions]
"""A language for each window, or none to let the model detect them; beam size; options."""


def case(languages: str = "", beam_size: int = 1, **options: Any) -> Case:
    return tuple(languages.split()), beam_size, DecodeOptions(temperatures=(0.0,), **options)


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
    """The same checkpoint in both."""

    shape: Shape
    folder: Path
    theirs: ReferenceModel


def pair_of(folder: Path, shape: Shape) -> Pair:
    write_checkpoint(folder, shape, seed=5)
    return Pair(shape, folder, ReferenceModel(folder))


@pytest.fixture(scope="module", params=SHAPES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair_of(tmp_path_factory.mktemp("parity"), SHAPES[request.param])


def assert_same_tokens(pair: Pair, windows: list[Pcm], case: Case) -> None:
    languages, beam_size, plain = case
    options = [dataclasses.replace(plain, language=code) for code in languages or len(windows) * (None,)]
    transcripts = transcribe(open_onnx(pair.folder, beam_size=beam_size), windows, options)
    assert_equal(transcripts, pair.theirs.generate(windows, options, beam_size))
    assert len({transcript.tokens for transcript in transcripts}) > len(windows) / 2  # they differ


@pytest.mark.parametrize("name", CASES)
def test_sounds(pair: Pair, name: str) -> None:
    languages, beam_size, options = CASES[name]
    if not pair.shape.is_multilingual and options.task == "translate":
        pytest.skip("an English-only model does not translate")
    windows = [sound(SECONDS[seed % 5], seed) for seed in range(len(languages) or 3)]
    if not pair.shape.is_multilingual:
        languages = ()
    assert_same_tokens(pair, windows, (languages, beam_size, options))


def test_languages_of_large_v3(pair: Pair) -> None:
    if pair.shape.num_languages < 100 or not pair.shape.is_multilingual:
        pytest.skip("only large-v3 and models made from it support Cantonese")
    assert_same_tokens(pair, [sound(8, 21), sound(9, 22)], case("yue su"))


@pytest.mark.parametrize("shape", [SMALL, SMALL_128])
def test_language_probabilities(shape: Shape, tmp_path: Path) -> None:
    """A shape and seed for which the languages of the windows differ."""
    folder = write_checkpoint(tmp_path, dataclasses.replace(shape, n_text_layer=2, n_text_ctx=40), seed=8)
    theirs, windows = ReferenceModel(folder), [sound(0.3 + 0.2 * seed, 100 + seed) for seed in range(12)]
    transcripts = transcribe(open_onnx(folder), windows, DecodeOptions(temperatures=(0.0,), prompt="It was so before."))
    for transcript, pcm in zip(transcripts, windows, strict=True):
        expected = theirs.language_probabilities(pcm)
        assert transcript.language == transcript.guesses[0].code == max(expected, key=expected.__getitem__)
        for guess in transcript.guesses:
            assert guess.probability == pytest.approx(expected[guess.code], abs=1e-4)
    assert len({transcript.language for transcript in transcripts}) > 1


def test_text_tokens_behind_the_timestamps(tmp_path: Path) -> None:
    """Without timestamps: with them, transformers takes such tokens for times. It refuses prompts that contain them."""
    plain, vocab = write_checkpoint(tmp_path / "plain", SMALL, seed=5), list(vocabulary(SMALL)[0])
    windows = [sound(0.4 + 0.2 * seed, seed) for seed in range(12)]
    options = DecodeOptions(temperatures=(0.0,), timestamps=False, prompt=PROMPT, language="de")
    sampled = Counter(
        token for transcript in transcribe(open_onnx(plain), windows, options) for token in transcript.tokens
    )
    frequent = [vocab[token] for token, _ in sampled.most_common() if token < SMALL.end]
    first = write_with_added_tokens(
        plain, tmp_path / "added", dict(zip((" children", "é", "三"), frequent, strict=False))
    )
    transcripts = transcribe(open_onnx(tmp_path / "added"), windows, options)
    assert_equal(transcripts, ReferenceModel(tmp_path / "added").generate(windows, [options] * len(windows)))
    assert any(token >= first for transcript in transcripts for token in transcript.tokens)


def test_size_of_tiny(tmp_path: Path) -> None:
    pair = pair_of(tmp_path / "tiny", TINY)
    assert_same_tokens(pair, [sound(30, 0), *recordings()[:1]], CASES["detected"])
    short = pair_of(tmp_path / "short", dataclasses.replace(TINY, n_text_ctx=64))  # 448 positions of beams take minutes
    assert_same_tokens(short, [sound(29.9, 2)], CASES["2 beams detected without timestamps"])
