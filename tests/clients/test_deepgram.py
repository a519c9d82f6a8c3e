"""Deepgram's Python client transcribes a file and a link, and every reply has the fields and types that it declares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from deepgram.errors import BadRequestError
from deepgram.types import ListenV1Response

from tests.clients.shapes import shape_errors
from tests.server.running import Server, wav

pytestmark = [
    pytest.mark.clients,
    pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning"),  # its live client uses an old name
]

AUDIO = wav(7, 42)
ALTERNATIVE = "$.results.channels[0].alternatives[0]"
# Deepgram sends them, and its client declares the first only for utterances.
EXTRAS = {
    *(f"{ALTERNATIVE}.words[{index}].punctuated_word is unknown" for index in (0, 1)),
    "$.results.channels[0].language_confidence is unknown",
}


@pytest.fixture(scope="module")
def client(scripted: Server) -> Iterator[DeepgramClient]:
    base = f"http://127.0.0.1:{scripted.port}"
    environment = DeepgramClientEnvironment(base=base, production=base, agent=base, agent_rest=base)
    with httpx.Client(timeout=20) as http:  # the SDK does not close its own
        yield DeepgramClient(api_key="any", environment=environment, httpx_client=http)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a web server for a folder."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the library
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def transcript_of(reply: Any) -> str:
    text: str = reply.results.channels[0].alternatives[0].transcript
    return text


def test_a_file(client: DeepgramClient) -> None:
    reply = client.listen.v1.media.transcribe_file(request=AUDIO, model="whisper-large", smart_format=True)
    assert transcript_of(reply) == "7 42"
    assert (reply.metadata.duration, reply.metadata.channels) == (2.0, 1)
    words = reply.results.channels[0].alternatives[0].words
    assert [(word.word, word.start) for word in words] == [("7", 0.0), ("42", 1.0)]


def test_a_link(client: DeepgramClient, tmp_path: Path) -> None:
    (tmp_path / "audio.wav").write_bytes(AUDIO)
    with served(tmp_path) as address:
        reply = client.listen.v1.media.transcribe_url(url=f"{address}/audio.wav")
    assert transcript_of(reply) == "7 42"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"detect_language": "true"},
        {"language": "de", "punctuate": "true", "paragraphs": "true"},
        {"utterances": "true", "utt_split": "0.3", "smart_format": "true"},
    ],
)
@pytest.mark.parametrize("audio", [AUDIO, wav(pause_s=1)], ids=["numbers", "silence"])
def test_the_shape_of_a_reply(scripted: Server, audio: bytes, options: dict[str, str]) -> None:
    with scripted.http() as http:
        reply = http.post("/v1/listen", params=options, content=audio)
    assert reply.status_code == 200
    ListenV1Response.model_validate(reply.json())
    assert set(shape_errors(reply.json(), ListenV1Response)) <= EXTRAS


@pytest.mark.parametrize("audio", [b"", b"this is no audio"])
def test_a_bad_file_raises(client: DeepgramClient, audio: bytes) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.listen.v1.media.transcribe_file(request=audio)
    assert raised.value.body["err_code"] == "Bad Request"
    assert raised.value.body["request_id"]
