"""The requests on the pages of docs/coming-from work, by curl, and the settings of ours that they name exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_api.settings.settings import Settings
from tests.server.running import Server, serving, wav
from tests.test_docs import ROOT, VARIABLES_OF_OTHERS

PAGES = sorted((ROOT / "docs/coming-from").glob("*.md"))
MODELS = ("Systran/faster-whisper-base", "Systran/faster-whisper-small", "whisper-1", "gpt-4o-transcribe")
FENCE = re.compile(r"```sh\n(.+?)```", re.DOTALL)


def requests_of(page: Path) -> list[str]:
    """The curl commands, one line each, without those that fetch the recording."""
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition("  #")[0] for line in lines if line.startswith("curl ") and "github.com" not in line]


COMMANDS = [(page.stem, command) for page in PAGES for command in requests_of(page)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("coming-from")
    (folder / "jfk.flac").write_bytes(wav(7, 8))  # the name of a file does not matter
    (folder / "call.ulaw").write_bytes(b"\xff" * 8000)  # silence
    with serving(folder, MODEL_ALIASES=",".join(MODELS)) as server:
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}-{n}" for n, (page, _) in enumerate(COMMANDS)])
def test_a_request_works(server: Server, page: str, command: str) -> None:
    here = re.sub(r"localhost:\d+", f"127.0.0.1:{server.port}", command)
    ended = subprocess.run(
        f"{here} -sS --fail-with-body", shell=True, check=False, capture_output=True, text=True, cwd=server.log.parent
    )
    assert ended.returncode == 0, (page, command, ended.stdout, ended.stderr)
    assert re.search("7|english|ok|version|metadata", ended.stdout), (page, command, ended.stdout)


def test_every_page_shows_a_request() -> None:
    assert {page for page, _ in COMMANDS} >= {page.stem for page in PAGES} - {"README", "whisper-1"}


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "README"], ids=lambda page: page.stem)
def test_the_settings_of_ours_exist(page: Path) -> None:
    """Variables in the second column of a table of settings."""
    text = page.read_text(encoding="utf-8")
    (table,) = re.findall(r"## Settings\n.*?\n(\|.+?\n)(?:\n|$)", text, re.DOTALL) or [""]
    ours = " ".join(row.split(" | ", 1)[1] for row in table.splitlines()[2:])
    named = set(re.findall(r"`([A-Z][A-Z0-9_]{3,})\b[^_…`]*`", ours))
    known = {name.upper() for name in Settings.model_fields} | VARIABLES_OF_OTHERS
    assert named <= known
