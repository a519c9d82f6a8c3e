"""The dialect of whisper-asr-webservice: what its clients send is understood, and the replies are those they know."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from asr_api import __version__
from asr_api.errors import InvalidAudio, ModelLoading, ServerOverloaded
from asr_api.events import FinalSegments, TranscriptEnd
from asr_api.options import DecodeOptions
from asr_api.server.dialects.asr_webservice import DetectedLanguage
from asr_api.server.dialects.asr_webservice_request import RAW_FORMAT
from asr_api.server.raw_audio import wav_header
from asr_api.transcript import Segment
from tests.server.fakes import INFO, SEGMENTS, FakeService, client

pytestmark = pytest.mark.anyio
PLAIN_TEXT = "text/plain; charset=utf-8"
AUDIO = bytes(range(256)) * 40
UNDETERMINED = {"detected_language": "undetermined", "language_code": "und", "confidence": 0.0}
ENGLISH_ONLY = replace(INFO, languages=("en",), default_language="en", can_detect_language=False)
WITHOUT_LANGUAGES = replace(INFO, can_detect_language=False)


async def post(
    service: FakeService, path: str, content: bytes = AUDIO, *, file_name: str = "a b.mp3", field: str = "audio_file"
) -> httpx.Response:
    async with client(service) as http:
        reply = await http.post(path, files={field: (file_name, content)})
    assert service.num_open_requests == 0
    return reply


def languages(*events: FinalSegments) -> FakeService:
    return FakeService(events=(*events, TranscriptEnd(60_000)))


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", "Hello\nwörld.\n"),
        ("?output=txt", "Hello\nwörld.\n"),
        ("?output=srt", "1\n00:00:00,000 --> 00:00:02,500\nHello wörld.\n\n"),
        ("?output=vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nHello wörld.\n\n"),
        ("?output=srt&max_words_per_line=1&max_line_count=1", "2\n00:00:01,240 --> 00:00:02,500\nwörld.\n\n"),
        ("?output=tsv", "start\tend\ttext\n0\t1240\tHello\n1240\t2500\twörld.\n"),
        ("?output=json", '"text": " Hello wörld."}'),
    ],
)
@pytest.mark.parametrize("field", ["audio_file", "file"])
async def test_every_output_is_plain_text(query: str, body: str, field: str) -> None:
    reply = await post(fake := FakeService(), f"/asr{query}", field=field)
    assert (reply.status_code, reply.headers["content-type"]) == (200, PLAIN_TEXT)
    assert reply.text.endswith(body)
    assert fake.bodies == [AUDIO]


async def test_json_has_words_only_if_they_were_asked_for() -> None:
    for query, expected in (("output=json", None), ("output=json&word_timestamps=true", [])):
        reply = await post(FakeService(), f"/asr?{query}")
        assert [segment["words"] for segment in json.loads(reply.text)["segments"]] == [expected, expected]


@pytest.mark.parametrize(
    ("file_name", "query", "expected"),
    [
        ("a b.mp3", "output=srt", "a%20b.mp3.srt"),
        ("ä/\u201c.wav", "", "%C3%A4%2F%E2%80%9C.wav.txt"),
        ("audio_file", "output=json", "audio_file.json"),
    ],
)
async def test_the_reply_is_a_file_with_the_name_of_the_upload(file_name: str, query: str, expected: str) -> None:
    reply = await post(FakeService(), f"/asr?{query}", file_name=file_name)
    assert reply.headers["content-disposition"] == f'attachment; filename="{expected}"'
    assert reply.headers["asr-engine"] == "fake"
    assert reply.headers["x-audio-length"] == "2.500"


async def test_silence_is_an_empty_body() -> None:
    silence = FakeService(events=(FinalSegments((), 2500), TranscriptEnd(2500)))
    for query in ("", "?output=srt"):
        reply = await post(silence, f"/asr{query}")
        assert (reply.status_code, reply.content) == (200, b"")


@pytest.mark.parametrize("path", ["/asr", "/detect-language"])
async def test_without_encoding_the_file_is_samples_or_wav(path: str) -> None:
    samples = b"\x01\x02\x03\x04\x05"
    wav = wav_header(RAW_FORMAT) + samples
    for content, expected in ((samples, wav), (wav, wav)):
        await post(fake := FakeService(), f"{path}?encode=false", content)
        assert fake.bodies == [expected]


async def test_a_typo_costs_no_upload_and_is_named() -> None:
    for query, name in (("output=docx", "output"), ("diarize=1", "diarize"), ("encode=x", "encode")):
        reply = await post(fake := FakeService(), f"/asr?{query}")
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_parameter")
        assert reply.json()["error"].startswith(f"{name} is ")
        assert fake.bodies == []


async def test_parameters_of_the_form_are_refused_and_other_fields_ignored() -> None:
    async with client(fake := FakeService()) as http:
        refused = await http.post("/asr", data={"output": "srt"}, files={"audio_file": AUDIO})
        accepted = await http.post("/asr", data={"comment": "x"}, files={"audio_file": AUDIO})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_parameter")
    assert accepted.status_code == 200
    assert fake.bodies == [AUDIO]


@pytest.mark.parametrize("path", ["/asr", "/detect-language"])
async def test_errors_have_our_shape(path: str) -> None:
    async with client(FakeService()) as http:
        missing = await http.post(path, files={"other": "text"}, headers={"x-request-id": "abc"})
    assert missing.status_code == 400
    assert missing.json() == {
        "error": "The form has no file; send one as audio_file: curl -F audio_file=@FILE.",
        "code": "missing_file",
        "request_id": "abc",
    }
    full = await post(FakeService(refusal=ServerOverloaded("Full.", retry_after_s=3)), path)
    assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (429, "server_overloaded", "3")
    broken = await post(FakeService(failure=InvalidAudio("No audio.")), path)
    assert (broken.status_code, broken.json()["code"]) == (400, "invalid_audio")


# -- the language --------------------------------------------------------------------------------------------------


async def test_the_language_is_that_of_the_first_speech() -> None:
    fake = languages(
        FinalSegments((), 30_000, "ja", language_probability=0.2),
        FinalSegments(SEGMENTS, 60_000, "ht", language_probability=0.87654),
        FinalSegments(SEGMENTS, 90_000, "en", language_probability=1.0),
    )
    reply = await post(fake, "/detect-language?languages=ht,en&video_file=/a.mkv")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == {"detected_language": "haitian creole", "language_code": "ht", "confidence": 0.8765}
    assert [options.decode for options in fake.options] == [DecodeOptions(languages=("ht", "en"))]


async def test_no_more_is_transcribed_than_the_first_speech() -> None:
    fake = languages(FinalSegments(SEGMENTS, 30_000, "en", language_probability=0.9))
    fake.late_failure = InvalidAudio("The end of the film is broken.")
    assert (await post(fake, "/detect-language")).json()["confidence"] == 0.9
    assert (await post(fake, "/asr")).status_code == 400


async def test_silence_has_no_language() -> None:
    invented = FinalSegments((), 30_000, "en", omitted=(Segment(0, 900, " Thank you."),), language_probability=0.9)
    reply = await post(languages(invented), "/detect-language")
    assert (reply.status_code, reply.json()) == (200, UNDETERMINED)
    assert DetectedLanguage().model_dump() == UNDETERMINED


async def test_a_model_of_one_language_knows_it_without_listening() -> None:
    reply = await post(fake := FakeService(info=ENGLISH_ONLY), "/detect-language")
    assert reply.json() == {"detected_language": "english", "language_code": "en", "confidence": 1.0}
    assert fake.bodies == []


async def test_a_model_that_cannot_detect_says_so() -> None:
    reply = await post(FakeService(info=WITHOUT_LANGUAGES), "/detect-language")
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")
    assert "cannot detect the language" in reply.json()["error"]


# -- Bazarr's test of the connection -------------------------------------------------------------------------------


async def test_the_status_needs_no_engine() -> None:
    refusing = FakeService(refusal=ModelLoading("The model is still being loaded."))
    async with client(refusing) as http:
        reply = await http.get("/status")
    assert (reply.status_code, reply.json()) == (200, {"version": f"asr-api {__version__}"})


async def test_the_schema_describes_forms_and_replies() -> None:
    async with client(FakeService()) as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    detection, transcription = paths["/detect-language"]["post"], paths["/asr"]["post"]
    assert [parameter["name"] for parameter in detection["parameters"]] == ["encode", "languages", "timeout"]
    for operation in (detection, transcription):
        assert "audio_file" in operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
        assert {"200", "400", "413", "429", "503"} <= set(operation["responses"])
    success = transcription["responses"]["200"]
    assert {"application/json", "text/plain", "text/event-stream", "text/vtt"} <= set(success["content"])
    assert {"asr-engine", "content-disposition", "x-audio-length"} <= set(success["headers"])
    assert "version" in str(paths["/status"]["get"]["responses"]["200"]) or "StatusReply" in str(paths["/status"])
