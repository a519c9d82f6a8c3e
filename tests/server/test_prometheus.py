"""The port of the metrics."""

from __future__ import annotations

import socket

import httpx
import pytest

from asr_api.errors import SettingsError
from asr_api.metrics import Metrics
from asr_api.server.routes.prometheus import metrics_server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_metrics_have_a_port_of_their_own_until_the_end() -> None:
    port = free_port()
    with metrics_server(Metrics(), "127.0.0.1", port):
        assert "asr_open_requests" in httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        sentence = rf"METRICS_PORT is {port}, .* \(Address already in use\)"
        with pytest.raises(SettingsError, match=sentence), metrics_server(Metrics(), "127.0.0.1", port):
            pass
