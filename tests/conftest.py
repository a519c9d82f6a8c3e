"""Every test starts with a clean environment and the asyncio backend."""

from __future__ import annotations

import os

import pytest

KEPT = {"HOME", "LANG", "PATH", "TMPDIR", "USER", "VIRTUAL_ENV"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - KEPT:
        if not name.startswith(("PYTEST_", "LC_", "COV_")):
            monkeypatch.delenv(name)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
