"""benchmarks/server against the scripted server: figures, the line of JSON, and counts of refusals and errors."""

from __future__ import annotations

import asyncio
import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from asr_api import compose
from asr_api.benchmark.speech import MINUTE
from benchmarks.server.client import connected
from benchmarks.server.load import LoadReport, measure_load
from benchmarks.server.offline import open_offline
from tests.engines.scripted import Script
from tests.server.running import Server, environment, serving, wav
from tests.server.scripted_server import open_scripted

SCRIPT = Script(step_s=0.02)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), {"step_s": SCRIPT.step_s}, MAX_REQUESTS="2") as running:
        yield running


def run(folder: Path, server: Server, *arguments: str) -> dict[str, object]:
    line = [sys.executable, "-m", "benchmarks.server", *arguments, "--url", f"http://127.0.0.1:{server.port}"]
    ended = subprocess.run(line, env=environment(folder), cwd=folder, capture_output=True, text=True, check=True)
    report: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return report


def test_every_file_of_a_list_is_posted_and_errors_are_rows(tmp_path: Path, server: Server) -> None:
    (tmp_path / "good.wav").write_bytes(wav(1, 2))
    (tmp_path / "bad.wav").write_bytes(b"not audio at all" * 100)
    (tmp_path / "list.txt").write_text("# files\ngood.wav\nbad.wav\ngood.wav\n")
    report = run(tmp_path, server, "files", "list.txt", "--csv", "rows.csv")
    files = report["files"]
    assert (files["num"], files["num_errors"], files["num_refused"]) == (2, 1, 0)  # type: ignore[index]  # it is JSON
    assert files["audio_s"] == pytest.approx(4)  # type: ignore[index]
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [row["status"] for row in rows] == ["200", "415", "200"]
    assert float(rows[0]["rtfx"]) == pytest.approx(float(rows[0]["audio_s"]) / float(rows[0]["elapsed_s"]))


def test_clips_of_many_clients_are_compared_with_a_file_and_offline(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compose, "open_engine", partial(open_scripted, SCRIPT))
    monkeypatch.setenv("MODEL_ID", "builtin")
    monkeypatch.setenv("CACHE_DIR", str(tmp_path))

    async def measure() -> LoadReport:
        async with connected(f"http://127.0.0.1:{server.port}", []) as clients, open_offline([], 4) as offline:
            return await measure_load(clients, offline, MINUTE, 4, 4, 1)

    report = asyncio.run(measure())
    (clips,), (file,), (offline_rtfx,) = report.clip_runs, report.file_runs, report.offline_rtfx
    assert (clips.figures.num, clips.figures.num_errors, file.figures.num) == (4, 0, 1)
    assert clips.figures.num_refused >= 1, "four clients, and two requests at most"
    assert clips.windows_per_s * clips.figures.wall_s == pytest.approx(4)
    assert report.ratio_rtfx == pytest.approx(clips.rtfx / file.rtfx)
    assert report.ratio_offline == pytest.approx(clips.rtfx / offline_rtfx)
    assert "of the offline rate of the same clips" in capsys.readouterr().out
