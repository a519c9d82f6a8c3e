"""The mistakes that people make with curl, by the real program: each answer says what to do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.running import Server, serving, wav

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")

STRIPPED = "as after curl -d @FILE, which strips them; send the bytes of the file: curl --data-binary @FILE."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hello.wav").write_bytes(wav(1, 2))
    Path("empty.wav").write_bytes(b"")
    Path("request.json").write_text('{\n  "url": "hello.wav",\n  "words": false\n}\n')


def curl(server: Server, *arguments: str, path: str = "/asr") -> str:
    address = f"http://127.0.0.1:{server.port}{path}"
    return subprocess.run(["curl", "-sS", *arguments, address], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("content_type", [[], ["-H", "Content-Type: audio/wav"], ["-H", "Content-Type:"]])
def test_the_right_command_works_under_any_content_type(server: Server, content_type: list[str]) -> None:
    assert '"text": " 1 2"' in curl(server, *content_type, "--data-binary", "@hello.wav")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-d", "@hello.wav"], STRIPPED),
        (["-H", "Content-Type: audio/wav", "-d", "@hello.wav"], STRIPPED),
        (["-d", "hello.wav"], "The body is the text 'hello.wav', and no audio; send the bytes of a file: curl --data-"),
        (["--data-binary", "hello.wav"], "The body is the text 'hello.wav', and no audio; "),
        (["-d", "url=https://example.org/a.mp3"], "or a link in JSON: "),
        (["-F", "audio=@hello.wav"], "a file under the name 'audio'; send it under the name 'audio_file' or 'file'."),
        (["-F", "file=@hello.wav", "-F", "output=srt"], "output is in the form, and parameters belong in the query: "),
        (["-F", "output=srt"], "The form has no file; send one as audio_file: curl -F audio_file=@FILE."),
        (["-T", "hello.wav"], "takes POST and not PUT; send the bytes of a file by POST: curl --data-binary @FILE."),
        ([], "takes POST and not GET; send the bytes of a file by POST: curl --data-binary @FILE."),
        (["--data-binary", "@empty.wav"], "The body is empty; send the bytes of a file that exists: curl --data-"),
        (["-d", "{'url': 'hello.wav'}"], "The body is not valid JSON; send for example "),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_with_the_remedy(server: Server, arguments: list[str], sentence: str) -> None:
    assert sentence in curl(server, *arguments)


def test_json_needs_no_content_type(server: Server, tmp_path: Path) -> None:
    assert '"text": " 1 2"' in curl(server, "-d", f'{{"url": "{tmp_path}/hello.wav"}}')
    assert "path_not_found" in curl(server, "-d", "@request.json"), "it was read as JSON, although on one line"


def test_an_upload_to_another_address_names_the_right_one(server: Server) -> None:
    assert "send audio to POST /asr" in curl(server, "-T", "hello.wav", path="/")
