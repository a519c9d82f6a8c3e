"""Request parameters: how they are read, and the sentence for each mistake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asr_api.engines.protocol import EngineInfo
from asr_api.errors import InvalidParameter
from asr_api.model_options import check_parameters
from asr_api.options import DecodeOptions, RequestOptions, TranscribeOptions, VadOptions
from asr_api.parameters import MAX_TEXT_CHARS, PARAMETERS, RawParameter, read_parameters

PLAIN = TranscribeOptions()


def decoding(**options: Any) -> TranscribeOptions:
    return TranscribeOptions(DecodeOptions(**options))


def read_all(*given: tuple[str, str], defaults: TranscribeOptions = PLAIN) -> RequestOptions:
    return read_parameters([RawParameter(*pair) for pair in given], RequestOptions(defaults))


def read(*given: tuple[str, str], defaults: TranscribeOptions = PLAIN) -> TranscribeOptions:
    return read_all(*given, defaults=defaults).transcribe


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("task", "translate")], decoding(task="translate")),
        ([("language", "German")], decoding(language="de")),
        ([("languages", "en, de"), ("languages", "en-GB,fr")], decoding(languages=("en", "de", "fr"))),
        ([("languages", "de")], decoding(languages=("de",), language="de")),
        ([("initial_prompt", "Hello,")], decoding(prompt="Hello,")),
        ([("hotwords", "x" * MAX_TEXT_CHARS)], decoding(hotwords="x" * MAX_TEXT_CHARS)),
        ([("prompt", "<|endoftext|>")], decoding(prompt="<|endoftext|>")),
        ([("temperature", "0")], PLAIN),
        ([("temperature", "0.3")], decoding(temperatures=(0.3, 0.4, 0.6, 0.8, 1.0))),
        ([("temperature", "1")], decoding(temperatures=(1.0,))),
        ([("timestamps", "false"), ("words", "1")], decoding(timestamps=False, words=True)),
        ([("word_timestamps", "True"), ("vad_filter", "0")], decoding(words=True)),
        ([("vad", "true")], TranscribeOptions(vad=VadOptions())),
        ([("language", ""), ("temperature", "")], PLAIN),
        ([("language", "auto")], PLAIN),
        ([("language", "Auto"), ("languages", "de,en")], decoding(languages=("de", "en"))),
        ([("language", "AUTO"), ("languages", "de")], decoding(languages=("de",), language="de")),
        ([], PLAIN),
    ],
)
def test_parameters_are_read(given: list[tuple[str, str]], expected: TranscribeOptions) -> None:
    assert read(*given) == expected


def test_defaults_hold_unless_the_request_overrides_them() -> None:
    defaults = replace(decoding(language="fr"), vad=VadOptions(), condition_on_previous_text=True)
    assert read(defaults=defaults) == defaults
    assert read(("vad", "false"), ("language", "de"), defaults=defaults) == replace(
        decoding(language="de"), condition_on_previous_text=True
    )
    assert read(("languages", "de,en"), defaults=defaults).decode.language is None
    assert read(("language", "auto"), defaults=defaults).decode.language is None
    assert read(("language", ""), defaults=defaults).decode.language == "fr"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([("langauge", "de")], "Unknown parameter 'langauge'. Known parameters: task, language, "),
        ([("x" * 500, "1")], "Unknown parameter 'xxx"),
        ([("task", "summarise")], "task is 'summarise'; it must be transcribe or translate."),
        ([("language", "klingon")], "language is 'klingon'"),
        ([("languages", "en,klingon")], "languages is 'klingon', an unknown language;"),
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
def test_a_mistake_has_one_clear_sentence(given: list[tuple[str, str]], sentence: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        read(*given)
    text = str(caught.value)
    assert sentence in text
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 320
    text.encode()


def model(*languages: str, **abilities: Any) -> EngineInfo:
    return EngineInfo("a/b", "onnx", "CPU", window_s=30, n_slots=1, languages=languages, **abilities)


def test_options_within_the_capabilities_pass() -> None:
    check_parameters(decoding(language="de", task="translate"), model("en", "de"))
    check_parameters(decoding(language="de"), model())  # a model without languages ignores it
    english = model("en", can_detect_language=False, default_language="en")
    check_parameters(read(("language", "auto")), english)
    check_parameters(
        decoding(languages=("de", "en")), model("en", "de", can_detect_language=False, default_language="en")
    )


@pytest.mark.parametrize(
    ("options", "info", "sentence"),
    [
        ({"language": "de"}, model("en"), "language is 'de', which a/b does not support; it supports en."),
        ({"languages": ("en", "de")}, model("en"), "languages is 'de', which a/b does not support; it supports en."),
        ({"task": "translate"}, model("en", can_translate=False), "task is 'translate', and the model a/b can only"),
        ({"prompt": "Hi"}, model(can_prompt=False), "prompt is given, and the model a/b takes none; leave prompt out."),
        ({"hotwords": "Hi"}, model(can_prompt=False), "hotwords is given, and"),
        ({"temperatures": (0.4,)}, model(can_sample=False), "temperature is 0.4, and the model a/b runs only at 0;"),
        (
            {"words": True},
            model(has_word_timestamps=False),
            "words is true, and the model a/b gives no word timestamps;",
        ),
        (
            {"languages": ("de", "fr")},
            model("en", "de", "fr", can_detect_language=False, default_language="en"),
            "languages is 'de,fr', and the model a/b cannot detect the language; name one of them as language.",
        ),
    ],
)
def test_options_beyond_the_capabilities_are_refused(options: dict[str, Any], info: EngineInfo, sentence: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        check_parameters(decoding(**options), info)
    assert str(caught.value).startswith(sentence)


def test_every_parameter_is_an_option_with_a_description() -> None:
    names = {name for parameter in PARAMETERS for name in (parameter.name, *parameter.aliases)}
    assert len(names) == len(PARAMETERS) + 5
    assert all(parameter.description and not parameter.description.endswith(".") for parameter in PARAMETERS)
