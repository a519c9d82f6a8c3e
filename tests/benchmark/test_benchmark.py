"""`asr-api bench` with the scripted engine: what it finds, what it leaves out, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from asr_api import compose
from asr_api.benchmark import speech
from asr_api.cli.main import main
from asr_api.engines.protocol import EngineOptions
from tests.engines.scripted import Script, ScriptedEngine
from tests.server.in_process import Cli
from tests.server.running import ROOT, command, environment, wav


def open_with_slots(script: Script, options: EngineOptions) -> ScriptedEngine:
    return ScriptedEngine(replace(script, n_slots=options.n_slots))


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return Cli(capfd, monkeypatch, tmp_path)


def test_findings_are_a_table_and_one_line_of_json(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Cli(capfd, monkeypatch, tmp_path)
    monkeypatch.setattr(compose, "open_engine", partial(open_with_slots, Script(step_s=0.05)))
    monkeypatch.setattr(speech, "NUM_WINDOWS", 8)
    assert main(["bench", "--seconds", "12", "--clients", "1,3", "--slots", "8", "--batch-size", "2"]) == 0
    stdout, table = capfd.readouterr()
    assert stdout.count("\n") == 1
    found = json.loads(stdout)
    assert [clients["num_clients"] for clients in found["clips"]] == [1, 3]
    alone, three = found["clips"]
    assert 0.05 <= alone["p50_s"] <= alone["p95_s"]
    assert three["num_clips"] >= 2 * 3
    assert [slots["num_slots"] for slots in found["slots"]] == [2, 8]
    assert found["best_slots"] in {2, 8}
    assert len(found["slots"][0]["rate"]["parts"]) > 1, "what is set is measured again, to know the noise"
    assert found["file"]["rate"]["rtfx"] > 10
    assert found["peak_bytes"] > 20_000_000
    assert "3 at once" in table
    assert f"Best: BATCH_SIZE={found['best_slots']}" in table
    assert "…" not in table, "progress is for terminals"


def test_what_there_is_no_time_for_is_left_out_and_said(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "silent.wav").write_bytes(wav(1, pause_s=3))
    ended = cli.run(
        "bench",
        "silent.wav",
        "--quick",
        "--seconds",
        "3",
        "--clients",
        "1,200",
        script=Script(step_s=0.2, unheard=(1,)),
    )
    assert ended.code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert [clients["num_clients"] for clients in found["clips"]] == [1]
    assert (found["slots"], found["best_slots"]) == ([], None)
    assert "There was no time for 200 clients at once; give more with --seconds." in found["notes"]
    assert any(note.startswith("The model heard no words in") for note in found["notes"])
    assert all(note in ended.stderr for note in found["notes"])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere.wav"], 1, "nowhere.wav: there is no such file; check the spelling."),
        (["bad.wav"], 1, "The format of the file is not supported"),
        (["--clients", "0"], 2, "0 is not numbers from 1 to 256 with commas"),
        (["--clients", "1,x"], 2, "1,x is not numbers from 1 to 256 with commas"),
        (["--seconds", "9999"], 2, "9999 is no number from 1 to 3600"),
        (["--seconds", "soon"], 2, "soon is no number from 1 to 3600"),
        (["--language", "sw"], 2, "language is sw, which this model does not know"),
    ],
)
def test_a_wrong_wish_is_one_line(cli: Cli, tmp_path: Path, arguments: list[str], code: int, sentence: str) -> None:
    (tmp_path / "bad.wav").write_bytes(b"not audio at all" * 100)
    ended = cli.run("bench", *arguments)
    assert (ended.code, ended.stdout) == (code, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_interrupt_is_130_and_leaves_no_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        command({"step_s": 0.1, "steps_per_window": 600}, "bench"),
        env=environment(tmp_path),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        deadline_s = time.monotonic() + 20
        while "asr-api-engine" not in {child.name() for child in psutil.Process(process.pid).children()}:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
