"""`ThrottledLog`: a warning that is written once a minute at most, so that an attack does not fill the log."""

from __future__ import annotations

import logging
import time

INTERVAL_S = 60.0


class ThrottledLog:
    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next_s = float("-inf")
        self._num_left_out = 0

    def warning(self, message: str) -> None:
        if time.monotonic() < self._next_s:
            self._num_left_out += 1
            return
        self._logger.warning("%s (since the last such line: %d more)", message, self._num_left_out)
        self._next_s = time.monotonic() + INTERVAL_S
        self._num_left_out = 0
