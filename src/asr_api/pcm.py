"""The decoded waveform, as every room hands it to the next: 16 kHz mono, int16."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000

Pcm = NDArray[np.int16]  # (n_samples,)
