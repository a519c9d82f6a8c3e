"""Spool budget: bounds the bytes of all open spools together, and those of each account.

An account may hold as much as would still be free: alone it gets half, two get a third each, and something is always
left for the next one. All methods run on the event loop.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter

from asr_api.errors import SpoolFull

RETRY_AFTER_S = 30  # the spools of running requests are freed as they finish
MIB = 2**20
USABLE_PART = 0.8  # of what the disk has free beside the spools; others write to it as well


class SpoolBudget:
    """num_bytes: of all open spools"""

    def __init__(self, max_bytes: int | None = None) -> None:
        """max_bytes: None is most of what the disk of the folder for temporary files has free or in spools

        It is measured whenever a spool is opened, and stays the same while spools alone fill the disk.
        """
        self._is_derived = max_bytes is None
        self._max_bytes = max_bytes or 0
        self._held: Counter[str] = Counter()  # by account
        self.num_bytes = 0

    def reserve(self, account: str = "") -> SpoolReservation:
        """Nothing yet, for one file of this account."""
        if self._is_derived:
            free_bytes = shutil.disk_usage(tempfile.gettempdir()).free
            self._max_bytes = int(USABLE_PART * (self.num_bytes + free_bytes))
        return SpoolReservation(self, account)

    def take(self, account: str, num_bytes: int) -> None:
        """Raises SpoolFull."""
        left_bytes = self._max_bytes - self.num_bytes - num_bytes
        if left_bytes < 0:
            raise SpoolFull("The server's space for media is full; try again later.", retry_after_s=RETRY_AFTER_S)
        if self._held[account] + num_bytes > left_bytes:
            share_mib = (self._max_bytes - self.num_bytes + self._held[account]) // 2 // MIB
            sentence = (
                f"Your recordings exceed your share of the server's space for media, {share_mib} MiB now; send a "
                "smaller or compressed file, or try again when another one is done."
            )
            raise SpoolFull(sentence, retry_after_s=RETRY_AFTER_S)
        self._held[account] += num_bytes
        self.num_bytes += num_bytes

    def give_back(self, account: str, num_bytes: int) -> None:
        self.num_bytes -= num_bytes
        self._held[account] -= num_bytes
        if not self._held[account]:
            del self._held[account]


class SpoolReservation:
    """What one file takes of the budget, however many spools own the file; given back by the last of them."""

    def __init__(self, budget: SpoolBudget, account: str) -> None:
        self.account = account
        self._budget = budget
        self._num_bytes = 0
        self._num_owners = 1

    def grow(self, num_bytes: int) -> None:
        """Raises SpoolFull."""
        self._budget.take(self.account, num_bytes)
        self._num_bytes += num_bytes

    def shared(self) -> SpoolReservation:
        """The same, for one more owner."""
        self._num_owners += 1
        return self

    def release(self) -> None:
        """By one owner."""
        self._num_owners -= 1
        if self._num_owners == 0:
            self._budget.give_back(self.account, self._num_bytes)
