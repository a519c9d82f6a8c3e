"""Links on the command line: a private address is refused with the flag that allows it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.server.in_process import Cli
from tests.server.running import command, run_command, wav


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a server for `tmp_path` on loopback."""
    (tmp_path / "a.wav").write_bytes(wav(7))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield http.server_port
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["transcribe", "bench"])
def test_a_private_address_is_refused_with_the_flag_that_allows_it(cli: Cli, port: int, name: str) -> None:
    link = f"http://127.0.0.1:{port}/a.wav"
    ended = cli.run(name, link)
    remedy = "if you trust it, add --allow-private-cidrs 127.0.0.0/8."
    sentence = f"asr-api: {link}: The link leads to 127.0.0.1, which is not public; {remedy}\n"
    assert (ended.code, ended.stderr) == (1, sentence)


def test_the_flag_works_and_keeps_what_was_allowed(cli: Cli, port: int) -> None:
    link = f"http://127.0.0.1:{port}/a.wav"
    ended = cli.run("transcribe", link, "--allow-private-cidrs", "10.0.0.0/8")
    assert ended.stderr.endswith("add --allow-private-cidrs 10.0.0.0/8,127.0.0.0/8.\n")
    assert cli.run("transcribe", link, "--allow-private-cidrs", "10.0.0.0/8,127.0.0.0/8").stdout == "7\n"


def test_an_address_that_nothing_allows_has_another_remedy(cli: Cli) -> None:
    ended = cli.run("transcribe", "http://169.254.169.254/a.wav", "--allow-private-cidrs", "0.0.0.0/0")
    assert ended.stderr.endswith("which is not public and never fetched from; download the file and name it.\n")


def test_other_refusals_stay(cli: Cli) -> None:
    ended = cli.run("transcribe", "http://127.0.0.1/a.wav", "--allowed-media-domains", "example.org")
    assert "does not fetch from the link's host" in ended.stderr


def test_stdin_is_bounded_as_downloads_are(tmp_path: Path) -> None:
    line = command({}, "transcribe", "-", "--max-upload-mb", "1")
    ended = run_command(tmp_path, *line, given=bytes(2**20 + 1))
    problem = "The media is larger than 1,048,576 bytes (MAX_UPLOAD_MB); compress or split it."
    assert (ended.returncode, ended.stderr.decode()) == (1, f"asr-api: stdin: {problem}\n")
