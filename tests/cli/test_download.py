"""`asr-api download`: once from a hub, then from the cache, and what it says where there is no such model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.engines.checkpoints.fake_hub import WHOLE, Hub, serve
from tests.engines.whisper_checkpoints import TINY, write_checkpoint
from tests.server.running import ROOT, run_command


def download(folder: Path, model_id: str, **settings: str) -> subprocess.CompletedProcess[bytes]:
    command = (sys.executable, "-m", "asr_api", "download", "--model-id", model_id)
    return run_command(folder, *command, given=b"", cwd=ROOT, **settings)


def test_a_model_of_the_hub_is_downloaded_once(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint", TINY)
    files = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    with serve(Hub(files)) as hub:
        first = download(tmp_path, "some/model", HF_ENDPOINT=hub.url, CACHE_DIR=str(tmp_path / "models"))
        num_requests = len(hub.requested)
        # As in an image: the model lies in the cache of HF_HOME, and CACHE_DIR is another folder.
        write_checkpoint(tmp_path / "hub", TINY)
        again = download(tmp_path, "some/model", HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(tmp_path / "models"))
    for ended in (first, again):
        assert ended.returncode == 0, ended.stderr
        start, _, folder = ended.stdout.decode().strip().partition(" is in ")
        assert start == "some/model"
        assert {file.name for file in Path(folder).iterdir()} == files.keys()
        assert Path(folder).is_relative_to(tmp_path / "models")
    assert num_requests > 0
    assert len(hub.requested) == num_requests


def test_a_checkpoint_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with serve(Hub(WHOLE)) as hub:  # its weights are zeros
        ended = download(tmp_path, "some/model", HF_ENDPOINT=hub.url)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.splitlines()[-1].startswith(b"asr-api: The checkpoint's model.safetensors ")


def test_the_built_in_model_needs_no_download_and_an_unknown_one_is_one_line(tmp_path: Path) -> None:
    assert download(tmp_path, "builtin").stdout.startswith(b"builtin is in ")
    ended = download(tmp_path, "no/such-model", HF_HUB_OFFLINE="1")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"MODEL_ID=no/such-model" in ended.stderr
