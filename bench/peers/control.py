"""How fast is the machine at this moment? Two matrices are multiplied in float32; no engine has a part in it."""

from __future__ import annotations

import time

import numpy as np

SIZE = 2048
LEAST_S = 0.5


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
