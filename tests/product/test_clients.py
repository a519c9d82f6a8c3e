"""The clients of the README, run as they stand there, except for the port."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.product.samples import running_server
from tests.server.running import ROOT, Server

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = {"python": [sys.executable, "-c"], "js": ["node", "--input-type=module", "--eval"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


def run(server: Server, language: str, recording: str, address: str = "/asr") -> subprocess.CompletedProcess[str]:
    """The program that uses this address."""
    program = PROGRAMS[language]
    if shutil.which(program[0]) is None:
        pytest.skip(f"needs {program[0]}")
    programs = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (code,) = [code for code in programs if f':8000{address}"' in code]
    for text, replacement in (("localhost:8000", f"127.0.0.1:{server.port}"), ("jfk.flac", recording)):
        assert code.count(text) == 1
        code = code.replace(text, replacement)
    return subprocess.run([*program, code], check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_client_prints_times_and_text(server: Server, language: str) -> None:
    ended = run(server, language, "samples/hello.wav")
    assert ended.returncode == 0, ended.stderr
    first, second = ended.stdout.splitlines()
    assert re.fullmatch(r"\[ ?0\.4, 1\.2 ?\]  Hello world\.", first)
    assert second.endswith("  It is half past seven.")


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_client_shows_the_error(server: Server, language: str) -> None:
    ended = run(server, language, "LICENSE")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "The format of the file is not supported" in ended.stderr


@pytest.mark.clients
def test_openais_client_prints_subtitles(server: Server) -> None:
    ended = run(server, "python", "samples/hello.wav", "/v1")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("1\n00:00:00,4")
    assert "Hello world." in ended.stdout
