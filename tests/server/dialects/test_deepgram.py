"""`POST /v1/listen`: the query and replies of Deepgram's API, and what is refused under its name."""

from __future__ import annotations

import hashlib
import re
import struct
import uuid
from dataclasses import replace
from typing import Any

import httpx
import pytest

from asr_api.errors import AsrError, InternalError, RequestTimeout, ServerOverloaded, UnsupportedFormat, UrlFetchFailed
from asr_api.events import FinalSegments, TranscriptEnd
from asr_api.options import DecodeOptions
from asr_api.server.dialects.deepgram_replies import deepgram_error_body, deepgram_request_id
from asr_api.server.dialects.deepgram_request import UNAVAILABLE
from asr_api.server.dialects.deepgram_schemas import DeepgramReply
from asr_api.transcript import Quality, Segment
from tests.formats.transcripts import timed
from tests.server.fakes import INFO, FakeService, client

pytestmark = pytest.mark.anyio
AUDIO = b"RIFF" + bytes(range(256)) * 40
FIRST = timed((80, 320, "Hello,"), (320, 700, "world!"))
SECOND = timed((3200, 3600, "It's"), (3600, 4000, "me."))
EVENTS = (FinalSegments((FIRST, SECOND), audio_ms=4500, language="de"), TranscriptEnd(4500, "de"))
RAW = "encoding=linear16&sample_rate=8000"


async def listen(query: str = "", fake: FakeService | None = None, content: bytes = AUDIO) -> httpx.Response:
    async with client(fake or FakeService(events=EVENTS)) as http:
        return await http.post(f"/v1/listen?{query}", content=content)


async def results(query: str = "") -> Any:
    reply = await listen(query)
    assert reply.status_code == 200, reply.text
    DeepgramReply.model_validate(reply.json())
    return reply.json()["results"]


async def decode_options(query: str) -> DecodeOptions:
    reply = await listen(query, fake := FakeService())
    assert reply.status_code == 200, reply.text
    return fake.options[0].decode


async def test_the_reply_has_what_strict_clients_demand() -> None:
    reply = await listen("model=nova-3&tag=a&tag=b&extra=job:4:2", fake := FakeService(events=EVENTS))
    body = reply.json()
    metadata = body["metadata"]
    assert metadata["request_id"] == reply.headers["dg-request-id"] == str(uuid.UUID(metadata["request_id"]))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", metadata["created"])
    assert (metadata["sha256"], metadata["duration"]) == (hashlib.sha256(AUDIO).hexdigest(), 4.5)
    assert (metadata["channels"], metadata["transaction_key"]) == (1, "deprecated")
    assert (metadata["tags"], metadata["extra"]) == (["a", "b"], {"job": "4:2"})
    [model] = metadata["models"]
    assert metadata["model_info"][model]["name"] == "fake/model"
    assert list(body["results"]) == ["channels"]
    assert (fake.bodies, fake.options[0].decode.words) == ([AUDIO], True)


async def test_an_alternative_has_bare_and_punctuated_words_with_their_times() -> None:
    [channel] = (await results())["channels"]
    [alternative] = channel["alternatives"]
    assert list(channel) == ["alternatives"]
    assert list(alternative) == ["transcript", "confidence", "words"]
    assert (alternative["transcript"], alternative["confidence"]) == ("Hello, world! It's me.", 1.0)
    assert alternative["words"][0] == {
        "word": "hello", "start": 0.08, "end": 0.32, "confidence": 1.0, "punctuated_word": "Hello,",
    }  # fmt: skip
    assert [word["word"] for word in alternative["words"]] == ["hello", "world", "it's", "me"]


@pytest.mark.parametrize("query", ["paragraphs=true", "smart_format=true"])
async def test_paragraphs_are_made_of_sentences(query: str) -> None:
    paragraphs = (await results(query))["channels"][0]["alternatives"][0]["paragraphs"]
    assert paragraphs["transcript"] == "\nHello, world!\n\nIt's me."
    assert paragraphs["paragraphs"][1] == {
        "sentences": [{"text": "It's me.", "start": 3.2, "end": 4.0}], "num_words": 2, "start": 3.2, "end": 4.0,
    }  # fmt: skip


@pytest.mark.parametrize(("query", "num_utterances"), [("", 2), ("&utt_split=2.5", 2), ("&utt_split=2.6", 1)])
async def test_an_utterance_ends_at_a_pause_of_the_given_length(query: str, num_utterances: int) -> None:
    utterances = (await results(f"utterances=true{query}"))["utterances"]
    assert len(utterances) == len({str(uuid.UUID(each["id"])) for each in utterances}) == num_utterances
    assert (utterances[0]["start"], utterances[0]["channel"]) == (0.08, 0)
    assert utterances[0]["transcript"].startswith("Hello, world!")
    assert utterances[0]["words"][0]["punctuated_word"] == "Hello,"


@pytest.mark.parametrize(
    ("query", "language"), [("", None), ("detect_language=true", "de"), ("detect_language=de", "de")]
)
async def test_a_detected_language_stands_in_the_reply_if_it_was_to_be_detected(
    query: str, language: str | None
) -> None:
    assert (await results(query))["channels"][0].get("detected_language") == language


async def test_a_recording_in_several_languages_names_its_language() -> None:
    assert (await results("language=multi"))["channels"][0]["alternatives"][0]["languages"] == ["de"]


async def test_silence_is_an_empty_transcript() -> None:
    reply = await listen("utterances=true&paragraphs=true", FakeService(events=(TranscriptEnd(900),)))
    assert reply.json()["results"] == {
        "channels": [{"alternatives": [
            {"transcript": "", "confidence": 0.0, "words": [], "paragraphs": {"transcript": "", "paragraphs": []}},
        ]}],
        "utterances": [],
    }  # fmt: skip


async def test_a_model_without_word_timestamps_gives_no_words() -> None:
    segment = Segment(0, 900, " Hi there.", quality=Quality(mean_logprob=-0.693147))
    events = (FinalSegments((segment,), audio_ms=900), TranscriptEnd(900))
    fake = FakeService(events=events, info=replace(INFO, has_word_timestamps=False))
    found = (await listen("utterances=true", fake)).json()["results"]
    assert found["channels"][0]["alternatives"] == [{"transcript": "Hi there.", "confidence": 0.5, "words": []}]
    assert (found["utterances"][0]["transcript"], found["utterances"][0]["words"]) == ("Hi there.", [])
    assert not fake.options[0].decode.words


@pytest.mark.parametrize(
    ("query", "language", "languages"),
    [
        ("", "fr", ()),
        ("language=en-US", "en", ()),
        ("detect_language=true", None, ()),
        ("detect_language=en&detect_language=es", None, ("en", "es")),
        ("language=multi&language_hint=en&language_hint=de", None, ("en", "de")),
        ("language_hint=de", "de", ()),
        ("detect_language=false&language=de", "de", ()),
    ],
)
async def test_languages_are_given_detected_or_those_of_the_server(
    query: str, language: str | None, languages: tuple[str, ...]
) -> None:
    async with client(fake := FakeService(), default_language="fr") as http:
        assert (await http.post(f"/v1/listen?{query}", content=AUDIO)).status_code == 200
    decode = fake.options[0].decode
    assert (decode.language, decode.languages) == (language, languages)


async def test_terms_become_hotwords_without_their_boosts() -> None:
    decode = await decode_options("keyterm=Jane+Doe&keyterm=12:30+h&keywords=Kübler:2&keywords=nova")
    assert decode.hotwords == "Jane Doe, 12:30 h, Kübler, nova"


@pytest.mark.parametrize(
    "query",
    [
        "model=whisper-large", "model=anything", "version=latest", "punctuate=false", "mip_opt_out=true", "unknown=1",
        "alternatives=1", "callback=", "diarize=false&redact=false&summarize=false&multichannel=0", "encoding=flac",
        "channels=2",
    ],
)  # fmt: skip
async def test_what_changes_nothing_is_accepted(query: str) -> None:
    assert await decode_options(query) == await decode_options("")


@pytest.mark.parametrize(
    "query",
    [
        *(f"{name}=true" for name in UNAVAILABLE), "redact=pci", "callback=http://a.b/c", "summarize=v2",
        "diarize=maybe", "punctuate=2", "smart_format=yes!", "utterances=on", "utt_split=soon", "utt_split=0",
        "alternatives=2",
        "language=klingon", "detect_language=klingon", "language_hint=klingon", "detect_language=true&language=en",
        "keywords=damn:-2", "keyterm=" + "x" * 5000, "encoding=speex", "encoding=linear16&sample_rate=1",
        "channels=0", "extra=novalue", "tag=" + "x" * 3000, "language=en&language=de",
    ],
)  # fmt: skip
async def test_what_cannot_be_honoured_is_refused_under_its_name_before_the_body_is_read(query: str) -> None:
    reply = await listen(query, fake := FakeService())
    body = reply.json()
    assert (reply.status_code, body["err_code"], list(body)) == (
        400,
        "Bad Request",
        ["err_code", "err_msg", "request_id"],
    )
    assert query.partition("=")[0] in body["err_msg"] or "sample_rate" in body["err_msg"]
    assert body["request_id"] == reply.headers["dg-request-id"]
    assert not fake.options


@pytest.mark.parametrize(
    ("query", "form"),
    [
        (RAW, (1, 1, 8000, 16_000, 2, 16)),
        ("encoding=linear16&sample_rate=44100&channels=2", (1, 2, 44_100, 176_400, 4, 16)),
        ("encoding=linear32&sample_rate=16000", (3, 1, 16_000, 64_000, 4, 32)),
        ("encoding=mulaw&sample_rate=8000", (7, 1, 8000, 8000, 1, 8)),
        ("encoding=alaw&sample_rate=8000&channels=2", (6, 2, 8000, 16_000, 2, 8)),
    ],
)
async def test_raw_audio_gets_the_header_that_says_what_it_is(query: str, form: tuple[int, ...]) -> None:
    raw = b"\x01\x02" * 4000
    await listen(query, fake := FakeService(), raw)
    [body] = fake.bodies
    assert body.endswith(raw)
    assert (body[:4], body[8:16], struct.unpack("<HHIIHH", body[20:36])) == (b"RIFF", b"WAVEfmt ", form)


async def test_a_file_keeps_its_own_header_although_an_encoding_is_given() -> None:
    await listen(RAW, fake := FakeService())
    assert fake.bodies == [AUDIO]


@pytest.mark.parametrize(
    ("query", "json", "word"),
    [
        (RAW, {"url": "http://example.org/a.wav"}, "encoding"),
        ("", {"url": "http://a.b/c", "model": "x"}, "model"),
        ("", {"url": "/etc/passwd"}, "begins with http"),
    ],
)
async def test_json_holds_a_link_to_a_file_and_nothing_else(query: str, json: dict[str, str], word: str) -> None:
    async with client(FakeService()) as http:
        reply = await http.post(f"/v1/listen?{query}", json=json)
    assert (reply.status_code, word in reply.json()["err_msg"]) == (400, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnsupportedFormat("x"), "Bad Request"),
        (UrlFetchFailed("x"), "REMOTE_CONTENT_ERROR"),
        (RequestTimeout("x"), "SLOW_UPLOAD"),
        (ServerOverloaded("x"), "TOO_MANY_REQUESTS"),
        (InternalError("x"), "Internal Server Error"),
    ],
)
def test_errors_have_the_codes_of_the_original(error: AsrError, code: str) -> None:
    body = deepgram_error_body(error, "abc")
    assert body == {"err_code": code, "err_msg": "x", "request_id": deepgram_request_id("abc")}


def test_a_request_id_is_always_a_uuid() -> None:
    given = uuid.uuid4()
    assert deepgram_request_id(given.hex) == str(given)
    assert deepgram_request_id("abc") == str(uuid.UUID(deepgram_request_id("abc"))) != deepgram_request_id("abd")


async def test_wrong_methods_and_failures_have_the_shape_of_the_original() -> None:
    async with client(FakeService()) as http:
        reply = await http.get("/v1/listen")
    assert (reply.status_code, reply.json()["err_code"]) == (405, "Method Not Allowed")
    for bad_media in (UnsupportedFormat("No audio."), UrlFetchFailed("No link.")):
        reply = await listen(fake=FakeService(failure=bad_media))
        assert (reply.status_code, reply.json()["err_msg"]) == (400, str(bad_media))
    reply = await listen(fake=FakeService(failure=InternalError("Sorry.")))
    assert (reply.status_code, reply.json()["err_msg"]) == (500, "Sorry.")
    assert reply.headers["dg-request-id"] == reply.json()["request_id"]
