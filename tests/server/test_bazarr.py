"""Bazarr's provider `whisperai` against a running server: its requests byte for byte, by the library that it uses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import requests
from pysubs2 import SSAFile
from pysubs2.exceptions import FormatAutodetectionError

from asr_api import __version__
from asr_api.benchmark.speech import wav_bytes
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.text.languages import LANGUAGES
from tests.engines.scripted import number_pcm
from tests.server.running import Server, serving

RESPONSE_S, TIMEOUT_S = 5, 60  # Bazarr's settings of these names
SILENCE = bytes(2 * SAMPLE_RATE_HZ * 70)  # more than the first half minute
SPEECH = number_pcm([11, 12, 13], word_s=1.0, pause_s=1.0)
FILM = SILENCE + SPEECH.tobytes() + b"\x07"  # half a sample at the end does no harm


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


class Bazarr:
    """Its audio is the whole film as raw samples, without a type; it looks at no status."""

    def __init__(self, server: Server) -> None:
        self._endpoint = f"http://127.0.0.1:{server.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = "Subliminal/2.1"

    def get_version(self) -> str:
        reply = self.session.get(f"{self._endpoint}/status", timeout=RESPONSE_S, allow_redirects=False)
        return str(reply.json()["version"])

    def detect_language(self, film: bytes) -> tuple[str, str]:
        body = self._post("/detect-language", film, encode="false", video_file="/films/Ä b.mkv").json()
        return body["language_code"], body["detected_language"]

    def download_subtitle(self, film: bytes, **query: str) -> bytes:
        asked = {"task": "transcribe", "language": "en", "output": "srt", "encode": "false"}
        return self._post("/asr", film, **(asked | query)).content

    def _post(self, path: str, film: bytes, **query: str) -> requests.Response:
        return self.session.post(
            self._endpoint + path, params=query, files={"audio_file": film}, timeout=(RESPONSE_S, TIMEOUT_S)
        )


@pytest.fixture
def bazarr(server: Server) -> Iterator[Bazarr]:
    client = Bazarr(server)
    with client.session:
        yield client


def test_the_connection_test_shows_the_version(bazarr: Bazarr) -> None:
    assert bazarr.get_version() == f"asr-api {__version__}"


def test_the_language_of_late_speech_is_found(bazarr: Bazarr) -> None:
    code, name = bazarr.detect_language(FILM)
    assert (code, name) == ("en", LANGUAGES["en"])


@pytest.mark.parametrize(("task", "suffix"), [("transcribe", ""), ("translate", "e")])
def test_the_subtitle_has_every_word_at_its_time(bazarr: Bazarr, task: str, suffix: str) -> None:
    content = bazarr.download_subtitle(FILM, task=task)
    subtitle = SSAFile.from_string(content.decode("utf-8"), format_="srt")
    words = [(word, event.start) for event in subtitle for word in event.text.split()]
    assert [word for word, _ in words] == [f"{number}{suffix}" for number in (11, 12, 13)]
    np.testing.assert_allclose([start_ms for _, start_ms in words], [70_000, 72_000, 74_000], atol=100)


def test_a_wav_file_sent_as_raw_samples_is_no_noise(bazarr: Bazarr) -> None:
    texts = [bazarr.download_subtitle(content, output="txt") for content in (SPEECH.tobytes(), wav_bytes(SPEECH))]
    assert texts == [b"11\n12\n13\n"] * 2


def test_silence_is_no_language_and_no_subtitle(bazarr: Bazarr) -> None:
    assert bazarr.detect_language(SILENCE) == ("und", "undetermined")
    assert bazarr.download_subtitle(SILENCE) == b""


def test_an_error_is_no_subtitle_and_no_broken_connection(bazarr: Bazarr) -> None:
    """A broken connection makes Bazarr leave the server alone for a day; an error may come before the upload."""
    content = bazarr.download_subtitle(bytes(100 * 2**20), diarize="true")
    assert b'"code":"invalid_parameter"' in content
    with pytest.raises(FormatAutodetectionError):
        SSAFile.from_string(content.decode("utf-8"))
