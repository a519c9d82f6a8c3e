"""`POST /inference`: fields and replies of whisper.cpp's server, and what is refused under its name."""

from __future__ import annotations

import math
from dataclasses import replace

import httpx
import pytest

from asr_api.events import FinalSegments, TranscriptEnd
from asr_api.options import DecodeOptions, TranscribeOptions, VadOptions
from asr_api.server.dialects.whisper_cpp_schemas import WhisperCppVerboseReply
from asr_api.transcript import Quality, Segment, Word
from tests.server.fakes import INFO, FakeService, client

pytestmark = pytest.mark.anyio
AUDIO = b"RIFF" + bytes(range(256)) * 40
WORDS = (Word(80, 500, " And", 0.75), Word(500, 1500, " so."))
SEGMENTS = (
    Segment(80, 1500, " And so.", WORDS, Quality(0.2, -0.3, 1.1, 0.05), tokens=(400, 370), logprobs=(-0.1, -0.2)),
    Segment(61_000, 62_250, " & more -->"),
)
VTT = "WEBVTT\n\n00:00:00.080 --> 00:00:01.500\n And so.\n\n00:01:01.000 --> 00:01:02.250\n &amp; more --&gt;\n\n"
EVENTS = (FinalSegments(SEGMENTS, audio_ms=63_000, language="de"), TranscriptEnd(63_000, "de"))


def service(info: object = INFO) -> FakeService:
    return FakeService(events=EVENTS, info=info)  # type: ignore[arg-type]


async def infer(fake: FakeService, **fields: str) -> httpx.Response:
    async with client(fake) as http:
        return await http.post("/inference", files={"file": ("a.wav", AUDIO)}, data=fields)


async def options(**fields: str) -> TranscribeOptions:
    reply = await infer(fake := service(), **fields)
    assert reply.status_code == 200, reply.text
    return fake.options[0]


async def decode_options(**fields: str) -> DecodeOptions:
    return (await options(**fields)).decode


@pytest.mark.parametrize(
    ("response_format", "media_type", "body"),
    [
        ("", "application/json", '{"text":" And so.\\n & more -->\\n"}'),
        ("json", "application/json", '{"text":" And so.\\n & more -->\\n"}'),
        ("text", "text/html; charset=utf-8", " And so.\n & more -->\n"),
        (
            "srt",
            "application/x-subrip",
            "1\n00:00:00,080 --> 00:00:01,500\n And so.\n\n2\n00:01:01,000 --> 00:01:02,250\n & more →\n\n",
        ),
        (
            "vtt",
            "text/vtt; charset=utf-8",
            VTT,
        ),
    ],
)
async def test_a_format_has_the_body_and_the_type_of_the_original(
    response_format: str, media_type: str, body: str
) -> None:
    reply = await infer(fake := service(), response_format=response_format)
    assert (reply.status_code, reply.headers["content-type"], reply.text) == (200, media_type, body)
    assert fake.bodies == [AUDIO]
    assert not fake.options[0].decode.words


async def test_verbose_json_has_the_keys_of_the_original_and_words_with_their_times() -> None:
    reply = await infer(fake := service(), response_format="verbose_json", translate="true")
    WhisperCppVerboseReply.model_validate(reply.json())
    assert list(reply.json()) == ["task", "language", "duration", "text", "segments"]
    assert reply.json() | {"segments": []} == {
        "task": "translate", "language": "german", "duration": 63.0, "text": " And so.\n & more -->\n", "segments": [],
    }  # fmt: skip
    assert reply.json()["segments"] == [
        {
            "id": 0, "text": " And so.", "start": 0.08, "end": 1.5, "tokens": [400, 370],
            "words": [
                {"word": " And", "start": 0.08, "end": 0.5, "t_dtw": -1, "probability": 0.75},
                {"word": " so.", "start": 0.5, "end": 1.5, "t_dtw": -1, "probability": 1.0},
            ],
            "temperature": 0.2, "avg_logprob": -0.3, "no_speech_prob": 0.05,
        },
        {
            "id": 1, "text": " & more -->", "start": 61.0, "end": 62.25,
            "temperature": 0.0, "avg_logprob": 0.0, "no_speech_prob": 0.0,
        },
    ]  # fmt: skip
    assert fake.options[0].decode.words


@pytest.mark.parametrize("fields", [{"token_timestamps": "false"}, {"no_timestamps": "1"}])
async def test_words_without_times_are_the_tokens(fields: dict[str, str]) -> None:
    parts = (b" na", b"\xc3", b"\xaf", b"ve")
    logprobs = tuple(map(math.log, (0.5, 0.25, 1.0, 1.0)))
    segment = Segment(0, 900, " naïve", tokens=(1, 2, 3, 4), logprobs=logprobs, token_bytes=parts)
    fake = FakeService(events=(FinalSegments((segment,), audio_ms=900), TranscriptEnd(900)))
    reply = await infer(fake, response_format="verbose_json", **fields)
    found = reply.json()["segments"][0]
    assert found["words"] == [
        {"word": " na", "probability": 0.5}, {"word": "ï", "probability": 0.25}, {"word": "ve", "probability": 1.0},
    ]  # fmt: skip
    assert ("start" in found) is ("no_timestamps" not in fields)
    decode = fake.options[0].decode
    assert (decode.token_texts, decode.words, decode.timestamps) == (True, False, "no_timestamps" not in fields)


async def test_a_model_without_word_timestamps_gives_tokens_unless_times_are_asked_for() -> None:
    info = replace(INFO, has_word_timestamps=False)
    assert (await infer(fake := service(info), response_format="verbose_json")).status_code == 200
    assert (fake.options[0].decode.words, fake.options[0].decode.token_texts) == (False, True)
    reply = await infer(service(info), response_format="verbose_json", token_timestamps="true")
    assert reply.status_code == 400
    assert "token_timestamps" in reply.json()["error"]


@pytest.mark.parametrize(
    ("fields", "cues"),
    [
        ({"max_len": "1", "split_on_word": "true"}, ["And", "so.", "&", "more", "→"]),
        ({"max_len": "7"}, ["And so.", "& more", "→"]),
        ({"split_on_word": "true"}, ["And so.", "& more →"]),
        ({"max_len": "1", "no_timestamps": "true"}, [" And so.", " & more →"]),
    ],
)
async def test_subtitles_are_divided_between_words(fields: dict[str, str], cues: list[str]) -> None:
    reply = await infer(service(), response_format="srt", **fields)
    assert [block.split("\n")[2] for block in reply.text.strip().split("\n\n")] == cues


async def test_the_numbers_of_subtitles_begin_behind_the_given_one() -> None:
    reply = await infer(service(), response_format="srt", offset_n="7")
    assert [block.split("\n")[0] for block in reply.text.strip().split("\n\n")] == ["8", "9"]


async def test_the_fields_of_the_original_become_options() -> None:
    decode = await decode_options(language="german", prompt="Kübler", translate="YES", model="ignored", stream="true")
    assert (decode.language, decode.prompt, decode.task) == ("de", "Kübler", "translate")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ({"temperature": "0.4", "temperature_inc": "0.2"}, (0.4, 0.6, 0.8, 1.0)),
        ({"temperature_inc": "0.3"}, (0.0, 0.3, 0.6, 0.9)),
        ({"temperature_inc": "0.0"}, (0.0,)),
        ({"temperature": "1"}, (1.0,)),
    ],
)
async def test_temperatures_rise_by_the_given_step_up_to_one(
    fields: dict[str, str], expected: tuple[float, ...]
) -> None:
    assert (await decode_options(**fields)).temperatures == expected


@pytest.mark.parametrize(
    ("fields", "language"),
    [({}, "fr"), ({"language": "auto"}, None), ({"language": ""}, None), ({"language": "EN"}, "en")],
)
async def test_a_language_that_is_not_given_is_that_of_the_server(fields: dict[str, str], language: str | None) -> None:
    async with client(fake := service(), default_language="fr") as http:
        await http.post("/inference", files={"file": AUDIO}, data=fields)
    assert fake.options[0].decode.language == language


@pytest.mark.parametrize(
    ("fields", "vad"),
    [
        ({}, None),
        ({"vad": "false", "vad_threshold": "0.3"}, None),
        ({"vad": "true"}, VadOptions()),
        (
            {"vad": "true", "vad_threshold": "0.3", "vad_min_silence_duration_ms": "100", "vad_speech_pad_ms": "30"},
            VadOptions(0.3, 30, 100),
        ),
        ({"vad": "1", "vad_max_speech_duration_s": "3.402823e+38", "vad_samples_overlap": "0.1"}, VadOptions()),
    ],
)
async def test_speech_is_detected_with_the_given_numbers(fields: dict[str, str], vad: VadOptions | None) -> None:
    assert (await options(**fields)).vad == vad


@pytest.mark.parametrize(
    "fields",
    [
        {"no_speech_thold": "0.60", "entropy_thold": "2.4", "logprob_thold": "-1.0", "best_of": "2", "beam_size": "-1"},
        {"max_context": "0", "audio_ctx": "0", "offset_t": "0", "duration": "", "word_thold": "0.01"},
        {"diarize": "false", "tinydiarize": "no", "detect_language": "0", "grammar": "", "suppress_nst": "true"},
        {"carry_initial_prompt": "true", "no_language_probabilities": "true", "debug_mode": "y"},
        {"vad_min_speech_duration_ms": "10"},  # without VAD, it changes nothing in the original either
    ],
)
async def test_what_has_no_effect_is_accepted(fields: dict[str, str]) -> None:
    assert await options(**fields) == await options()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("diarize", "true"),
        ("tinydiarize", "1"),
        ("detect_language", "yes"),
        ("grammar", "root ::= x"),
        ("beam_size", "5"),
        ("best_of", "x"),
        ("no_speech_thold", "0.4"),
        ("offset_t", "1000"),
        ("duration", "1000"),
        ("temperature", "1.5"),
        ("temperature", "nan"),
        ("temperature_inc", "0.01"),
        ("response_format", "xml"),
        ("translate", "maybe"),
        ("language", "klingon"),
        ("max_len", "20"),
        ("split_on_word", "true"),
        ("prompt", "x" * 5000),
    ],
)
async def test_what_cannot_be_honoured_is_refused_under_its_name(name: str, text: str) -> None:
    reply = await infer(fake := service(), **{name: text})
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(name)
    assert not fake.options


@pytest.mark.parametrize("name", ["vad_min_speech_duration_ms", "vad_samples_overlap", "vad_max_speech_duration_s"])
async def test_numbers_of_another_detector_are_refused_where_they_would_count(name: str) -> None:
    reply = await infer(service(), vad="true", **{name: "5"})
    assert (reply.status_code, reply.json()["error"].split()[0]) == (400, name)


async def test_a_form_without_a_file_is_an_error_under_the_key_that_clients_look_for() -> None:
    async with client(service()) as http:
        reply = await http.post("/inference", files={"other": ("x.txt", b"text")})
    assert reply.status_code == 400
    assert "file" in reply.json()["error"]


async def test_the_description_of_the_form_names_every_field_that_is_read() -> None:
    async with client(service()) as http:
        operation = (await http.get("/openapi.json")).json()["paths"]["/inference"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {"file", "temperature_inc", "vad_speech_pad_ms", "suppress_nst", "grammar", "offset_t"} <= set(form)
    assert set(operation["responses"]["200"]["content"]) >= {"application/json", "text/html", "text/vtt"}
