"""A small hub on loopback, and a process of its own that resolves a MODEL_ID against it."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests import process_coverage

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WHOLE = {
    "config.json": b'{"model_type": "whisper"}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"\0" * 64,
    "pytorch_model.bin": b"a pickle, which is never downloaded",
}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@dataclass
class Hub:
    """One public repository, some/model."""

    files: dict[str, bytes]
    requested: list[str] = field(default_factory=list)  # paths of all requests
    agents: set[str] = field(default_factory=set)  # User-Agent headers of all requests
    url: str = ""
    breaks_off: bool = False  # True closes the connection in the middle of each file
    has_wrong_sizes: bool = False  # True sends more of each file than the hub's list says
    status: int = 200  # or the error with which every request is answered
    body: bytes = b""  # of every answer, in place of the hub's own
    headers: dict[str, str] = field(default_factory=dict)  # of every answer with this status or body
    is_only_for_files: bool = False  # status, body and headers are those of files; the rest is as it should be

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        self.requested.append(path)
        is_odd = self.status != 200 or self.body
        if is_odd and (not self.is_only_for_files or "/resolve/" in path):
            return self.status, self.body or b"{}", {key: value.format(self.url) for key, value in self.headers.items()}
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
def serve(hub: Hub, tls: ssl.SSLContext | None = None) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, headers = hub.answer(self.path)
            if hub.has_wrong_sizes and self.command == "GET" and "/resolve/" in self.path:
                body += b"!"
            hub.agents.add(self.headers["User-Agent"])
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: len(body) // 2] if hub.breaks_off and "/resolve/" in self.path else body)

        do_HEAD = do_CONNECT = do_GET  # noqa: N815 - as the library names it; the last is for a proxy

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        hub.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def resolve_elsewhere(
    model_id: str, cache_dir: Path, endpoint: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Prints the folder. The hub's library reads its address when it is imported, so this takes a new process."""
    code = (
        "import sys; from pathlib import Path; from asr_api.engines.checkpoints.resolve import resolve_checkpoint\n"
        "print(resolve_checkpoint(sys.argv[1], revision=None, cache_dir=Path(sys.argv[2])).folder, end='')"
    )
    return run_python(code, model_id, str(cache_dir), HF_ENDPOINT=endpoint, **environment)


def resolved(cache_dir: Path, hub: Hub, **environment: str) -> Path:
    """The folder of some/model."""
    result = resolve_elsewhere("some/model", cache_dir, hub.url, **environment)
    assert result.returncode == 0, result.stderr
    return Path(result.stdout)


def run_python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    environment |= {"HOME": arguments[-1], "PATH": "/usr/bin:/bin", **process_coverage.ENVIRONMENT}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def error_of(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode != 0
    return result.stderr.strip().splitlines()[-1]
