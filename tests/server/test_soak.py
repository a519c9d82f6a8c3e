"""Hundreds of clients that disconnect at every stage leave no file, process or request behind."""

from __future__ import annotations

import random
import socket
import struct
import time
from pathlib import Path

import psutil
import pytest

from tests.server.running import serving, wav

pytestmark = pytest.mark.soak

NUM_CLIENTS = 400
RESET = struct.pack("ii", 1, 0)


def test_disconnected_clients_leave_nothing_behind(tmp_path: Path) -> None:
    chance = random.Random(1)
    audio = wav(*range(1, 60))
    request = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(audio) + audio
    with serving(tmp_path, {"n_slots": 4, "step_s": 0.01, "steps_per_window": 5}) as server, server.http() as http:
        process = psutil.Process(server.process.pid)
        assert http.post("/asr", content=audio).status_code == 200
        time.sleep(0.5)  # for the decoder's next spare
        before = (process.num_fds(), len(process.children(recursive=True)))
        rss_bytes = process.memory_info().rss
        for _ in range(NUM_CLIENTS):
            with server.connect() as wire:
                wire.sendall(request[: chance.choice([5, 50, len(request) // 2, len(request), len(request)])])
                time.sleep(chance.choice([0, 0.01, 0.03, 0.08]))
                if chance.random() < 0.5:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        for name in ("asr_open_requests", "asr_queued_windows", "asr_busy_slots", "asr_backlog_seconds"):
            server.wait_for_metric(name, 0)
        time.sleep(0.5)
        assert (process.num_fds(), len(process.children(recursive=True))) == before
        assert process.memory_info().rss - rss_bytes < 32 * 2**20
        assert http.post("/asr", content=audio).status_code == 200
        assert server.stop() == 0
    log = server.log.read_text()
    assert log.count(" POST /asr 499 ") > NUM_CLIENTS / 4
    assert "ERROR" not in log
    assert "Traceback" not in log
