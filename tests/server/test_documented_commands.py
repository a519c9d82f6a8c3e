"""Each command that /docs shows works, by the real programs; each route that transcribes has one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server.running import serving, wav

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")

FENCE = re.compile(r"```sh\n(.+?)```", re.DOTALL)


def test_the_commands_of_the_docs_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("talk.mp3").write_bytes(wav(7, 8))  # the name of a file does not matter
    with serving(tmp_path) as server, server.http() as http:
        paths = http.get("/openapi.json").json()["paths"]
        for path, operations in paths.items():
            if "post" not in operations:
                continue
            blocks = FENCE.findall(operations["post"]["description"])
            assert blocks, f"{path} shows no command"
            for command in "".join(blocks).strip().splitlines():
                here = command.replace("localhost:8000", f"127.0.0.1:{server.port}")
                ended = subprocess.run(
                    f"{here} -sS --fail-with-body", shell=True, check=False, capture_output=True, text=True
                )
                assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
                assert "7" in ended.stdout or "language" in path, (command, ended.stdout)
