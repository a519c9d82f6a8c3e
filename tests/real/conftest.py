"""Servers with real weights, each started once for all tests that use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.real.real_server import BASE, TINY_EN, RealServer, real_server


class Servers:
    """Starts the server of a model and a compute type when it is first asked for."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self._running: dict[tuple[str, str], RealServer] = {}

    def get(self, model_id: str, compute_type: str) -> RealServer:
        key = (model_id, compute_type)
        if key not in self._running:
            server = real_server(self._folder / str(len(self._running)), model_id, compute_type)
            self._running[key] = self._stack.enter_context(server)
        return self._running[key]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack, tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="session")
def base(servers: Servers) -> RealServer:
    return servers.get(BASE, "int8")


@pytest.fixture(scope="session")
def tiny_en(servers: Servers) -> RealServer:
    return servers.get(TINY_EN, "int8")
