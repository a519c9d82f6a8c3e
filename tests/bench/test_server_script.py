"""bench/server.py against the scripted server: figures and a line of JSON each; refusals and errors are counted."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.running import ROOT, Server, environment, serving, wav


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), {"step_s": 0.02}, MAX_REQUESTS="2") as running:
        yield running


def run(folder: Path, server: Server, *arguments: str) -> dict[str, object]:
    line = [sys.executable, str(ROOT / "bench/server.py"), *arguments, "--url", f"http://127.0.0.1:{server.port}"]
    ended = subprocess.run(line, env=environment(folder), cwd=folder, capture_output=True, text=True, check=True)
    report: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return report


def test_files_are_posted_one_by_one_and_errors_are_rows(tmp_path: Path, server: Server) -> None:
    (tmp_path / "good.wav").write_bytes(wav(1, 2))
    (tmp_path / "bad.wav").write_bytes(b"not audio at all" * 100)
    (tmp_path / "list.txt").write_text("# files\ngood.wav\nbad.wav\ngood.wav\n")
    report = run(tmp_path, server, "files", "list.txt", "--csv", "rows.csv")
    assert (report["num"], report["num_errors"], report["refused"]) == (2, 1, 0)
    assert report["audio_s"] == pytest.approx(4)
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [row["status"] for row in rows] == ["200", "415", "200"]
    assert float(rows[0]["rtfx"]) == pytest.approx(float(rows[0]["audio_s"]) / float(rows[0]["elapsed_s"]))


def test_a_crowd_is_served_in_the_end_and_its_refusals_are_counted(tmp_path: Path, server: Server) -> None:
    report = run(tmp_path, server, "load", "--clients", "4", "--clips", "4", "--rounds", "1")
    crowd, alone = report["clip_runs"][0], report["file_runs"][0]  # type: ignore[index]  # it is JSON
    assert (crowd["num"], crowd["num_errors"], alone["num"]) == (4, 0, 1)
    assert crowd["refused"] >= 1, "four at once, and two places"
    assert report["ratio_rtfx"] == pytest.approx(crowd["rtfx"] / alone["rtfx"])
