"""Composition: settings reach their parts, and a start that takes long can be cancelled."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest

from asr_api import compose
from asr_api.audio.sources.policy import LocalPaths
from asr_api.audio.sources.spool import spool_chunks
from asr_api.compose import Service, default_options, engine_options, media_policy, open_service
from asr_api.engines.checkpoints.resolve import CheckpointFiles
from asr_api.errors import CheckpointError, SettingsError
from asr_api.events import fold
from asr_api.metrics import Metrics
from asr_api.options import DecodeOptions, RequestOptions, TranscribeOptions, VadOptions
from asr_api.request import RequestScope
from asr_api.settings.settings import read_settings
from tests.engines.scripted import Script
from tests.loudness_detector import LoudnessDetector
from tests.server.running import wav
from tests.server.scripted_server import open_scripted
from tests.service import metric_value

pytestmark = pytest.mark.anyio


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A checkpoint without files, and the scripted engine for it."""
    monkeypatch.setattr(compose, "resolve_checkpoint", lambda *_, **__: CheckpointFiles(tmp_path))
    monkeypatch.setattr(compose, "open_engine", partial(open_scripted, Script(n_slots=3)))


async def started(**flags: str) -> None:
    async with open_service(read_settings(flags), Metrics()):
        pass


def test_the_engine_gets_its_settings() -> None:
    flags = {"model_id": "a/b", "batch_size": "3", "max_new_tokens": "99", "num_threads": "2", "beam_size": "5"}
    files = CheckpointFiles(Path("/a"), (Path("/b"),))
    options = engine_options(read_settings(flags | {"flash_attention_2": "0"}), files)
    assert (options.model_id, options.checkpoint, options.weight_files) == ("a/b", Path("/a"), (Path("/b"),))
    assert (options.n_slots, options.max_new_tokens, options.num_threads) == (3, 99, 2)
    assert (options.flash_attention_2, options.beam_size) == (False, 5)


def test_requests_get_the_defaults_of_the_settings() -> None:
    assert default_options(read_settings({})) == RequestOptions()
    settings = read_settings({"default_language": "German", "vad": "1", "condition_on_previous_text": "1"})
    expected = TranscribeOptions(DecodeOptions(language="de"), vad=VadOptions(), condition_on_previous_text=True)
    assert default_options(settings) == RequestOptions(expected)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"default_language": "zulu"}, "DEFAULT_LANGUAGE is 'zulu'"),
        ({"default_language": "sw"}, "DEFAULT_LANGUAGE does not fit this model: language is 'sw'"),
    ],
)
@pytest.mark.usefixtures("scripted")
async def test_a_default_that_the_model_cannot_honour_stops_the_start(
    tmp_path: Path, flags: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        await started(cache_dir=str(tmp_path), **flags)


@pytest.mark.parametrize("folder", [None, "", "a folder"])
def test_the_media_policy_gets_its_settings(tmp_path: Path, folder: str | None) -> None:
    flags = {"max_upload_mb": "2", "allowed_media_domains": "a.example", "allow_private_cidrs": "10.0.0.0/8"}
    if folder is not None:
        flags["allowed_local_media_path"] = folder and str(tmp_path)
    policy = media_policy(read_settings(flags))
    assert policy.local_paths == LocalPaths(root=tmp_path if folder else None, is_enabled=folder != "")
    assert (policy.max_media_bytes, policy.allowed_media_domains) == (2 * 2**20, ("a.example",))
    assert policy.allow_private_cidrs == (ip_network("10.0.0.0/8"),)


@pytest.mark.usefixtures("scripted")
async def test_the_service_starts_and_ends(tmp_path: Path) -> None:
    metrics = Metrics()
    settings = read_settings({"cache_dir": str(tmp_path), "max_requests": "5"})
    async with open_service(settings, metrics) as service:
        service.pool.get().check_capacity()
        assert service.pool.get().info.n_slots == 3
        assert metric_value(metrics, "asr_engine_ready", model=settings.model_id) == 1
        assert service.shared is None
    assert metric_value(metrics, "asr_engine_ready", model=settings.model_id) == 0


@pytest.mark.usefixtures("scripted")
async def test_a_repeat_is_transcribed_once_for_a_server_and_twice_without_sharing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compose, "SileroVad", LoudnessDetector)
    settings = read_settings({"cache_dir": str(tmp_path)})
    for result_cache_s, num_windows in ((0, 3), (600, 1)):
        async with open_service(settings, metrics := Metrics(), result_cache_s=result_cache_s) as service:
            texts = [*await asyncio.gather(transcribed(service), transcribed(service))]
            texts.append(await transcribed(service))
        assert texts == [" 1 2"] * 3
        assert metric_value(metrics, "asr_windows_total", model=settings.model_id) == num_windows


async def transcribed(service: Service) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield wav(1, 2)

    async with await spool_chunks(chunks(), 2**20) as spool:
        return (await fold(service.transcribe(spool, TranscribeOptions(), RequestScope()))).text


@pytest.mark.usefixtures("scripted")
async def test_only_a_download_needs_a_cache_that_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[tuple[str, str | None]] = []

    def resolve(model_id: str, *, revision: str | None, cache_dir: Path) -> CheckpointFiles:
        asked.append((model_id, revision))
        if model_id == "a/new":
            raise CheckpointError("It could not be downloaded.")
        return CheckpointFiles(tmp_path)

    (tmp_path / "file").write_text("")
    closed = {"cache_dir": str(tmp_path / "file" / "cache"), "model_revision": "v1"}
    monkeypatch.setattr(compose, "resolve_checkpoint", resolve)
    monkeypatch.setattr(compose, "usable_memory_bytes", lambda: 2**40)
    local = ("builtin", str(tmp_path))
    for model_id in (*local, "a/cached"):
        settings = read_settings({"model_id": model_id, "max_requests": "200", **closed})
        async with open_service(settings, Metrics()) as service:
            assert service.decoder.limits.max_workers == 200 + 50  # no admitted request waits for a decoder
    assert asked == [*((model_id, None) for model_id in local), ("a/cached", "v1")]
    noted = [message for message in caplog.messages if "MODEL_REVISION" in message]
    sentence = "MODEL_REVISION=v1 has no effect: MODEL_ID={} is not from the hub"
    assert noted == [sentence.format(model_id) for model_id in local]
    with pytest.raises(CheckpointError, match=r"^It could not be downloaded\. CACHE_DIR is '.*', which cannot be"):
        await started(model_id="a/new", **closed)


async def test_a_missing_checkpoint_is_an_error_and_a_slow_download_can_be_cancelled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flags = {"cache_dir": str(tmp_path), "model_id": "a/b", "model_revision": "v1"}
    release = threading.Event()

    def refuse(model_id: str, *, revision: str, cache_dir: Path) -> Path:
        raise CheckpointError(f"{model_id} {revision} {cache_dir}")

    def download(*_: object, **__: object) -> Path:
        release.wait(10)
        raise AssertionError("its start was cancelled")

    monkeypatch.setattr(compose, "resolve_checkpoint", refuse)
    with pytest.raises(CheckpointError, match=f"a/b v1 {tmp_path}"):
        await started(**flags)
    monkeypatch.setattr(compose, "resolve_checkpoint", download)
    begun_s = time.perf_counter()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(started(**flags), 0.1)
    assert time.perf_counter() - begun_s < 5
    release.set()
