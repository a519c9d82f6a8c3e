"""Logs: every record is one line of text or one JSON object, whatever it holds."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asr_api.logs import MAX_CHARS, LogFormat, configure_logging, current_log_format
from tests.server.running import environment

HOSTILE = 'a\nb\r\x1b[31m\u202e\u2066\u2028\x85\ud800"{}\\'
LINK = "https://bucket.test/a.wav?x='\"&X-Amz-Signature=5ec2e7"

Lines = Callable[[], list[str]]
Configure = Callable[..., None]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    def read() -> list[str]:
        return capsys.readouterr().err.rstrip("\n").split("\n")

    return read


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """`configure_logging` as in a process without pytest's own handlers."""
    root, level = logging.getLogger(), logging.getLogger().level
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))

    def configure(log_format: LogFormat, process: str = "") -> None:
        monkeypatch.setattr(root, "handlers", [])
        configure_logging("INFO", log_format, process)

    yield configure
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def run_python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", f"from asr_api.logs import *\n{code}"]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment(folder))


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("sentence", [HOSTILE, "x" * 2**20, "\n" * 2**20, LINK])
def test_no_character_of_a_client_breaks_or_turns_a_line(
    configure: Configure, lines: Lines, log_format: LogFormat, sentence: str
) -> None:
    configure(log_format)
    assert current_log_format() == log_format
    logger = logging.getLogger("asr_api.test")
    logger.info("refused %s", sentence)
    logger.error("failed: %s", sentence, exc_info=ValueError(sentence))
    refused, failed, *traceback = lines()
    for line in (refused, failed, *traceback):
        assert line.isprintable()
        assert "5ec2e7" not in line
        assert len(line) < (MAX_CHARS * 12 if log_format == "text" else 30_000 * 12)
    if log_format == "json":
        assert not traceback
        assert json.loads(refused)["message"].isprintable()
        for line in json.loads(failed)["traceback"].split("\n"):
            assert line.isprintable()
    else:
        assert all(line.startswith("    ") for line in traceback)
        assert "ValueError" in "".join(traceback)


def test_a_record_as_json_has_its_facts_as_fields(configure: Configure, lines: Lines) -> None:
    configure("json", "engine")
    logging.getLogger("asr_api.test").info({"message": "request", "audio_s": 2.5, "route": "/\u202e"})
    (line,) = lines()
    fields = json.loads(line)
    assert fields.pop("time").endswith("Z")
    assert fields == {
        "level": "INFO",
        "logger": "asr_api.test",
        "process": "engine",
        "message": "request",
        "audio_s": 2.5,
        "route": r"/\u202e",
    }


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_error_that_ends_the_process_is_a_record(tmp_path: Path, log_format: LogFormat) -> None:
    ended = run_python(tmp_path, f"configure_logging('INFO', {log_format!r}, 'engine'); raise ValueError('bug')")
    assert ended.returncode == 1
    record, *traceback = ended.stderr.rstrip("\n").split("\n")
    if log_format == "json":
        assert not traceback
        assert json.loads(record)["traceback"].endswith("ValueError: bug")
    else:
        assert record.endswith(" CRITICAL engine: the process ends with an error")
        assert traceback[-1] == "    ValueError: bug"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("import warnings; warnings.warn('old\\nway')", "UserWarning: old"),
        ("import threading; threading.Thread(target=lambda: 1 / 0).start()", "ZeroDivisionError"),
        ("class A:\n def __del__(self): 1 / 0\nA()", "ZeroDivisionError"),
    ],
)
def test_what_python_prints_by_itself_is_a_record_as_json(tmp_path: Path, code: str, shown: str) -> None:
    (line,) = run_python(tmp_path, f"configure_logging('INFO', 'json')\n{code}").stderr.splitlines()
    fields = json.loads(line)
    assert shown in fields["message"] + fields.get("traceback", "")
