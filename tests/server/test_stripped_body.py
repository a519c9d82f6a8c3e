"""Bodies that `curl -d` has changed are recognised, and no recording is taken for one of them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from asr_api.errors import InvalidAudio
from asr_api.server.stripped_body import STRIPPED
from tests.audio import media_files
from tests.audio.media_files import RECIPES, encodable, encoded
from tests.server.fakes import FakeService, client
from tests.server.running import wav

pytestmark = pytest.mark.anyio
CURL_TYPE = "application/x-www-form-urlencoded"
DAMAGED = InvalidAudio("The audio is damaged; send the whole file.")
STRIPPED_SENTENCE = "The body has no line ends and no zero bytes, as after curl -d @FILE, which strips them; "


def stripped(data: bytes) -> bytes:
    """As curl from version 8 does it."""
    return re.sub(rb"[\0\r\n]", b"", data)


def cut_at_zeros(data: bytes) -> bytes:
    """As curl before version 8 does it: of each line, what stands before a zero byte."""
    return b"".join(line.replace(b"\r", b"").partition(b"\0")[0] for line in data.split(b"\n"))


@pytest.mark.parametrize("change", [stripped, cut_at_zeros])
async def test_a_recording_that_curl_has_changed_is_refused(change: Callable[[bytes], bytes]) -> None:
    body = change(wav(*range(1, 30)))
    async with client(FakeService(failure=DAMAGED)) as http:
        for headers in ({"content-type": CURL_TYPE}, {"content-type": "audio/wav"}, {}):
            reply = await http.post("/asr", content=body, headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_format")
            assert reply.json()["error"] == STRIPPED_SENTENCE + "send the bytes of the file: curl --data-binary @FILE."


@pytest.mark.parametrize("name", sorted({*RECIPES} - {"aac", "ac3", "loas", "ts", "mpeg", "vob", "amr", "voc"}))
async def test_what_could_be_decoded_as_noise_is_refused_before(name: str) -> None:
    async with client(fake := FakeService()) as http:
        reply = await http.post("/asr", content=stripped(encoded(encodable(name)[0], 0.3))[:100_000])
    assert reply.json()["error"].startswith(STRIPPED_SENTENCE)
    assert not fake.bodies


@pytest.mark.parametrize("magic", [b"RIFX", b"RF64", b"BW64"])
async def test_relatives_of_wav_are_known(magic: bytes) -> None:
    async with client(fake := FakeService()) as http:
        reply = await http.post("/asr", content=magic + stripped(encoded("wav", 0.3))[4:])
    assert reply.json()["error"].startswith(STRIPPED_SENTENCE)
    assert not fake.bodies


async def test_a_silent_stream_without_these_bytes_is_transcribed() -> None:
    """AAC in ADTS, mono, as FFmpeg encodes silence."""
    silence = bytes.fromhex("fff16040017ffc01182007") * 500
    assert not STRIPPED.search(silence)
    async with client(fake := FakeService()) as http:
        assert (await http.post("/asr", content=silence, headers={"content-type": CURL_TYPE})).status_code == 200
    assert fake.bodies == [silence]


@pytest.mark.parametrize("text", ["hello.wav", "url=https://example.org/ä.mp3"])
async def test_a_name_in_place_of_a_file_is_shown(text: str) -> None:
    async with client(FakeService(failure=DAMAGED)) as http:
        reply = await http.post("/asr", content=text.encode(), headers={"content-type": CURL_TYPE})
    assert reply.json()["error"] == (
        f"The body is the text {text!r}, and no audio; send the bytes of a file: curl --data-binary @FILE, "
        'or a link in JSON: {"url": "https://…"}.'
    )


async def test_other_errors_stay() -> None:
    async with client(FakeService(failure=DAMAGED)) as http:
        for body in (wav(1), b"some text\nof lines"):
            reply = await http.post("/asr", content=body, headers={"content-type": CURL_TYPE})
            assert reply.json()["error"] == str(DAMAGED)


@pytest.mark.parametrize("name", RECIPES)
def test_every_container_has_the_bytes_that_curl_strips(name: str) -> None:
    data = encoded(encodable(name)[0], 0.3)
    assert STRIPPED.search(data[:300])


def test_raw_audio_has_the_bytes_that_curl_strips() -> None:
    assert STRIPPED.search(media_files.amr()[:1024])
