"""The wheel as a user installs it: contents, size, two equal builds, and every command without the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import asr_api
from tests.product.samples import SAMPLES, sample_texts, words
from tests.server.running import ROOT

pytestmark = pytest.mark.package

MAX_WHEEL_BYTES = 16e6
SAMPLE = "hello.wav"
PROGRAM = """
from asr_api.errors import AsrError
from asr_api.transcript import Transcript

def code(error: AsrError) -> str:
    return error.code

reveal_type(code)
"""
# With a registry's settings, and without anything that leads to the checkout.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name in {"PATH", "HOME", "LANG", "SSL_CERT_FILE"} or name.startswith("PIP_")
}


def run(folder: Path, *command: str | Path, code: int = 0, **variables: str) -> str:
    environment = ENVIRONMENT | {"HOME": str(folder)} | variables
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    assert ended.returncode == code, ended.stderr
    return ended.stdout if code == 0 else ended.stderr


def build(folder: Path) -> dict[str, bytes]:
    command = (sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT | {"SOURCE_DATE_EPOCH": "1700000000"})
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and its dependencies alone."""
    folder = tmp_path_factory.mktemp("installed")
    run(folder, sys.executable, "-m", "venv", folder / "venv")
    run(folder, folder / "venv/bin/python", "-m", "pip", "install", "--quiet", wheel)
    return folder / "venv"


@contextmanager
def serving(venv: Path, folder: Path) -> Iterator[str]:
    """The address of a server with the built-in model, on a free port."""
    command = [str(venv / "bin/asr-api"), "serve", "--port", "0", "--model-id", "builtin"]
    environment = ENVIRONMENT | {"HOME": str(folder)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment) as server:
        assert server.stderr is not None
        try:
            log = ""
            for line in server.stderr:
                log += line
                if " ready after " in line:
                    break
            (address,) = re.findall(r"listening on (http://localhost:\d+)", log)
            yield address
        finally:
            server.terminate()
            server.stderr.read()
    assert server.returncode == 0


def test_two_builds_are_equal(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path) == {file.name: file.read_bytes() for file in wheel.parent.iterdir()}


def test_the_wheel_is_small_and_has_what_an_installation_needs(wheel: Path) -> None:
    assert wheel.name == f"asr_api-{asr_api.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size <= MAX_WHEEL_BYTES
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {file.relative_to(ROOT / "src").as_posix() for file in (ROOT / "src").rglob("*") if file.is_file()}
    assert {name for name in names if ".dist-info/" not in name} == {
        name for name in sources if "__pycache__" not in name
    }
    assert "asr_api/py.typed" in names


@pytest.mark.parametrize("tool", [("twine", "check", "--strict"), ("check_wheel_contents",)], ids=lambda tool: tool[0])
def test_the_tools_of_the_registry_find_nothing(wheel: Path, tmp_path: Path, tool: tuple[str, ...]) -> None:
    assert re.search("PASSED|OK", run(tmp_path, sys.executable, "-m", *tool, str(wheel)))


def test_the_sources_of_the_release_can_be_tested(wheel: Path, tmp_path: Path) -> None:
    (sdist,) = wheel.parent.glob("*.tar.gz")
    run(tmp_path, "tar", "-xzf", sdist, "--strip-components=1")
    for name in ("CHANGELOG.md", "LICENSE", "README.md", "samples/hello.wav", "scripts/test", "tests/test_docs.py"):
        assert (tmp_path / name).is_file()
    assert not list(tmp_path.rglob("__pycache__"))


def test_every_command_works_without_the_checkout(venv: Path, tmp_path: Path) -> None:
    program = venv / "bin/asr-api"
    assert run(tmp_path, program, "--version") == f"asr-api {asr_api.__version__}\n"
    assert str(venv) in run(tmp_path, program, "models")
    text = run(tmp_path, program, "transcribe", SAMPLES / SAMPLE, MODEL_ID="builtin")
    assert words(text) == words(sample_texts()[SAMPLE])
    assert run(tmp_path, venv / "bin/python", "-m", "asr_api", "download", MODEL_ID="builtin").startswith(
        "builtin is in "
    )
    origin = run(tmp_path, venv / "bin/python", "-c", "import asr_api; print(asr_api.__file__)")
    assert Path(origin.strip()).is_relative_to(venv)


def test_it_serves(venv: Path, tmp_path: Path) -> None:
    with serving(venv, tmp_path) as address:
        began = time.monotonic()
        with urllib.request.urlopen(f"{address}/hc", timeout=5) as reply:
            assert json.load(reply) == {"status": "ok", "version": asr_api.__version__}
        request = urllib.request.Request(f"{address}/asr", (SAMPLES / SAMPLE).read_bytes(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as reply:
            assert words(json.load(reply)["text"]) == words(sample_texts()[SAMPLE])
        with urllib.request.urlopen(f"{address}/", timeout=5) as reply:
            assert "page/" in reply.read().decode()
        with urllib.request.urlopen(f"{address}/openapi.json", timeout=5) as reply:
            assert json.load(reply)["info"]["version"] == asr_api.__version__
        assert time.monotonic() - began < 60


def test_what_is_missing_is_installed_by_the_command_of_the_error(venv: Path, tmp_path: Path) -> None:
    """The extra `bench`, and then a benchmark."""
    error = run(tmp_path, venv / "bin/asr-api", "bench", "--quick", code=2, MODEL_ID="builtin")
    (hint,) = re.findall(r"run: (.+)\n", error)
    assert hint.endswith(" -m pip install 'asr-api[bench]'")
    run(tmp_path, "sh", "-c", f"{hint} --quiet")
    bench = ("bench", "--quick", "--seconds", "5", "--clients", "1")
    assert json.loads(run(tmp_path, venv / "bin/asr-api", *bench, MODEL_ID="builtin"))


def test_its_types_are_known(venv: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", str(venv / "bin/python"))
    assert "def (error: asr_api.errors" in run(tmp_path, *mypy, "program.py")
