"""The query of whisper-asr-webservice: its parameters and ours have their effect, bad values are named."""

from __future__ import annotations

import pytest

from asr_api.errors import InvalidParameter
from asr_api.options import DecodeOptions, RequestOptions, SubtitleOptions, TranscribeOptions, VadOptions
from asr_api.parameters import RawParameter
from asr_api.server.dialects.asr_webservice_request import (
    WebserviceRequest,
    check_form_fields,
    read_detection,
    read_webservice_request,
)

GERMAN = RequestOptions(TranscribeOptions(DecodeOptions(language="de"), vad=VadOptions()))


def raw(**query: str) -> list[RawParameter]:
    return [RawParameter(name, text) for name, text in query.items()]


def read(**query: str) -> WebserviceRequest:
    return read_webservice_request(raw(**query), RequestOptions())


def test_without_parameters_the_reply_is_text_with_the_defaults_of_the_server() -> None:
    request = read_webservice_request([], GERMAN)
    assert (request.options.output.format, request.extension, request.is_encoded) == ("text", "txt", True)
    assert request.options.transcribe == GERMAN.transcribe


def test_each_parameter_has_its_effect() -> None:
    request = read(
        task="translate", language="fr", initial_prompt="Salut", vad_filter="yes", word_timestamps="1", output="json",
        encode="off", diarize="false", min_speakers="1", max_speakers="2",
    )  # fmt: skip
    decode = DecodeOptions(task="translate", language="fr", prompt="Salut", words=True)
    assert request.options.transcribe == TranscribeOptions(decode, vad=VadOptions())
    assert (request.options.output.format, request.extension, request.is_encoded) == ("json", "json", False)


def test_our_own_parameters_have_their_effect() -> None:
    options = read(hotwords="Zoë", temperature="1", languages="de,fr", max_line_width="30", prompt="Hi").options
    decode = DecodeOptions(languages=("de", "fr"), hotwords="Zoë", temperatures=(1.0,), prompt="Hi")
    assert options.transcribe.decode == decode
    assert options.output.subtitles == SubtitleOptions(max_line_width=30)


def test_unknown_parameters_and_empty_values_are_ignored() -> None:
    ignored = raw(video_file="/films/a.mkv", method="faster-whisper", language="", output="", encode="", task="")
    assert read_webservice_request(ignored, RequestOptions()) == read()


@pytest.mark.parametrize(("text", "expected"), [("True", True), ("y", True), ("on", True), ("F", False), ("NO", False)])
def test_booleans_are_written_as_pydantic_allows(text: str, expected: bool) -> None:
    request = read(encode=text, word_timestamps=text)
    assert request.is_encoded is expected
    assert request.options.transcribe.decode.words is expected


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("output", "docx", "output is 'docx'; it must be txt, srt, vtt, tsv or json."),
        ("output", "verbose_json", "output is 'verbose_json'; it must be txt, srt, vtt, tsv or json."),
        ("task", "zzz", "task is 'zzz'; it must be transcribe or translate."),
        ("language", "klingon", "language is 'klingon', an unknown language; use a code such as en"),
        ("encode", "maybe", "encode is 'maybe'; it must be true or false."),
        ("vad_filter", "2", "vad_filter is '2'; it must be true or false."),
        ("diarize", "true", "diarize is true, and this server does not tell speakers apart; leave diarize out."),
        ("min_speakers", "two", "min_speakers is 'two'; it must be a whole number."),
        ("max_line_width", "1", "max_line_width is '1'; it must be a whole number from 10 to 1000."),
    ],
)
def test_a_bad_value_is_named(name: str, text: str, sentence: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        read(**{name: text})
    assert str(refused.value).startswith(sentence)
    assert refused.value.parameter == name


def test_two_values_contradict_each_other() -> None:
    for name, texts in (("encode", ("true", "false")), ("output", ("srt", "vtt"))):
        with pytest.raises(InvalidParameter, match=f"{name} has more than one value"):
            read_webservice_request([RawParameter(name, text) for text in texts], RequestOptions())


def test_a_detection_has_no_language_but_the_choice_of_languages() -> None:
    query = raw(encode="false", languages="de,en", language="fr", task="translate", output="docx")
    request = read_detection(query, GERMAN)
    assert request.options.transcribe == TranscribeOptions(DecodeOptions(languages=("de", "en")), vad=VadOptions())
    assert not request.is_encoded
    assert read_detection(raw(languages="de"), GERMAN).options.transcribe.decode.language is None


@pytest.mark.parametrize("name", ["output", "encode", "min_speakers", "initial_prompt"])
def test_a_parameter_in_the_form_is_refused(name: str) -> None:
    check_form_fields(raw(comment="hello"))
    with pytest.raises(InvalidParameter, match=rf"parameters belong in the query: /asr\?{name}=VALUE"):
        check_form_fields(raw(**{name: "x"}))
