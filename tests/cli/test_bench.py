"""`asr-api bench`: the table and the line of JSON, notes, errors, and a missing psutil."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.engines.scripted import Script
from tests.server.in_process import Cli
from tests.server.running import ROOT, run_command, wav


def test_the_output_is_a_table_and_a_line_of_json(cli: Cli) -> None:
    arguments = ("--seconds", "10", "--clients", "1,3", "--slots", "8", "--batch-size", "2")
    ended = cli.run("bench", *arguments, script=Script(step_s=0.05))
    assert ended.code == 0, ended.stderr
    assert ended.stdout.count("\n") == 1
    findings = json.loads(ended.stdout)
    rows = findings["rows"]
    measured = [(row["kind"], row["number"]) for row in rows[1:]]
    assert measured == [("clients", 1), ("clients", 3), ("slots", 2), ("slots", 8)]
    assert rows[0]["kind"] == "file"
    assert findings["best_slots"] in {2, 8}
    lines = ended.stderr.splitlines()
    assert f"Best: BATCH_SIZE={findings['best_slots']}, the fewest slots" in ended.stderr
    labels = [f"one file of {rows[0]['number']} s", "1 at once", "3 at once", "BATCH_SIZE=2", "BATCH_SIZE=8"]
    assert [line.split("  ")[0] for line in lines[2:7]] == labels


def test_notes_name_skipped_measurements_and_missing_text(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "music.wav").write_bytes(wav(1, word_s=0.06, pause_s=3))
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
        (["nowhere.wav"], 1, "asr-api: nowhere.wav: There is no such file; check the spelling."),
        (["bad.wav"], 1, "asr-api: bad.wav: The format of the file is not supported"),
        (["short.wav"], 1, "asr-api: short.wav: The audio lasts 0.020 s; send at least "),
        *((["--clients", it], 2, f"'{it}' must be integers from 1 to 256, separated by commas") for it in ("0", "1,x")),
        *((["--seconds", it], 2, f"'{it}' must be a number from 1 to 3600") for it in ("9999", "soon")),
        (["--language", "sw"], 2, "language is 'sw', which "),
    ],
)
def test_an_error_is_one_line(cli: Cli, tmp_path: Path, arguments: list[str], code: int, sentence: str) -> None:
    (tmp_path / "bad.wav").write_bytes(b"not audio at all" * 100)
    (tmp_path / "short.wav").write_bytes(wav(1, word_s=0.01, pause_s=0.01))
    ended = cli.run("bench", *arguments)
    assert (ended.code, ended.stdout) == (code, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_without_psutil_the_error_names_the_command_that_installs_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['psutil'] = None; from asr_api.cli.main import main; sys.exit(main(['bench']))"
    ended = run_command(tmp_path, sys.executable, "-c", code)
    command = f"{sys.executable} -m pip install -e '.[bench]'".replace(f"{ROOT}/", "")  # the current folder is ROOT
    sentence = f"asr-api: psutil is not installed; run: {command}\n"
    assert (ended.returncode, ended.stdout, ended.stderr.decode()) == (2, b"", sentence)
