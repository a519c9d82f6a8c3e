"""Prompts as OpenAI builds them, given and detected languages, and options that are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.transcript import Segment
from tests.engines.whisper_checkpoints import SMALL

START, PREVIOUS = SMALL.special("startoftranscript"), SMALL.special("startofprev")
MAX_PREVIOUS = SMALL.n_text_ctx // 2 - 1
EN = DecodeOptions(language="en")
EARLIER = (
    Segment(0, 1500, " so it", tokens=(5, 6)),
    Segment(1500, 2999, " goes", tokens=(7,)),
    Segment(200, 980, " on", tokens=(8,)),  # of the next window
)


def at(seconds: float) -> int:
    return SMALL.timestamps.start + round(seconds * 50)


@pytest.fixture
def prompts(config: WhisperConfig, tokenizer: Tokenizer) -> PromptBuilder:
    return PromptBuilder(config, tokenizer)


@pytest.fixture
def english(folders: dict[str, Path]) -> PromptBuilder:
    checkpoint = open_checkpoint(folders["english"])
    return PromptBuilder(read_whisper_config(checkpoint), Tokenizer(checkpoint.tokenizer))


@pytest.mark.parametrize(
    ("options", "tail"),
    [
        (DecodeOptions(language="de"), ("de", "transcribe")),
        (DecodeOptions(language="German", task="translate"), ("de", "translate")),
        (DecodeOptions(language="de", timestamps=False), ("de", "transcribe", "notimestamps")),
        (DecodeOptions(languages=("fr",)), ("fr", "transcribe")),  # with one language there is nothing to detect
        (DecodeOptions(language="de", languages=("fr", "en")), ("de", "transcribe")),
    ],
)
def test_given_language(prompts: PromptBuilder, options: DecodeOptions, tail: tuple[str, ...]) -> None:
    prompt = prompts.build(options)
    assert prompt.tokens == (START, *map(SMALL.special, tail))
    assert prompt.languages == ()


def test_english_only_prompt(english: PromptBuilder) -> None:
    assert english.build(DecodeOptions()).tokens == (START,)
    assert english.build(DecodeOptions(timestamps=False)).tokens == (START, SMALL.special("notimestamps"))
    assert english.build(DecodeOptions(language="en", languages=("en",))).language == "en"


def test_detection_among_allowed_languages(prompts: PromptBuilder) -> None:
    options = DecodeOptions(languages=("Finnish", "ko", "de", "fi"), task="translate", timestamps=False)
    prompt = prompts.build(options)
    assert (prompt.tokens, prompt.language, prompt.languages) == ((START,), None, ("fi", "ko", "de"))
    logits = np.full(SMALL.n_vocab, -30, np.float32)
    logits[SMALL.special("en")] = 9  # not allowed
    logits[SMALL.special("ko")], logits[SMALL.special("fi")] = np.log(0.6), np.log(0.2)
    guesses = prompts.guesses(logits, prompt.languages)
    assert [guess.code for guess in guesses] == ["ko", "fi", "de"]
    assert [guess.probability for guess in guesses] == pytest.approx([0.75, 0.25, 0], abs=1e-6)
    whole = prompts.with_language(prompt, guesses, options)
    assert whole.tokens == (START, *map(SMALL.special, ("ko", "translate", "notimestamps")))
    assert whole.language == "ko"


def test_five_best_guesses(prompts: PromptBuilder) -> None:
    prompt = prompts.build(DecodeOptions())
    assert len(prompt.languages) == 99
    guesses = prompts.guesses(np.zeros(SMALL.n_vocab, np.float32), prompt.languages)
    assert [guess.probability for guess in guesses] == pytest.approx([1 / 99] * 5)


def test_language_of_a_fine_tuned_model(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    prompts = PromptBuilder(dataclasses.replace(config, language="hi"), tokenizer)
    assert prompts.build(DecodeOptions()).language == "hi"
    assert prompts.build(EN).language == "en"
    assert prompts.build(DecodeOptions(languages=("en", "de"))).language is None


@pytest.mark.parametrize(
    ("prompt", "hotwords", "parts"),
    [
        ("  so it goes ", "Vonnegut", (" Vonnegut", " so it goes")),
        (" ", "Vonnegut", (" Vonnegut",)),
        (" \n", "", ()),
        ("<|translate|><|0.00|><|endoftext|>", "", (" <|translate|><|0.00|><|endoftext|>",)),
    ],
)
def test_prompt_is_before_the_start(
    prompts: PromptBuilder, tokenizer: Tokenizer, prompt: str, hotwords: str, parts: tuple[str, ...]
) -> None:
    options = dataclasses.replace(EN, prompt=prompt, hotwords=hotwords)
    tokens = [token for part in parts for token in tokenizer.encode(part)]
    assert all(token < SMALL.end for token in tokens)
    assert prompts.build(options).head == ((PREVIOUS, *tokens, START) if tokens else (START,))


@pytest.mark.parametrize("hotwords", ["", "Vonnegut"])
def test_previous_segments_replace_the_prompt(prompts: PromptBuilder, tokenizer: Tokenizer, hotwords: str) -> None:
    """As the model wrote them, in their windows: with timestamps where the window has some."""
    options = dataclasses.replace(EN, prompt="a style", hotwords=hotwords, previous_segments=EARLIER)
    first = tuple(tokenizer.encode(f" {hotwords}")) if hotwords else ()
    head = prompts.build(options).head
    assert head == (PREVIOUS, *first, at(0), 5, 6, at(1.5), at(1.5), 7, at(2.98), at(0.2), 8, at(0.98), START)
    plain = dataclasses.replace(options, timestamps=False)
    assert prompts.build(plain).head == (PREVIOUS, *first, 5, 6, 7, 8, START)


def test_previous_segments_without_tokens_are_skipped(prompts: PromptBuilder, tokenizer: Tokenizer) -> None:
    """A segment of which only a part was kept has none."""
    cut = Segment(100, 200, " goes")
    between = dataclasses.replace(EN, previous_segments=(EARLIER[0], cut, *EARLIER[1:], cut))
    assert prompts.build(between) == prompts.build(dataclasses.replace(EN, previous_segments=EARLIER))
    alone = dataclasses.replace(EN, previous_segments=(cut,))
    assert prompts.build(alone).head == (START,)
    with_prompt = dataclasses.replace(alone, prompt="a style")
    assert prompts.build(with_prompt).head == (PREVIOUS, *tokenizer.encode(" a style"), START)


def test_no_previous_timestamp_is_behind_the_last_one(prompts: PromptBuilder) -> None:
    late = Segment(29_999, 31_000, " a", tokens=(5,))
    head = prompts.build(dataclasses.replace(EN, previous_segments=(late,))).head
    assert head == (PREVIOUS, at(29.98), 5, SMALL.timestamps[-1], START)


def test_many_previous_segments_are_cut_at_their_beginning(prompts: PromptBuilder, tokenizer: Tokenizer) -> None:
    segments = tuple(Segment(20 * index, 20 * index + 20, " a", tokens=(index, index)) for index in range(50))
    tokens = [token for index in range(50) for token in (at(0.02 * index), index, index, at(0.02 * index + 0.02))]
    options = dataclasses.replace(EN, previous_segments=segments)
    assert prompts.build(options).head == (PREVIOUS, *tokens[-MAX_PREVIOUS:], START)
    hotwords = tokenizer.encode(" so it goes")
    head = prompts.build(dataclasses.replace(options, hotwords="so it goes")).head
    assert head == (PREVIOUS, *hotwords, *tokens[len(hotwords) - MAX_PREVIOUS :], START)


def test_a_prompt_of_whisper_holds_223_previous_tokens(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    prompts = PromptBuilder(dataclasses.replace(config, n_text_ctx=448), tokenizer)
    options = dataclasses.replace(EN, previous_segments=(Segment(0, 20_000, " a", tokens=(5,) * 300),))
    assert prompts.build(options).head == (PREVIOUS, *(5,) * 222, at(20), START)


def test_long_prompt_is_cut_at_its_beginning(prompts: PromptBuilder, tokenizer: Tokenizer) -> None:
    text = " ".join(map(str, range(100)))
    tokens = tokenizer.encode(f" {text}")
    assert prompts.build(dataclasses.replace(EN, prompt=text)).head[1:-1] == tuple(tokens[-MAX_PREVIOUS:])
    hotwords = tokens[: MAX_PREVIOUS // 2]
    head = prompts.build(dataclasses.replace(EN, prompt=text, hotwords=text)).head
    assert head[1:-1] == (*hotwords, *tokens[len(hotwords) - MAX_PREVIOUS :])
    assert len(head) == MAX_PREVIOUS + 2


def test_model_without_startofprev(config: WhisperConfig, folders: dict[str, Path]) -> None:
    tokenizer = Tokenizer(open_checkpoint(folders["multilingual"]).tokenizer)
    tokenizer.start_of_previous = None
    prompts = PromptBuilder(config, tokenizer)
    assert prompts.build(dataclasses.replace(EN, previous_segments=EARLIER)).head == (START,)
    with pytest.raises(InvalidParameter, match="startofprev"):
        prompts.build(dataclasses.replace(EN, prompt="so it goes"))


def test_no_speech_probability(prompts: PromptBuilder) -> None:
    logits = np.full(SMALL.n_vocab, -40, np.float32)
    logits[SMALL.special("nospeech")], logits[5] = np.log(0.3), np.log(0.7)
    assert prompts.no_speech_probability(logits) == pytest.approx(0.3)
    assert prompts.no_speech_probability(np.full(SMALL.n_vocab, np.nan, np.float32)) == 0


def test_alignment_text(prompts: PromptBuilder) -> None:
    prompt = prompts.build(DecodeOptions(language="de", prompt="so", timestamps=False))
    text = prompts.alignment_text(prompt, [5, 6])
    assert text.tokens == (*prompt.tokens[-4:], 5, 6, SMALL.end)
    assert text.tokens[text.first_row] == SMALL.special("notimestamps")
    assert len(prompts.alignment_text(prompt, [5] * 92).tokens) == SMALL.n_text_ctx


@pytest.mark.parametrize(
    ("model", "options", "named"),
    [
        ("prompts", DecodeOptions(language="yue"), "language is yue.* en, zh"),
        ("prompts", DecodeOptions(languages=("en", "yue")), "languages is yue.* en, zh"),
        ("prompts", DecodeOptions(languages=("klingon",)), "klingon"),
        ("english", DecodeOptions(task="translate"), "English-only"),
        ("english", DecodeOptions(languages=("de", "en")), "supports en"),
    ],
)
def test_unsupported_options_are_refused(
    request: pytest.FixtureRequest, model: str, options: DecodeOptions, named: str
) -> None:
    with pytest.raises(InvalidParameter, match=named):
        request.getfixturevalue(model).build(options)


def test_tokenizer_of_another_model_is_refused(config: WhisperConfig, tokenizer: Tokenizer) -> None:
    with pytest.raises(CheckpointError, match="do not fit its vocabulary of 300"):
        PromptBuilder(dataclasses.replace(config, n_vocab=300), tokenizer)
