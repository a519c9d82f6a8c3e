"""OpenAI's form fields: every way in which its clients and curl write them, and an error that names the field."""

from __future__ import annotations

import pytest

from asr_api.errors import InvalidParameter
from asr_api.formats.openai_json import VerboseParts
from asr_api.options import RequestOptions, VadOptions
from asr_api.parameters import RawParameter
from asr_api.server.dialects.openai_request import OpenAIRequest, check_query, read_openai_request
from tests.server.fakes import INFO


def read(*fields: tuple[str, str]) -> OpenAIRequest:
    return read_openai_request([RawParameter(*field) for field in fields], RequestOptions())


VERBOSE = ("response_format", "verbose_json")


@pytest.mark.parametrize(
    "fields",
    [
        [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", "word,segment")],
        [("timestamp_granularities", '["word", "segment"]')],
        [("timestamp_granularities[]", '["segment","word"]')],
    ],
)
def test_arrays_come_in_every_spelling(fields: list[tuple[str, str]]) -> None:
    assert read(VERBOSE, *fields).parts == VerboseParts(has_segments=True, has_words=True)


def test_granularities_say_what_a_verbose_reply_has() -> None:
    assert read(VERBOSE).parts == VerboseParts(has_segments=True, has_words=False)
    asked = read(VERBOSE, ("timestamp_granularities[]", "word"))
    assert asked.parts == VerboseParts(has_segments=False, has_words=True)
    assert asked.transcribe_options(INFO).decode.words


def test_fields_of_the_current_client_are_options() -> None:
    asked = read(
        ("model", "whisper-1"),
        ("language", "en-US"),
        ("prompt", "Kübler:"),
        ("keywords[]", "Zürich"),
        ("keywords[]", "Bern"),
        ("temperature", "0.4"),
        ("include[]", "logprobs"),
        ("stream", "true"),
        ("user", "u-1"),
    )
    decode = asked.transcribe_options(INFO).decode
    assert (asked.model, asked.is_streamed, asked.has_logprobs) == ("whisper-1", True, True)
    assert (decode.language, decode.prompt, decode.hotwords) == ("en", "Kübler:", "Zürich, Bern")
    assert (decode.temperatures, decode.token_texts) == ((0.4, 0.6, 0.8, 1.0), True)


@pytest.mark.parametrize("given", [[("languages[]", "de"), ("languages[]", "fr")], [("languages", '["de","fr"]')]])
def test_languages_limit_the_detection(given: list[tuple[str, str]]) -> None:
    assert read(*given).options.transcribe.decode.languages == ("de", "fr")


def test_empty_fields_count_as_absent() -> None:
    names = (
        "model",
        "language",
        "prompt",
        "temperature",
        "response_format",
        "stream",
        "chunking_strategy",
        "vad_filter",
    )
    asked = read(*((name, "") for name in names))
    assert (asked.options, asked.is_streamed, asked.model) == (RequestOptions(), False, "")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("chunking_strategy", "auto")], None),
        ([("chunking_strategy[type]", "server_vad")], VadOptions()),
        (
            [
                ("chunking_strategy[type]", "server_vad"),
                ("chunking_strategy[threshold]", "0.7"),
                ("chunking_strategy[prefix_padding_ms]", "100"),
                ("chunking_strategy[silence_duration_ms]", "900"),
            ],
            VadOptions(0.7, 100, 900),
        ),
        ([("chunking_strategy", '{"type": "server_vad", "threshold": 0.2}')], VadOptions(0.2)),
    ],
)
def test_the_chunking_strategy_has_its_numbers(fields: list[tuple[str, str]], expected: VadOptions | None) -> None:
    assert read(*fields).options.transcribe.vad == expected


@pytest.mark.parametrize(("text", "has_timestamps"), [("true", False), ("false", True)])
def test_the_timestamps_field_of_speaches_is_understood(text: str, has_timestamps: bool) -> None:
    asked = read(("without_timestamps", text), ("hotwords", "Zürich"), ("vad_filter", "false"))
    assert asked.options.transcribe.decode.timestamps == has_timestamps


def test_segments_need_no_other_format() -> None:
    assert read(("timestamp_granularities[]", "segment")).options == RequestOptions()


@pytest.mark.parametrize("name", ["language", "languages[]", "stream", "response_format"])
def test_a_field_in_the_query_is_refused(name: str) -> None:
    check_query(["api-version"])
    with pytest.raises(InvalidParameter, match="is in the query; send it as a field of the form"):
        check_query([name])


def test_subtitles_ask_for_words_and_their_layout() -> None:
    asked = read(("response_format", "srt"), ("max_line_width", "30"))
    assert asked.transcribe_options(INFO).decode.words
    assert asked.options.output.subtitles.max_line_width == 30


@pytest.mark.parametrize(
    ("fields", "parameter", "words"),
    [
        ([("language", "zulu")], "language", "unknown language"),
        ([("temperature", "2")], "temperature", "from 0 to 1"),
        ([("foo", "1")], "foo", "Unknown parameter"),
        ([("task", "translate")], "task", "Unknown parameter"),
        ([("response_format", "diarized_json")], "response_format", "speakers are not told apart"),
        ([("response_format", "xml")], "response_format", "it must be one of json, verbose_json"),
        ([("response_format", "tsv")], "response_format", "it must be one of json, verbose_json"),
        ([("known_speaker_names[]", "Ann")], "known_speaker_names", "does not tell speakers apart"),
        ([("timestamp_granularities[]", "word")], "timestamp_granularities", "set response_format to 'verbose_json'"),
        ([VERBOSE, ("timestamp_granularities[]", "letter")], "timestamp_granularities", "word and segment"),
        ([VERBOSE, ("timestamp_granularities", "[1]")], "timestamp_granularities", "JSON list of strings"),
        ([VERBOSE, ("timestamp_granularities", "[" * 9_000)], "timestamp_granularities", "JSON list of strings"),
        ([("include[]", "everything")], "include", "may contain logprobs"),
        ([VERBOSE, ("include[]", "logprobs")], "include", "set response_format to 'json'"),
        ([("stream", "maybe")], "stream", "true or false"),
        ([("without_timestamps", "maybe")], "without_timestamps", "true or false"),
        ([("stream", "true"), ("response_format", "srt")], "stream", "set it to json or text"),
        ([("chunking_strategy", "never")], "chunking_strategy", "send auto"),
        ([("chunking_strategy[type]", "semantic")], "chunking_strategy", "chunking_strategy.type"),
        (
            [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "9")],
            "chunking_strategy",
            "chunking_strategy.threshold",
        ),
        ([("model", "a"), ("model", "b")], "model", "more than one value"),
        ([("keywords[]", "x" * 5_000)], "keywords", "at most 4,096"),
    ],
)
def test_a_mistake_names_the_field(fields: list[tuple[str, str]], parameter: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        read(*fields)
    assert raised.value.parameter == parameter
    assert words in str(raised.value)
    assert len(str(raised.value)) < 600
