"""How fast is the machine at this moment? Two matrices are multiplied in float32; no engine has a part in it."""

from __future__ import annotations

import time

import numpy as np

SIZE = 2048
LEAST_S = 0.5
USUAL_SHARE = 0.85  # of the most that this run has seen; with less, somebody else is at work
MAX_TRIES = 20


class Control:
    """Waits until the machine is as fast as it was: beside somebody else at work, figures are worth nothing."""

    def __init__(self) -> None:
        self._most_gflops = 0.0

    def gflops(self) -> float:
        """Billions of operations a second; few, when it did not help to wait."""
        for _ in range(MAX_TRIES):
            gflops = control_gflops()
            self._most_gflops = max(self._most_gflops, gflops)
            if gflops >= USUAL_SHARE * self._most_gflops:
                break
            time.sleep(LEAST_S)
        return gflops


def control_gflops() -> float:
    """Billions of operations a second, over half a second."""
    left = np.ones((SIZE, SIZE), np.float32)
    right, product = left.copy(), left.copy()
    np.matmul(left, right, out=product)
    num_products = 0
    start_s = time.perf_counter()
    while (seconds := time.perf_counter() - start_s) < LEAST_S:
        np.matmul(left, right, out=product)
        num_products += 1
    return num_products * 2 * SIZE**3 / seconds / 1e9
