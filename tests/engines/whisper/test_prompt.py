"""Prompts as OpenAI builds them, languages that are given or detected, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.prompt import Prompter
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from tests.engines.whisper_checkpoints import SMALL, SMALL_EN, write_checkpoint

START, NO_STAMPS = SMALL.special("startoftranscript"), SMALL.special("notimestamps")
ROOM = SMALL.n_text_ctx // 2 - 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("prompt"), SMALL)


@pytest.fixture(scope="module")
def config(folder: Path) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(folder))


@pytest.fixture(scope="module")
def prompter(folder: Path, config: WhisperConfig) -> Prompter:
    return Prompter(config, Tokenizer(read_tokenizer_files(folder)))


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Prompter:
    folder = write_checkpoint(tmp_path_factory.mktemp("english"), SMALL_EN)
    return Prompter(read_whisper_config(open_checkpoint(folder)), Tokenizer(read_tokenizer_files(folder)))


@pytest.mark.parametrize(
    ("options", "tail"),
    [
        (DecodeOptions(language="de"), ("de", "transcribe")),
        (DecodeOptions(language="German", task="translate"), ("de", "translate")),
        (DecodeOptions(language="de", timestamps=False), ("de", "transcribe", "notimestamps")),
        (DecodeOptions(languages=("fr",)), ("fr", "transcribe")),  # among one there is nothing to detect
        (DecodeOptions(language="de", languages=("fr", "en")), ("de", "transcribe")),
    ],
)
def test_a_known_language_gives_the_whole_prompt(
    prompter: Prompter, options: DecodeOptions, tail: tuple[str, ...]
) -> None:
    prompt = prompter.prompt(options)
    assert prompt.tokens == (START, *(SMALL.special(name) for name in tail))
    assert prompt.languages == ()


def test_an_english_only_model_has_neither_language_nor_task(english: Prompter) -> None:
    assert english.prompt(DecodeOptions()).tokens == (START,)
    assert english.prompt(DecodeOptions(timestamps=False)).tokens == (START, NO_STAMPS)
    assert english.prompt(DecodeOptions(language="en", languages=("en",))).language == "en"


def test_a_language_is_detected_among_those_allowed(prompter: Prompter) -> None:
    options = DecodeOptions(languages=("Finnish", "ko", "de", "fi"), task="translate", timestamps=False)
    prompt = prompter.prompt(options)
    assert (prompt.tokens, prompt.language, prompt.languages) == ((START,), None, ("fi", "ko", "de"))
    logits = np.full(SMALL.n_vocab, -30, np.float32)
    logits[SMALL.special("en")] = 9  # not allowed
    logits[SMALL.special("ko")], logits[SMALL.special("fi")] = np.log(0.6), np.log(0.2)
    guesses = prompter.guesses(logits, prompt.languages)
    assert [guess.code for guess in guesses] == ["ko", "fi", "de"]
    assert [guess.probability for guess in guesses] == pytest.approx([0.75, 0.25, 0], abs=1e-6)
    whole = prompter.detected(prompt, guesses, options)
    assert whole.tokens == (START, *map(SMALL.special, ("ko", "translate", "notimestamps")))
    assert whole.language == "ko"


def test_the_five_likeliest_of_all_languages_are_told(prompter: Prompter) -> None:
    prompt = prompter.prompt(DecodeOptions())
    assert len(prompt.languages) == 99
    logits = np.zeros(SMALL.n_vocab, np.float32)
    guesses = prompter.guesses(logits, prompt.languages)
    assert [guess.probability for guess in guesses] == pytest.approx([1 / 99] * 5)


def test_a_fine_tuned_model_speaks_its_language_unless_asked(folder: Path, config: WhisperConfig) -> None:
    prompter = Prompter(dataclasses.replace(config, language="hi"), Tokenizer(read_tokenizer_files(folder)))
    assert prompter.prompt(DecodeOptions()).language == "hi"
    assert prompter.prompt(DecodeOptions(language="en")).language == "en"
    assert prompter.prompt(DecodeOptions(languages=("en", "de"))).language is None


def test_earlier_text_comes_before_the_start_and_hotwords_before_it(prompter: Prompter, folder: Path) -> None:
    encode = Tokenizer(read_tokenizer_files(folder)).encode
    previous = SMALL.special("startofprev")
    options = DecodeOptions(language="en", prompt="  so it goes ", hotwords="Vonnegut")
    head = prompter.prompt(options).head
    assert head == (previous, *encode(" Vonnegut"), *encode(" so it goes"), START)
    assert prompter.prompt(dataclasses.replace(options, prompt=" ")).head == (previous, *encode(" Vonnegut"), START)
    assert prompter.prompt(DecodeOptions(language="en", prompt=" \n")).head == (START,)


def test_of_a_long_prompt_the_end_counts_and_hotwords_stay(prompter: Prompter, folder: Path) -> None:
    encode = Tokenizer(read_tokenizer_files(folder)).encode
    text = " ".join(map(str, range(100)))
    head = prompter.prompt(DecodeOptions(language="en", prompt=text)).head
    assert head[1:-1] == tuple(encode(f" {text}")[-ROOM:])
    hotwords = encode(f" {text}")[: ROOM // 2]
    head = prompter.prompt(DecodeOptions(language="en", prompt=text, hotwords=text)).head
    assert head[1:-1] == (*hotwords, *encode(f" {text}")[len(hotwords) - ROOM :])
    assert len(head) == ROOM + 2


def test_a_prompt_cannot_smuggle_special_tokens_in(prompter: Prompter) -> None:
    head = prompter.prompt(DecodeOptions(language="en", prompt="<|translate|><|0.00|><|endoftext|>")).head
    assert all(token < SMALL.end for token in head[1:-1])


def test_the_no_speech_probability_is_before_any_rule(prompter: Prompter) -> None:
    logits = np.full(SMALL.n_vocab, -40, np.float32)
    logits[SMALL.special("nospeech")], logits[5] = np.log(0.3), np.log(0.7)
    assert prompter.no_speech_probability(logits) == pytest.approx(0.3)
    assert prompter.no_speech_probability(np.full(SMALL.n_vocab, np.nan, np.float32)) == 0


def test_text_is_fed_without_earlier_text_and_cut_to_the_decoders_positions(prompter: Prompter) -> None:
    prompt = prompter.prompt(DecodeOptions(language="de", prompt="so", timestamps=False))
    fed = prompter.fed_text(prompt, [5, 6])
    assert fed.tokens == (*prompt.tokens[-4:], 5, 6, SMALL.end)
    assert fed.tokens[fed.first] == NO_STAMPS
    assert len(prompter.fed_text(prompt, [5] * 92).tokens) == SMALL.n_text_ctx


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (DecodeOptions(language="yue"), "language is yue.* en, zh"),
        (DecodeOptions(languages=("en", "yue")), "languages is yue.* en, zh"),
        (DecodeOptions(languages=("klingon",)), "klingon"),
    ],
)
def test_languages_that_the_model_does_not_know_are_named(
    prompter: Prompter, options: DecodeOptions, named: str
) -> None:
    with pytest.raises(InvalidParameter, match=named):
        prompter.prompt(options)


@pytest.mark.parametrize("options", [DecodeOptions(task="translate"), DecodeOptions(languages=("de", "en"))], ids=str)
def test_an_english_only_model_refuses_other_wishes(english: Prompter, options: DecodeOptions) -> None:
    with pytest.raises(InvalidParameter, match=r"English-only|knows en"):
        english.prompt(options)


def test_another_models_tokenizer_is_refused(config: WhisperConfig, folder: Path) -> None:
    with pytest.raises(CheckpointError, match="do not fit its vocabulary of 300"):
        Prompter(dataclasses.replace(config, n_vocab=300), Tokenizer(read_tokenizer_files(folder)))
