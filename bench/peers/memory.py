"""Memory of a process and all below it, in bytes: proportional shares, so that shared pages count once. Linux only."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def tree_bytes(root: int) -> int:
    total_bytes = 0
    open_ids = [root]
    while open_ids:
        folder = Path("/proc", str(open_ids.pop()))
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            total_bytes += share_bytes((folder / "smaps_rollup").read_text(encoding="ascii"))
            for task in (folder / "task").iterdir():
                open_ids += map(int, (task / "children").read_text(encoding="ascii").split())
    return total_bytes


def share_bytes(smaps: str) -> int:
    return sum(1024 * int(line.split()[1]) for line in smaps.splitlines() if line.startswith("Pss:"))
