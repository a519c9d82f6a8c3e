"""deploy/salad: the container group against the schema, the original's example, what is posted, and each failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.test_docs import ROOT

SALAD = ROOT / "deploy/salad"
UUID = "65247de0-746f-45c6-8537-650ba613966a"
IMAGE = "saladtechnologies/asr-api:latest-distil-whisper-distil-large-v2"
# What the original's README posts.
PROBE = {
    "http": {"path": "/hc", "port": 8000, "scheme": "http", "headers": []},
    "initial_delay_seconds": 1,
    "period_seconds": 1,
    "timeout_seconds": 1,
    "success_threshold": 1,
    "failure_threshold": 20,
}
ORIGINAL: dict[str, Any] = {
    "name": "asr-api-distil-whisper-lg-v2",
    "display_name": "asr-api-distil-whisper-lg-v2",
    "container": {
        "image": IMAGE,
        "resources": {"cpu": 2, "memory": 8192, "gpu_classes": [UUID]},
        "command": [],
    },
    "autostart_policy": True,
    "restart_policy": "always",
    "replicas": 3,
    "networking": {"protocol": "http", "port": 8000, "auth": False},
    "startup_probe": PROBE,
}


def deploy(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SALAD / "deploy.py"), "--image", IMAGE, *arguments]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def dry_run(*arguments: str, **variables: str) -> dict[str, Any]:
    ended = deploy("--dry-run", *arguments, **variables)
    assert (ended.returncode, ended.stderr) == (0, "")
    group: dict[str, Any] = json.loads(ended.stdout)
    return group


def contains(whole: Any, part: Any) -> bool:
    """Whether each value of `part` is in `whole`, at the same place."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], part[key]) for key in part)
    return bool(whole == part)


def test_the_originals_container_group_comes_out() -> None:
    assert contains(dry_run("--name", ORIGINAL["name"], "--gpu-class", UUID), ORIGINAL)


@pytest.mark.deploy
def test_the_schema_accepts_the_originals_example_and_ours_and_no_other_field() -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((SALAD / "container-group.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    is_valid = Draft202012Validator(schema).is_valid
    every = ("--downloads-model", "--auth", "--priority", "low", "--env", "MODEL_ID=turbo", "--gpu-class", UUID)
    for group in (ORIGINAL, dry_run(), dry_run(*every, "--replicas", "5", "--cpu", "4", "--memory-mb", "16384")):
        assert is_valid(group)
        assert not is_valid(group | {"replica": 3})
        assert not is_valid(group | {"startup_probe": PROBE | {"failure_threshold": 180}})
    assert not is_valid(dry_run("--gpu-class", "RTX 3080 Ti"))
    assert not is_valid(dry_run("--env", "lower case=1"))


def test_flags_reach_their_places() -> None:
    every = ("--replicas", "5", "--cpu", "4", "--memory-mb", "16384", "--auth", "--priority", "low")
    group = dry_run(*every, "--env", "MODEL_ID=turbo", "--env", "API_KEYS", API_KEYS="a:secret")
    container = group["container"]
    assert (group["replicas"], group["networking"]["auth"], container["priority"]) == (5, True, "low")
    assert container["resources"] == {"cpu": 4, "memory": 16384, "gpu_classes": []}
    assert contains(container["environment_variables"], {"MODEL_ID": "turbo", "API_KEYS": "a:secret"})


def test_an_image_that_downloads_its_model_gets_three_minutes() -> None:
    probe = dry_run("--downloads-model")["startup_probe"]
    assert probe["initial_delay_seconds"] == 10
    assert probe["period_seconds"] * probe["failure_threshold"] == 180


@contextmanager
def api(status: int, answer: bytes) -> Iterator[tuple[str, list[tuple[str, str | None, Any]]]]:
    """Its address, and path, key and body of each request."""
    requests: list[tuple[str, str | None, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, self.headers["Salad-Api-Key"], json.loads(body)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


PLACE = {"SALAD_ORGANIZATION": "my org", "SALAD_PROJECT": "p", "SALAD_API_KEY": "secret-key"}


def test_the_container_group_is_posted_with_the_key() -> None:
    with api(201, json.dumps({"name": "asr-api", "networking": {"dns": "a.salad.cloud"}}).encode()) as (url, requests):
        ended = deploy("--api", url, **PLACE)
    assert (ended.returncode, ended.stdout) == (0, "created asr-api; its address is https://a.salad.cloud\n")
    assert requests == [("/organizations/my%20org/projects/p/containers", "secret-key", dry_run())]


@pytest.mark.parametrize(
    ("status", "answer", "sentence"),
    [
        (401, b"", "SaladCloud answered 401: Unauthorized"),
        (400, b'{"title": "Bad", "errors": {"name": ["taken"]}}', "SaladCloud answered 400: Bad {'name': ['taken']}"),
        (409, b"<html>\n no\n</html>", "SaladCloud answered 409: <html> no </html>"),
        (201, b"no json", "SaladCloud cannot be reached, or its answer cannot be read: "),
    ],
)
def test_a_refusal_is_one_line_without_the_key(status: int, answer: bytes, sentence: str) -> None:
    with api(status, answer) as (url, _):
        ended = deploy("--api", url, **PLACE)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"deploy/salad/deploy.py: {sentence}")
    assert "secret-key" not in ended.stderr


def test_what_is_missing_is_named_before_anything_is_sent() -> None:
    with api(201, b"{}") as (url, requests):
        for name, named in (("SALAD_ORGANIZATION", "--organization"), ("SALAD_API_KEY", "SALAD_API_KEY")):
            ended = deploy("--api", url, **{key: value for key, value in PLACE.items() if key != name})
            assert ended.returncode == 1
            assert named in ended.stderr
        assert "--env NOT_SET has no value" in deploy("--env", "NOT_SET", "--api", url, **PLACE).stderr
    assert requests == []


def test_an_api_that_is_away_is_one_line() -> None:
    with api(201, b"{}") as (url, _):
        pass
    ended = deploy("--api", url, **PLACE)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "cannot be reached" in ended.stderr
