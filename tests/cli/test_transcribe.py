"""`asr-api transcribe`: order, failing sources, notices, stdin, parameters, the progress bar and interrupts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from unittest.mock import create_autospec

import psutil
import pytest

from asr_api.options import DecodeOptions
from asr_api.transcriber import Transcriber
from tests.engines.scripted import Script
from tests.server.in_process import Cli
from tests.server.running import ROOT, command, environment, run_command, wav


def test_transcripts_come_in_order_and_failing_sources_are_reported(cli: Cli, tmp_path: Path, recordings: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"not audio at all" * 100)
    ended = cli.run("transcribe", "recordings", "bad.wav", "nowhere.mp3", "http://[::1", "recordings/b.wav")
    lines = ("a.wav: 1 11", "b.wav: 2 22", "more/c.WAV: 3", "b.wav: 2 22")
    assert (ended.code, ended.stdout.splitlines()) == (1, [f"recordings/{line}" for line in lines])
    bad, missing, bad_link = ended.stderr.splitlines()
    assert bad.startswith("asr-api: bad.wav: The format of the file is not supported")
    assert missing == "asr-api: nowhere.mp3: There is no such file; check the spelling."
    assert bad_link.startswith("asr-api: http://[::1: The url cannot be parsed")


def test_truncated_and_damaged_sources_are_reported_with_exit_code_3(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "whole.wav").write_bytes(wav(1))
    (tmp_path / "broken.wav").write_bytes(wav(*range(1, 9))[:-40_000])
    flac = bytearray((ROOT / "samples" / "code.flac").read_bytes())
    flac[len(flac) // 2 : len(flac) // 2 + 3000] = bytes(3000)
    (tmp_path / "damaged.flac").write_bytes(flac)
    ended = cli.run("transcribe", "broken.wav", "damaged.flac", "whole.wav")
    assert (ended.code, ended.stdout.splitlines()[-1]) == (3, "whole.wav: 1")
    truncated, damaged = ended.stderr.splitlines()
    assert truncated == "asr-api: broken.wav: The file is truncated; this is the text of its good part."
    notice = "Parts of the file cannot be decoded; their text is missing, and later times may be too early."
    assert damaged == f"asr-api: damaged.flac: {notice}"
    for name, key in (("broken.wav", "truncated"), ("damaged.flac", "damaged")):
        assert json.loads(cli.run("transcribe", name, "--format", "json").stdout)[key] is True


def test_doubtful_passages_are_counted_on_stderr_unless_the_format_is_json(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(1, 2, 3))
    script = Script(hallucinated=(2,))
    for name in ("text", "srt", "vtt"):
        ended = cli.run("transcribe", "a.wav", "--format", name, script=script)
        notice = "Passages that may be wrong or were left out: 1; --format json marks them."
        assert (ended.code, ended.stderr) == (0, f"asr-api: a.wav: {notice}\n")
    ended = cli.run("transcribe", "a.wav", "--format", "json", script=script)
    assert (ended.stderr, len(json.loads(ended.stdout)["omitted"])) == ("", 1)


def test_stdin_is_a_source(tmp_path: Path, cli: Cli) -> None:
    def run(*prefix: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
        ended = run_command(tmp_path, *prefix, *command({}, "transcribe", "-"), given=given)
        return ended.returncode, ended.stdout, ended.stderr

    assert run(given=wav(4, 5)) == (0, b"4 5\n", b"")
    assert run() == (1, b"", b"asr-api: stdin: The file contains no audio; record it again.\n")
    closed = run("/bin/sh", "-c", 'exec "$@" <&-', "sh")
    assert closed == (1, b"", b"asr-api: stdin: Stdin is closed; pipe a recording into it.\n")
    assert "- is named more than once" in cli.run("transcribe", "-", "-").stderr


def test_every_request_parameter_is_a_flag(cli: Cli, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transcribe = create_autospec(Transcriber.transcribe, side_effect=Transcriber.transcribe)
    monkeypatch.setattr(Transcriber, "transcribe", transcribe)
    monkeypatch.setenv("DEFAULT_LANGUAGE", "fr")
    flags = ["--language=de", "--languages", "de,en", "--prompt", "Hello.", "--hotwords", "Ada"]
    flags += ["--temperature", "0.8", "--words", "--no-timestamps", "--task", "translate", "--no-vad"]
    ended = cli.run("transcribe", "recordings/b.wav", *flags, "--format", "json")
    assert (ended.code, json.loads(ended.stdout)["text"]) == (0, "2e 22e"), "translated"
    cli.run("transcribe", "recordings/b.wav")
    cli.run("transcribe", "recordings/b.wav", "--language", "auto")
    given = DecodeOptions("translate", "de", ("de", "en"), "Hello.", "Ada", (0.8, 1.0), timestamps=False, words=True)
    options = [call.args[2] for call in transcribe.call_args_list]
    assert [option.decode for option in options] == [given, DecodeOptions(language="fr"), DecodeOptions()]
    assert not any(option.vad or option.condition_on_previous_text for option in options)


def test_progress_is_shown_on_a_terminal(tmp_path: Path, recordings: Path) -> None:
    terminal, device = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    line, environ = command({"step_s": 0.2}, "transcribe", str(recordings)), environment(tmp_path, TERM="xterm")
    with subprocess.Popen(line, env=environ, cwd=tmp_path, stdout=-1, stderr=device, text=True) as process:
        os.close(device)
        stdout, _ = process.communicate(timeout=20)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(terminal, 65536):
            shown += piece
    os.close(terminal)
    assert [line.rpartition(": ")[2] for line in stdout.splitlines()] == ["1 11", "2 22", "3"]
    assert b"s of audio, 2 of 3 done" in shown
    assert b"100%" in shown


@pytest.mark.parametrize("arguments", [("transcribe", "recordings", "--log-level", "info"), ("bench",)])
def test_an_interrupt_exits_with_130_and_leaves_no_process(
    tmp_path: Path, recordings: Path, arguments: tuple[str, ...]
) -> None:
    with subprocess.Popen(
        command({"step_s": 0.1, "steps_per_window": 600}, *arguments),
        env=environment(tmp_path), cwd=recordings.parent, stdout=-1, stderr=-1, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        while "asr-api-engine" not in {child.name() for child in psutil.Process(process.pid).children()}:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_reader_of_stdout_that_leaves_ends_the_command_silently(tmp_path: Path, recordings: Path) -> None:
    line = command({}, "transcribe", str(recordings))
    with subprocess.Popen(line, env=environment(tmp_path), cwd=ROOT, stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 1
