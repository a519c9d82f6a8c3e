"""Throttled log: one line a minute, with the number of those left out."""

from __future__ import annotations

import logging
import time

import pytest

from asr_api.server.throttled_log import ThrottledLog


def test_a_line_is_written_once_a_minute(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    log = ThrottledLog(logging.getLogger("test"))
    for now_s[0] in (1000.0, 1001.0, 1059.0, 1061.0):
        log.warning("full")
    assert caplog.messages == [f"full (since the last such line: {left_out} more)" for left_out in (0, 2)]
