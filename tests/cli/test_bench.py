"""`asr-api bench`: the table and the line of JSON, notes, errors, a missing psutil, and an interrupt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import wait_for_engine
from tests.engines.scripted import Script
from tests.server.in_process import Cli
from tests.server.running import ROOT, command, environment, wav


def test_figures_are_a_table_on_stderr_and_one_line_of_json_on_stdout(cli: Cli) -> None:
    arguments = ("--seconds", "10", "--clients", "1,3", "--slots", "8", "--batch-size", "2")
    ended = cli.run("bench", *arguments, script=Script(step_s=0.05))
    assert ended.code == 0, ended.stderr
    assert ended.stdout.count("\n") == 1
    findings = json.loads(ended.stdout)
    rows = findings["rows"]
    assert [(row["kind"], row["number"]) for row in rows[1:]] == [
        ("clients", 1), ("clients", 3), ("slots", 2), ("slots", 8),
    ]  # fmt: skip
    assert rows[0]["kind"] == "file"
    assert findings["best_slots"] in {2, 8}
    lines = ended.stderr.splitlines()
    assert f"Best: BATCH_SIZE={findings['best_slots']}, the fewest slots" in ended.stderr
    assert [line.split("  ")[0] for line in lines[2:7]] == [
        f"one file of {rows[0]['number']} s", "1 at once", "3 at once", "BATCH_SIZE=2", "BATCH_SIZE=8",
    ]  # fmt: skip


def test_notes_say_what_there_was_no_time_for_and_that_the_model_found_no_words(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "music.wav").write_bytes(wav(1, pause_s=3))
    arguments = ("music.wav", "--quick", "--seconds", "12", "--clients", "1,200")
    ended = cli.run("bench", *arguments, script=Script(step_s=0.2, ignored=(1,)))
    assert ended.code == 0, ended.stderr
    findings = json.loads(ended.stdout)
    assert [row["number"] for row in findings["rows"][1:]] == [1]
    assert findings["best_slots"] is None
    assert "There was no time for 200 clients; raise --seconds." in findings["notes"]
    assert any(note.startswith("Most clips gave no text") for note in findings["notes"])
    assert all(note in ended.stderr for note in findings["notes"])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere.wav"], 1, "There is no such file; check the spelling."),
        (["bad.wav"], 1, "The format of the file is not supported"),
        (["--clients", "0"], 2, "'0' must be whole numbers from 1 to 256, separated by commas"),
        (["--clients", "1,x"], 2, "'1,x' must be whole numbers from 1 to 256, separated by commas"),
        (["--seconds", "9999"], 2, "'9999' must be a number from 1 to 3600"),
        (["--seconds", "soon"], 2, "'soon' must be a number from 1 to 3600"),
        (["--language", "sw"], 2, "language is 'sw', which "),
    ],
)
def test_an_error_is_one_line(cli: Cli, tmp_path: Path, arguments: list[str], code: int, sentence: str) -> None:
    (tmp_path / "bad.wav").write_bytes(b"not audio at all" * 100)
    ended = cli.run("bench", *arguments)
    assert (ended.code, ended.stdout) == (code, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_without_psutil_the_error_names_the_command_that_installs_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['psutil'] = None; from asr_api.cli.main import main; sys.exit(main(['bench']))"
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, env=environment(tmp_path), capture_output=True, text=True
    )
    sentence = "asr-api: The benchmark needs psutil, which is not installed; run: pip install 'asr-api[bench]'\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", sentence)


def test_an_interrupt_exits_with_130_and_leaves_no_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        command({"step_s": 0.1, "steps_per_window": 600}, "bench"),
        env=environment(tmp_path),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_for_engine(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
