"""Each kind of failure of a download has its own sentence, with a remedy and the built-in model as the way out."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.download_failures import explain_download_failure
from tests.engines.checkpoints.fake_hub import WHOLE, Hub, error_of, resolve_elsewhere, run_python, serve

CACHE = Path("/cache")
UNREACHABLE = "http://127.0.0.1:9"


def wrapped(error: Exception) -> Exception:
    """As the libraries raise it: an error with a suppressed context, which is the cause of another one."""
    inner = Exception(str(error))  # as of the hub's HTTP library, whose errors differ from version to version
    inner.__context__, inner.__suppress_context__ = error, True
    outer = FileNotFoundError("cannot find the files\nand many more words")
    outer.__cause__ = inner
    return outer


def system_error(number: int, filename: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), *([filename] if filename else []))


NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
CONNECTION = "no connection to the hub"


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (NO_NAME, "name of the hub could not be resolved", "HF_ENDPOINT"),
        (system_error(errno.ECONNREFUSED), f"{CONNECTION} (Connection refused)", "check the network"),
        (system_error(errno.ENETUNREACH), f"{CONNECTION} (Network is unreachable)", "check the network"),
        (system_error(errno.EPERM), f"{CONNECTION} (Operation not permitted)", "check the network"),
        (TimeoutError("timed out"), "did not answer in time", "try again"),
        (system_error(errno.ETIMEDOUT), "did not answer in time", "try again"),
        (ssl.SSLCertVerificationError(1, "verify failed"), "no secure connection to the hub", "certificates"),
        (system_error(errno.ENOSPC), "the disk of /cache is full", "CACHE_DIR"),
        (system_error(errno.EDQUOT), "the disk of /cache is full", "CACHE_DIR"),
        (system_error(errno.EACCES, "/cache/x"), "/cache/x cannot be written (Permission denied)", "owner"),
        (system_error(errno.EROFS, "/cache/x"), "/cache/x cannot be written (Read-only file system)", "CACHE_DIR"),
        (RuntimeError("chunk 7 is wrong\nand more"), "be downloaded (RuntimeError: chunk 7 is wrong)", "disk"),
    ],
)
def test_reason_and_remedy(error: Exception, reason: str, remedy: str) -> None:
    sentence = explain_download_failure(error, CACHE)
    assert reason in sentence.partition(": check ")[0]
    assert remedy in sentence
    assert "\n" not in sentence
    if not isinstance(error, RuntimeError):
        assert explain_download_failure(wrapped(error), CACHE) == sentence


def test_circular_causes_end_the_search() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert "ValueError: first" in explain_download_failure(first, CACHE)


@pytest.mark.parametrize(
    ("endpoint", "environment", "reason"),
    [
        (UNREACHABLE, {}, "no connection to the hub (Connection refused): check the network"),
        ("http://hub.invalid", {}, "the name of the hub could not be resolved"),
        (UNREACHABLE, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids to download it: unset HF_HUB_OFFLINE"),
    ],
)
def test_cause_survives_the_library(tmp_path: Path, endpoint: str, environment: dict[str, str], reason: str) -> None:
    error = error_of(resolve_elsewhere("some/model", tmp_path, endpoint, **environment))
    assert reason in error
    assert error.endswith("; MODEL_ID=builtin starts without any download.")


@pytest.mark.parametrize(
    ("hub", "reason"),
    [
        (Hub(WHOLE, breaks_off=True), r"downloaded \(RemoteProtocolError: .*network and the disk; MODEL_ID=builtin"),
        (Hub(WHOLE, status=501), "was refused by the hub with status 501: try again later"),
    ],
)
def test_failure_of_the_hub_is_named(tmp_path: Path, hub: Hub, reason: str) -> None:
    with serve(hub):
        assert re.search(reason, error_of(resolve_elsewhere("some/model", tmp_path, hub.url)))


def test_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be", encoding="utf-8")
    with serve(Hub(WHOLE)) as hub:
        error = error_of(resolve_elsewhere("some/model", tmp_path / "cache", hub.url))
    assert "could not be downloaded" in error
    assert str(tmp_path / "cache") in error


def test_silent_hub_times_out(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from asr_api.engines.checkpoints import download_failures, hub\n"
        "try: hub.download_snapshot('some/model', None, Path(sys.argv[1]), answer_timeout_s=0.2)\n"
        "except Exception as error: print(download_failures.explain_download_failure(error, Path(sys.argv[1])))"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = run_python(code, str(tmp_path), HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "the hub did not answer in time" in result.stdout
