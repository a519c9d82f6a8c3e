"""Prompts as OpenAI builds them, given and detected languages, and options that are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from tests.engines.whisper_checkpoints import SMALL, SMALL_EN, write_checkpoint

START, NO_TIMESTAMPS = SMALL.special("startoftranscript"), SMALL.special("notimestamps")
MAX_PREVIOUS = SMALL.n_text_ctx // 2 - 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("prompt"), SMALL)


@pytest.fixture(scope="module")
def config(folder: Path) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(folder))


@pytest.fixture(scope="module")
def prompts(folder: Path, config: WhisperConfig) -> PromptBuilder:
    return PromptBuilder(config, Tokenizer(read_tokenizer_files(folder)))


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> PromptBuilder:
    folder = write_checkpoint(tmp_path_factory.mktemp("english"), SMALL_EN)
    return PromptBuilder(read_whisper_config(open_checkpoint(folder)), Tokenizer(read_tokenizer_files(folder)))


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
    assert prompt.tokens == (START, *(SMALL.special(name) for name in tail))
    assert prompt.languages == ()


def test_english_only_prompt(english: PromptBuilder) -> None:
    assert english.build(DecodeOptions()).tokens == (START,)
    assert english.build(DecodeOptions(timestamps=False)).tokens == (START, NO_TIMESTAMPS)
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
    logits = np.zeros(SMALL.n_vocab, np.float32)
    guesses = prompts.guesses(logits, prompt.languages)
    assert [guess.probability for guess in guesses] == pytest.approx([1 / 99] * 5)


def test_language_of_a_fine_tuned_model(folder: Path, config: WhisperConfig) -> None:
    prompts = PromptBuilder(dataclasses.replace(config, language="hi"), Tokenizer(read_tokenizer_files(folder)))
    assert prompts.build(DecodeOptions()).language == "hi"
    assert prompts.build(DecodeOptions(language="en")).language == "en"
    assert prompts.build(DecodeOptions(languages=("en", "de"))).language is None


def test_hotwords_and_prompt_before_the_start(prompts: PromptBuilder, folder: Path) -> None:
    encode = Tokenizer(read_tokenizer_files(folder)).encode
    previous = SMALL.special("startofprev")
    options = DecodeOptions(language="en", prompt="  so it goes ", hotwords="Vonnegut")
    head = prompts.build(options).head
    assert head == (previous, *encode(" Vonnegut"), *encode(" so it goes"), START)
    assert prompts.build(dataclasses.replace(options, prompt=" ")).head == (previous, *encode(" Vonnegut"), START)
    assert prompts.build(DecodeOptions(language="en", prompt=" \n")).head == (START,)


def test_model_without_startofprev(config: WhisperConfig, folder: Path) -> None:
    tokenizer = Tokenizer(read_tokenizer_files(folder))
    tokenizer.start_of_previous = None
    prompts = PromptBuilder(config, tokenizer)
    assert prompts.build(DecodeOptions(language="en", previous_text="so it goes")).head == (START,)
    with pytest.raises(InvalidParameter, match="startofprev"):
        prompts.build(DecodeOptions(language="en", prompt="so it goes"))


def test_previous_text_takes_the_place_of_the_prompt(prompts: PromptBuilder, folder: Path) -> None:
    options = DecodeOptions(language="en", prompt="a style", previous_text="so it goes", hotwords="Vonnegut")
    encode = Tokenizer(read_tokenizer_files(folder)).encode
    expected = (SMALL.special("startofprev"), *encode(" Vonnegut"), *encode(" so it goes"), START)
    assert prompts.build(options).head == expected


def test_long_prompt_is_cut_at_its_beginning(prompts: PromptBuilder, folder: Path) -> None:
    encode = Tokenizer(read_tokenizer_files(folder)).encode
    text = " ".join(map(str, range(100)))
    head = prompts.build(DecodeOptions(language="en", prompt=text)).head
    assert head[1:-1] == tuple(encode(f" {text}")[-MAX_PREVIOUS:])
    hotwords = encode(f" {text}")[: MAX_PREVIOUS // 2]
    head = prompts.build(DecodeOptions(language="en", prompt=text, hotwords=text)).head
    assert head[1:-1] == (*hotwords, *encode(f" {text}")[len(hotwords) - MAX_PREVIOUS :])
    assert len(head) == MAX_PREVIOUS + 2


def test_prompt_has_no_special_tokens(prompts: PromptBuilder) -> None:
    head = prompts.build(DecodeOptions(language="en", prompt="<|translate|><|0.00|><|endoftext|>")).head
    assert all(token < SMALL.end for token in head[1:-1])


def test_no_speech_probability(prompts: PromptBuilder) -> None:
    logits = np.full(SMALL.n_vocab, -40, np.float32)
    logits[SMALL.special("nospeech")], logits[5] = np.log(0.3), np.log(0.7)
    assert prompts.no_speech_probability(logits) == pytest.approx(0.3)
    assert prompts.no_speech_probability(np.full(SMALL.n_vocab, np.nan, np.float32)) == 0


def test_alignment_text(prompts: PromptBuilder) -> None:
    prompt = prompts.build(DecodeOptions(language="de", prompt="so", timestamps=False))
    text = prompts.alignment_text(prompt, [5, 6])
    assert text.tokens == (*prompt.tokens[-4:], 5, 6, SMALL.end)
    assert text.tokens[text.first_row] == NO_TIMESTAMPS
    assert len(prompts.alignment_text(prompt, [5] * 92).tokens) == SMALL.n_text_ctx


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (DecodeOptions(language="yue"), "language is yue.* en, zh"),
        (DecodeOptions(languages=("en", "yue")), "languages is yue.* en, zh"),
        (DecodeOptions(languages=("klingon",)), "klingon"),
    ],
)
def test_unknown_languages_are_refused(prompts: PromptBuilder, options: DecodeOptions, named: str) -> None:
    with pytest.raises(InvalidParameter, match=named):
        prompts.build(options)


@pytest.mark.parametrize("options", [DecodeOptions(task="translate"), DecodeOptions(languages=("de", "en"))], ids=str)
def test_english_only_model_refuses_other_options(english: PromptBuilder, options: DecodeOptions) -> None:
    with pytest.raises(InvalidParameter, match=r"English-only|supports en"):
        english.build(options)


def test_tokenizer_of_another_model_is_refused(config: WhisperConfig, folder: Path) -> None:
    with pytest.raises(CheckpointError, match="do not fit its vocabulary of 300"):
        PromptBuilder(dataclasses.replace(config, n_vocab=300), Tokenizer(read_tokenizer_files(folder)))
