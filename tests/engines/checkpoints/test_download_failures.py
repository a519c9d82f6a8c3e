"""Each kind of failure of a download has its own sentence, with a remedy and the built-in model as the way out."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from asr_api.engines.checkpoints.download_failures import explain_download_failure
from tests.engines.checkpoints.fake_hub import WHOLE, Hub, error_of, resolve_elsewhere, resolved, run_python, serve

CACHE = Path("/cache")
NO_WEIGHTS = {name: WHOLE[name] for name in ("config.json", "tokenizer.json")}
INVALID_TOKEN = {"X-Error-Message": "Invalid credentials in Authorization header"}
DISABLED = {"X-Error-Message": "Access to this resource is disabled."}
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
        (system_error(errno.ENOLCK), "the file system of /cache has no locks", "CACHE_DIR"),
        (system_error(errno.ENOTDIR, "/cache"), "/cache is not a folder", "CACHE_DIR"),
        (httpx.PoolTimeout("pool"), "did not answer in time", "try again"),
        (httpx.ReadError("reset"), "the connection broke off (reset)", "try again"),
        (RuntimeError("chunk 7 is wrong\nand more"), "be downloaded (RuntimeError: chunk 7 is wrong)", "disk"),
    ],
)
def test_reason_and_remedy(error: Exception, reason: str, remedy: str) -> None:
    sentence = explain_download_failure(error, CACHE)
    assert reason in sentence.partition(": check ")[0]
    assert remedy in sentence
    assert "\n" not in sentence
    if not isinstance(error, RuntimeError | httpx.HTTPError):
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
    assert error.endswith(" starts without any download.")


@pytest.mark.parametrize(
    ("hub", "reason"),
    [
        (Hub(WHOLE, breaks_off=True), r"the connection broke off \(.*\): try again; MODEL_ID="),
        (Hub(WHOLE, status=501), "was refused by the hub with status 501: try again later"),
        (Hub(WHOLE, status=404), "with status 404: check the spelling, MODEL_REVISION and HF_ENDPOINT"),
        (Hub(WHOLE, status=401), "with status 401: set HF_TOKEN, and check HF_ENDPOINT"),
        (Hub(WHOLE, status=403), "with status 403: check HF_TOKEN, HF_ENDPOINT and the proxy"),
        (Hub(WHOLE, status=429), r"limits requests \(status 429\): try again in a few minutes, or set HF_TOKEN"),
        (Hub(WHOLE, status=429, headers={"Retry-After": "120"}), "try again in 120 s, or set HF_TOKEN"),
        (Hub(WHOLE, status=429, headers={"RateLimit": '"api";r=0;t=55'}), "try again in 55 s, or set HF_TOKEN"),
        (
            Hub(WHOLE, status=429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
            "try again in a few minutes",
        ),
        (Hub(WHOLE, status=401, headers=INVALID_TOKEN), "does not accept the token: renew or unset HF_TOKEN"),
        (Hub(WHOLE, status=403, headers={"X-Error-Code": "GatedRepo"}), "is gated: accept its terms"),
        (Hub(WHOLE, status=403, headers=DISABLED), "is disabled on the hub: choose another model"),
        (
            Hub(WHOLE, status=404, headers={"X-Error-Code": "RepoNotFound"}),
            "is not on the hub as a model, or is private",
        ),
        (
            Hub(WHOLE, status=404, headers={"X-Error-Code": "RevisionNotFound"}),
            "no such revision: check MODEL_REVISION",
        ),
        (Hub(WHOLE, status=302, headers={"Location": "{}/again"}), "leads nowhere .*redirects.*: check HF_ENDPOINT"),
        (Hub(WHOLE, body=b"<html>Sign in</html>"), "not that of a hub .*: check HF_ENDPOINT and the proxy"),
        (Hub(WHOLE, body=b"[]"), "not that of a hub .*: check HF_ENDPOINT and the proxy"),
        (Hub(WHOLE, body=b"<html>", is_only_for_files=True), "not that of a hub .*: check HF_ENDPOINT and the proxy"),
        (Hub(WHOLE, status=403, headers={"X-Error-Code": "GatedRepo"}, is_only_for_files=True), "is gated: accept"),
        (
            Hub(WHOLE, status=404, headers={"X-Error-Code": "EntryNotFound"}, is_only_for_files=True),
            "just been changed",
        ),
        (Hub(WHOLE, has_wrong_sizes=True), r"did not arrive whole \(Consistency check .*\): try again"),
        (Hub(NO_WEIGHTS | {"pytorch_model.bin": b""}), "has pickled weights .*convert them once"),
        (Hub(NO_WEIGHTS | {"flax_model.msgpack": b"", "tf_model.h5": b""}), "has weights of TensorFlow"),
        (Hub({"ggml-tiny.bin": b"", "README.md": b""}), "has weights of whisper.cpp .*MODEL_ID=openai/whisper-tiny"),
        (Hub({"adapter_config.json": b"{}", "adapter_model.safetensors": b""}), "adapter of PEFT.*merge_and_unload"),
        (Hub({"data/train.parquet": b"", "README.md": b""}), "has no config.json on the hub"),
    ],
)
def test_failure_of_the_hub_is_named(tmp_path: Path, hub: Hub, reason: str) -> None:
    with serve(hub):
        error = error_of(resolve_elsewhere("some/model", tmp_path, hub.url))
    assert re.search(reason, error), error
    assert "check the network and the disk" not in error


@pytest.mark.parametrize(
    "address", ["hub.example", "http://[::1", "http://127.0.0.1:99999", "ftp://127.0.0.1", "http:///x", "https://:80"]
)
def test_wrong_address_of_the_hub_is_named(tmp_path: Path, address: str) -> None:
    result = resolve_elsewhere("some/model", tmp_path, address)
    found = "no address" if "[" in address else f"'{address}', which is no address"
    assert f"HF_ENDPOINT is {found} like https://" in error_of(result)
    assert "importing" not in result.stderr  # as the library would say


def test_server_without_tls_is_named(tmp_path: Path) -> None:
    with serve(Hub(WHOLE)) as hub:
        error = error_of(resolve_elsewhere("some/model", tmp_path, hub.url.replace("http:", "https:")))
    assert re.search(r"no secure connection to the hub .*: check HF_ENDPOINT, the proxy, the certificates", error)


def test_wrong_certificate_is_named(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl makes a certificate here")
    certificate, context = tmp_path / "own.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout own.pem -out own.pem"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    context.load_cert_chain(certificate)
    with serve(Hub(WHOLE), context) as hub:
        error = error_of(resolve_elsewhere("some/model", tmp_path, hub.url))
    assert re.search(r"no secure connection to the hub \(.*self.signed certificate.*\): check HF_ENDPOINT", error), (
        error
    )


@pytest.mark.parametrize(
    ("status", "scheme", "reason"),
    [
        (407, "http", r"proxy refused \(407\): put its name and password into HTTP_PROXY"),
        (407, "https", r"proxy refused \(407 .*\): put its name and password into HTTP_PROXY"),
        (502, "https", r"proxy refused \(502 .*\): check HTTP_PROXY"),
    ],
)
def test_failure_of_the_proxy_is_named(tmp_path: Path, status: int, scheme: str, reason: str) -> None:
    with serve(Hub(WHOLE, status=status)) as proxy:
        variables = {f"{scheme}_proxy": proxy.url}
        error = error_of(resolve_elsewhere("some/model", tmp_path, f"{scheme}://hub.invalid", **variables))
    assert re.search(reason, error), error


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        (UNREACHABLE, r"no connection to the hub \(Connection refused\): check the network, the proxy and HF_ENDPOINT"),
        ("http://proxy:8080x", r"the address of the proxy is wrong \(.*\): correct HTTP_PROXY"),
        ("socks5://127.0.0.1:9", "pip install socksio"),
    ],
)
def test_proxy_that_cannot_be_used_is_named(tmp_path: Path, proxy: str, reason: str) -> None:
    error = error_of(resolve_elsewhere("some/model", tmp_path, "http://hub.invalid", http_proxy=proxy))
    assert re.search(reason, error), error


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_start_with_a_part_in_the_cache_names_the_way_out(tmp_path: Path, variable: str) -> None:
    with serve(Hub(WHOLE)) as hub:
        (resolved(tmp_path, hub) / "model.safetensors").unlink()
        error = error_of(resolve_elsewhere("some/model", tmp_path, hub.url, **{variable: "1"}))
    assert f"is not complete in {tmp_path}, and HF_HUB_OFFLINE forbids to download it: unset HF_HUB_OFFLINE" in error
    assert "name its folder as MODEL_ID" in error


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
