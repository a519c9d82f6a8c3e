"""CPU time and memory of a process and its descendants, by psutil; shared memory counts once (PSS)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from asr_api.errors import StartupError
from asr_api.install_hint import install_command

INTERVAL_S = 0.5
ENGINE = "asr-api-engine"  # name of the engine process
try:
    import psutil
except ModuleNotFoundError:
    raise StartupError(f"psutil is not installed; run: {install_command('bench')}") from None


def read_cpu_s() -> dict[str, float]:
    """Seconds of one core: the engine process, the decoders (all other descendants), and this process."""
    own = psutil.Process().cpu_times()
    cpu_s = {"engine": 0.0, "decoders": own.children_user + own.children_system, "service": own.user + own.system}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            cpu_s["engine" if process.name() == ENGINE else "decoders"] += sum(process.cpu_times()[:4])
    return cpu_s


def tree_bytes(pid: int) -> int:
    """Memory of a process and its descendants; 0 once it has ended."""
    num_bytes = 0
    with suppress(psutil.Error):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with suppress(psutil.Error):
                num_bytes += process.memory_full_info().pss
    return num_bytes


@contextmanager
def peak_memory(pid: int) -> Iterator[Callable[[], int]]:
    """Yields a function that returns the highest `tree_bytes` so far, measured twice a second while the block runs."""
    peak_bytes, is_over = 0, threading.Event()

    def watch() -> None:
        nonlocal peak_bytes
        while True:
            peak_bytes = max(peak_bytes, tree_bytes(pid))
            if is_over.wait(INTERVAL_S):
                return

    thread = threading.Thread(target=watch, name="asr-api-memory", daemon=True)
    thread.start()
    try:
        yield lambda: peak_bytes
    finally:
        is_over.set()
        thread.join()
