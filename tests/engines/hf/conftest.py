"""Skips the tests that need torch and transformers where they are not installed, and forbids the network."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from typing import NoReturn

import pytest

if find_spec("torch") is None or find_spec("transformers") is None:
    collect_ignore_glob = ["test_torch_*.py"]

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a test tried to use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
