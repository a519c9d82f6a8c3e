"""Every test starts with a clean environment, in an empty folder, with a home of its own, and the asyncio backend."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from asr_api.audio.decoding import fork_server_client
from tests import process_coverage

# The same examples each time; `--hypothesis-profile=default` searches for others.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

KEPT = {"LANG", "PATH", "TMPDIR", "USER", "VIRTUAL_ENV"}


@pytest.fixture(scope="session")
def _nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder, with nothing beside it and nothing beside its parent."""
    (folder := tmp_path_factory.mktemp("beside") / "parent" / "nowhere").mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Libraries may write caches into it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, _nowhere: Path, _home: Path) -> Iterator[None]:
    """What lies beside the checkout, in the user's home or in the environment, changes no test."""
    monkeypatch.chdir(_nowhere)
    monkeypatch.setenv("HOME", str(_home))
    for name in set(os.environ) - KEPT - {"HOME"}:
        if not name.startswith(("PYTEST_", "LC_", "COVERAGE_")):
            monkeypatch.delenv(name)
    yield
    assert not [*_nowhere.iterdir()], "a test has written into the current folder"


@pytest.fixture(autouse=True, scope="session")
def _heed_interrupts() -> None:
    """A shell starts a job in the background with SIGINT ignored, and the processes of the tests would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _measure_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Adds the lines that decoder workers run to the coverage, if that is being measured."""
    if "COVERAGE_RUN" not in os.environ:
        yield
        return
    from coverage import Coverage

    folder = tmp_path_factory.mktemp("workers")
    program = fork_server_client.PROGRAM
    fork_server_client.PROGRAM = process_coverage.START.format(folder=str(folder)) + program
    yield
    fork_server_client.PROGRAM = program
    coverage = Coverage.current()
    assert coverage is not None
    for path, lines in process_coverage.marked_lines(folder):
        coverage.get_data().add_lines({path: lines})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
