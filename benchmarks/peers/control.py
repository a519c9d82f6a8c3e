"""Control measurement: how fast the machine is at the moment, by a float32 matrix product without any engine."""

from __future__ import annotations

import time

import numpy as np

SIZE = 2048
DURATION_S = 0.5
MIN_SHARE = 0.85  # of the highest rate of this run; below it, another program is busy
MAX_TRIES = 20


class Control:
    """Waits until the machine is as fast as it was before: beside other busy programs, figures mean nothing."""

    def __init__(self) -> None:
        self._max_gflops = 0.0

    def gflops(self) -> float:
        """Billions of operations a second; a low value if the machine stayed busy."""
        for _ in range(MAX_TRIES):
            gflops = control_gflops()
            self._max_gflops = max(self._max_gflops, gflops)
            if gflops >= MIN_SHARE * self._max_gflops:
                break
            time.sleep(DURATION_S)
        return gflops


def control_gflops() -> float:
    """Billions of operations a second, over half a second."""
    left = np.ones((SIZE, SIZE), np.float32)
    right, product = left.copy(), left.copy()
    np.matmul(left, right, out=product)
    num_products = 0
    start_s = time.perf_counter()
    while (seconds := time.perf_counter() - start_s) < DURATION_S:
        np.matmul(left, right, out=product)
        num_products += 1
    return num_products * 2 * SIZE**3 / seconds / 1e9
