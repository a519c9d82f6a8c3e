"""File descriptors: the limit is raised, divided, and its end is reported once a minute."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import sys
from pathlib import Path

import pytest

from asr_api.server import file_descriptors
from asr_api.server.file_descriptors import (
    MAX_CONNECTIONS,
    OPTIONAL_IMPORTS,
    ShortageHandler,
    import_all,
    max_connections,
    raise_descriptor_limit,
)
from tests.server.running import serving, wav

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((1024, 4096), 4096),
        ((1024, 2**20), 65536),
        ((1024, resource.RLIM_INFINITY), 65536),
        ((4096, 4096), 4096),
        ((2**20, 2**20), 2**20),
    ],
)
def test_the_soft_limit_is_raised_to_the_hard_one(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: int
) -> None:
    now = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: now.append(wanted))
    assert raise_descriptor_limit() == raised == now[-1][0]
    assert now[-1][1] == limits[1]


@pytest.mark.parametrize(("descriptors", "expected"), [(64, 32), (1024, 512), (4096, 3456), (65536, MAX_CONNECTIONS)])
def test_connections_leave_descriptors_for_the_work(descriptors: int, expected: int) -> None:
    assert max_connections(descriptors, num_requests=64) == expected


async def test_a_shortage_of_descriptors_is_one_line_and_other_errors_are_shown(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    handler = ShortageHandler()
    refused = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    for _ in range(100):
        handler(loop, {"message": "socket.accept() out of system resource", "exception": refused, "socket": None})
    assert [record.exc_info for record in caplog.records] == [None]
    assert "Too many open files; raise the limit" in caplog.text
    handler(loop, {"message": "another", "exception": OSError(errno.EIO, "broken")})
    assert "broken" in caplog.text
    assert file_descriptors.logger.name in {record.name for record in caplog.records}


def test_no_request_imports_a_module(tmp_path: Path) -> None:
    """A module that cannot be opened, because descriptors are used up, would be an internal error."""
    with serving(tmp_path, ALLOW_PRIVATE_CIDRS="127.0.0.2/32", PYTHONPROFILEIMPORTTIME="1") as server:
        started_bytes = server.log.stat().st_size
        with server.http() as http:
            statuses = [
                http.post("/asr", content=wav(3, 1, 4), params={"words": "true", "vad": "true"}).status_code,
                http.post("/asr", content=wav(*range(1, 60))).status_code,
                http.post("/v1/audio/transcriptions", files={"file": wav(1)}, data={"model": "whisper-1"}).status_code,
                http.post("/asr", json={"url": "http://127.0.0.2:1/a.wav"}).status_code,
                http.post("/asr", json={"url": "http://ü.invalid/a.wav"}).status_code,
            ]
        assert statuses == [200, 200, 200, 502, 422]
        late = server.log.read_bytes()[started_bytes:].decode()
    imported = {line.rpartition("|")[2].strip() for line in late.splitlines() if line.startswith("import time:")}
    assert imported <= set(OPTIONAL_IMPORTS)  # Python lists these although it does not search for them


def test_an_optional_module_is_imported_or_known_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OPTIONAL_IMPORTS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import_all()
    assert set(OPTIONAL_IMPORTS) <= sys.modules.keys()
