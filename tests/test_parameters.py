"""What a request may ask for, and the one sentence for everything else."""

from __future__ import annotations

import pytest

from asr_api.audio import vad
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import InvalidParameter
from asr_api.options import TranscribeOptions
from asr_api.parameters import MAX_TEXT_CHARS, PARAMETERS, RawParameter, check_parameters, read_parameters

PLAIN = TranscribeOptions()


def read(*given: tuple[str, str], defaults: TranscribeOptions = PLAIN) -> TranscribeOptions:
    return read_parameters([RawParameter(*one) for one in given], defaults)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("task", "translate")], TranscribeOptions(task="translate")),
        ([("language", "German")], TranscribeOptions(language="de")),
        ([("languages", "en, de"), ("languages", "en-GB,fr")], TranscribeOptions(languages=("en", "de", "fr"))),
        ([("languages", "de")], TranscribeOptions(languages=("de",), language="de")),
        ([("initial_prompt", "Hello,")], TranscribeOptions(prompt="Hello,")),
        ([("hotwords", "x" * MAX_TEXT_CHARS)], TranscribeOptions(hotwords="x" * MAX_TEXT_CHARS)),
        ([("prompt", "<|endoftext|>")], TranscribeOptions(prompt="<|endoftext|>")),
        ([("temperature", "0")], PLAIN),
        ([("temperature", "0.3")], TranscribeOptions(temperatures=(0.3, 0.4, 0.6, 0.8, 1.0))),
        ([("temperature", "1")], TranscribeOptions(temperatures=(1.0,))),
        ([("timestamps", "false"), ("words", "1")], TranscribeOptions(timestamps=False, words=True)),
        ([("word_timestamps", "True"), ("vad_filter", "0")], TranscribeOptions(words=True)),
        ([("language", ""), ("temperature", "")], PLAIN),
        ([], PLAIN),
    ],
)
def test_what_is_given_is_read(given: list[tuple[str, str]], expected: TranscribeOptions) -> None:
    assert read(*given) == expected


def test_defaults_hold_unless_a_wish_says_otherwise() -> None:
    defaults = TranscribeOptions(language="fr", vad=True, condition_on_previous_text=True)
    assert read(defaults=defaults) == defaults
    assert read(("vad", "false"), ("language", "de"), defaults=defaults) == TranscribeOptions(
        language="de", condition_on_previous_text=True
    )
    assert read(("languages", "de,en"), defaults=defaults).language is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([("langauge", "de")], "'langauge' is no parameter; there are task, language, "),
        ([("x" * 500, "1")], "xxx…' is no parameter"),
        ([("task", "summarise")], "task is 'summarise'; it must be transcribe or translate."),
        ([("language", "klingon")], "language is 'klingon'"),
        ([("languages", "en,klingon")], "language is 'klingon'"),
        ([("temperature", "hot")], "temperature is 'hot'; it must be a number from 0 to 1."),
        ([("temperature", "nan")], "temperature is 'nan'"),
        ([("temperature", "-0.1")], "temperature is '-0.1'"),
        ([("temperature", "1e9")], "temperature is '1e9'"),
        ([("words", "maybe")], "words is 'maybe'; it must be true or false."),
        ([("words", "")], "words is ''; it must be true or false."),
        ([("prompt", "a\nb" * 2000)], "…'; it must be text of at most 4,096 characters."),
        ([("hotwords", "\ud800")], "hotwords is "),
        ([("prompt", "a"), ("initial_prompt", "b")], "prompt has more than one value; give it one."),
        ([("task", "translate"), ("task", "translate")], "task has more than one value"),
    ],
)
def test_what_is_not_allowed_is_told(given: list[tuple[str, str]], sentence: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        read(*given)
    text = str(caught.value)
    assert sentence in text
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 250
    text.encode()


def test_what_the_model_cannot_do_is_told_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def info(*languages: str) -> EngineInfo:
        return EngineInfo("m", "e", "d", window_s=30, n_slots=1, languages=languages)

    check_parameters(TranscribeOptions(language="de", task="translate"), info("en", "de"))
    check_parameters(TranscribeOptions(language="de"), info())  # a model without a list is asked
    for name, wish in (
        ("language", TranscribeOptions(language="de")),
        ("languages", TranscribeOptions(languages=("en", "de"))),
    ):
        with pytest.raises(InvalidParameter, match=rf"^{name} is de, which this model does not know; it knows en\."):
            check_parameters(wish, info("en"))
    with pytest.raises(InvalidParameter, match="task is translate"):
        check_parameters(TranscribeOptions(task="translate"), info("en"))
    monkeypatch.setattr(vad, "PACKAGE", "no_such_package_here")
    with pytest.raises(InvalidParameter, match=r"pip install 'asr-api\[vad\]'"):
        check_parameters(TranscribeOptions(vad=True), info("en"))


def test_every_parameter_is_an_option_with_a_description() -> None:
    assert len({name for one in PARAMETERS for name in (one.name, *one.aliases)}) == len(PARAMETERS) + 3
    assert all(one.description and not one.description.endswith(".") for one in PARAMETERS)
