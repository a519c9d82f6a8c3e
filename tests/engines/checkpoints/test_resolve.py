"""A MODEL_ID becomes a complete folder, or one clear sentence. A hub on loopback stands for the real one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.resolve import BUILTIN, list_cached, missing_files, resolve_checkpoint
from asr_api.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WHOLE = {
    "config.json": b'{"model_type": "whisper"}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"\0" * 64,
    "pytorch_model.bin": b"a pickle, which nobody may fetch",
}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@dataclass
class Hub:
    """Just enough of a hub for one public repository."""

    files: dict[str, bytes]
    requested: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    url: str = ""
    breaks_off: bool = False

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        self.requested.append(path)
        name = path.partition("?")[0].rpartition("/")[2]
        if "/some/model" not in path:
            return 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        if "/api/models/" in path:
            tree = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in self.files.items()]
            siblings = [{"rfilename": name} for name in self.files]
            info = {"id": "some/model", "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
            return 200, json.dumps(tree if "/tree/" in path else info).encode(), {}
        data = self.files[name]
        etag = hashlib.sha256(data).hexdigest()
        return 200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, headers = hub.answer(self.path)
            hub.agents.add(self.headers["User-Agent"])
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: len(body) // 2] if hub.breaks_off and "/resolve/" in self.path else body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def resolve_elsewhere(model_id: str, cache_dir: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    """The hub's address is read when its library is imported, so a process of its own is needed."""
    code = (
        "import sys; from pathlib import Path; from asr_api.engines.checkpoints.resolve import resolve_checkpoint\n"
        "print(resolve_checkpoint(sys.argv[1], revision=None, cache_dir=Path(sys.argv[2])))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, model_id, str(cache_dir)],
        env={"HF_ENDPOINT": endpoint, "HOME": str(cache_dir), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_hub_id_is_downloaded_once_without_pickles_and_then_contacts_nothing(tmp_path: Path) -> None:
    with serve(Hub(WHOLE)) as hub:
        first = resolve_elsewhere("some/model", tmp_path, hub.url)
        assert first.returncode == 0, first.stderr
        folder = Path(first.stdout.strip())
        assert (folder / "model.safetensors").read_bytes() == WHOLE["model.safetensors"]
        assert not any("pytorch_model.bin" in path for path in hub.requested)
        assert not any("torch" in agent for agent in hub.agents)
        assert not any("harness" in path for path in hub.requested)  # a list of the tools that may have started us
        hub.requested.clear()
        second = resolve_elsewhere("some/model", tmp_path, hub.url)
        assert (second.stdout, hub.requested) == (first.stdout, [])
    assert [cached.model_id for cached in list_cached(tmp_path) if cached.model_id != BUILTIN] == ["some/model"]


def test_other_models_come_with_their_vocabulary_and_adapters_and_without_pickles(tmp_path: Path) -> None:
    wanted = ("vocab.json", "preprocessor_config.json", "processor_config.json", "sentencepiece.bpe.model")
    files = {
        "config.json": b'{"model_type": "wav2vec2"}',
        **dict.fromkeys((*wanted, "adapter.deu.safetensors", "model.safetensors"), b"{}"),
        **dict.fromkeys(("adapter.deu.bin", "adapter.abk.safetensors", "language_model/5gram.bin", "trap.py"), b""),
    }
    with serve(Hub(files)) as hub:
        result = resolve_elsewhere("some/model", tmp_path, hub.url)
    assert result.returncode == 0, result.stderr
    fetched = {path.name for path in Path(result.stdout.strip()).iterdir()}
    assert fetched == {"config.json", *wanted, "adapter.deu.safetensors", "model.safetensors"}


@pytest.mark.parametrize("model_type", ["wav2vec2", "whisper"])
def test_a_vocabulary_alone_is_enough_for_other_models(model_type: str, tmp_path: Path) -> None:
    files = {"config.json": json.dumps({"model_type": model_type}).encode(), "vocab.json": b"{}"}
    missing = missing_files(write(tmp_path, files | {"model.safetensors": b""}))
    assert missing == ([] if model_type == "wav2vec2" else ["tokenizer.json"])


def test_a_download_that_was_cut_off_is_completed(tmp_path: Path) -> None:
    with serve(Hub(WHOLE)) as hub:
        folder = Path(resolve_elsewhere("some/model", tmp_path, hub.url).stdout.strip())
        (folder / "model.safetensors").unlink()
        assert resolve_elsewhere("some/model", tmp_path, hub.url).returncode == 0
        assert (folder / "model.safetensors").is_file()


def test_a_download_that_breaks_off_is_one_sentence(tmp_path: Path) -> None:
    with serve(Hub(WHOLE, breaks_off=True)) as hub:
        result = resolve_elsewhere("some/model", tmp_path, hub.url)
    assert "could not be downloaded: check the network and the disk" in result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("model_id", "files", "sentence"),
    [
        ("some/other", WHOLE, "is not on the hub"),
        ("some/model", {"config.json": b"{}", "pytorch_model.bin": b""}, "pickled"),
    ],
)
def test_a_hub_without_the_checkpoint_gives_a_remedy(
    tmp_path: Path, model_id: str, files: dict[str, bytes], sentence: str
) -> None:
    with serve(Hub(files)) as hub:
        result = resolve_elsewhere(model_id, tmp_path, hub.url)
    assert result.returncode != 0
    assert sentence in result.stderr.strip().splitlines()[-1]


def test_no_network_and_no_files_names_the_builtin_model(tmp_path: Path) -> None:
    result = resolve_elsewhere("some/model", tmp_path, "http://127.0.0.1:9")
    assert "MODEL_ID=builtin" in result.stderr.strip().splitlines()[-1]


def test_a_folder_is_used_as_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "checkpoint", WHOLE)
    assert resolve_checkpoint(str(folder), revision=None, cache_dir=tmp_path) == folder


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_an_incomplete_folder_is_refused_by_name(tmp_path: Path, missing: str) -> None:
    folder = write(tmp_path, {name: data for name, data in WHOLE.items() if name != missing})
    with pytest.raises(CheckpointError, match=missing):
        resolve_checkpoint(str(folder), revision=None, cache_dir=tmp_path)


def test_every_shard_of_an_index_must_be_there(tmp_path: Path) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": dict(zip(["a", "b"], names, strict=True))}
    write(tmp_path, {**WHOLE, names[0]: b"", "model.safetensors.index.json": json.dumps(index).encode()})
    assert missing_files(tmp_path) == [names[1]]


@pytest.mark.parametrize(
    "model_id", ["./nope", "/nope", "a b", "../../x", "a/b/c", "", "~nobody-of-this-name/x", "a" * 300 + "/b"]
)
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused_at_once(tmp_path: Path, model_id: str) -> None:
    with pytest.raises(CheckpointError, match="builtin"):
        resolve_checkpoint(model_id, revision=None, cache_dir=tmp_path)
