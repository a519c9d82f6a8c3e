"""Servers for the official clients, and a folder with the JavaScript ones; skips tests whose packages are missing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.server.running import Server, serving

if any(find_spec(name) is None for name in ("deepgram", "openai", "schemathesis")):
    collect_ignore_glob = ["test_deepgram.py", "test_openai_*.py", "test_openapi_document.py"]

# undici 6 is the fetch of Node 20; later ones do not run on it.
NPM_PACKAGES = ("openai@^7.59.0", "undici@^6.24.0")


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Transcribes the numbers that are in the audio, at once, of any number of clients; opens links to this machine."""
    folder, loopback = tmp_path_factory.mktemp("scripted"), "127.0.0.1"
    with serving(
        folder, MAX_REQUESTS="200", ALLOWED_MEDIA_DOMAINS=loopback, ALLOW_PRIVATE_CIDRS=f"{loopback}/8"
    ) as server:
        yield server


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """OpenAI's whisper-base."""
    with serving(tmp_path_factory.mktemp("base"), MODEL_ID="base") as server:
        yield server


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scripts in this folder can import the packages."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs Node.js: node and npm")
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder), *NPM_PACKAGES]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return folder
