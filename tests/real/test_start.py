"""`asr-api serve` with whisper-base from the packages: it becomes ready, and transcribes in bounded memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from asr_api.benchmark.machine import peak_memory
from tests.real.real_server import BASE, real_server
from tests.real.recordings import samples

pytestmark = pytest.mark.real

MAX_BYTES = 1_000_000_000


def test_time_to_health_and_peak_memory(tmp_path: Path) -> None:
    """The time is printed only: it depends on the machine. All windows of the samples are in progress at once."""
    started_s = time.monotonic()
    with real_server(tmp_path, BASE) as base, peak_memory(base.server.process.pid) as peak_bytes:
        with base.server.http() as http:
            assert http.get("/hc").status_code == 200
        print(f"/hc returns 200 after {time.monotonic() - started_s:.1f} s;", end=" ")
        assert all(base.texts(samples()))
        print(f"peak {peak_bytes() / 1e6:.0f} MB")
        assert peak_bytes() <= MAX_BYTES
