"""PCM, the decoded waveform (16 kHz mono, int16), and `PcmSource`, anything that yields it block by block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from asr_api.transcript import AudioEnd

SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000

Pcm = NDArray[np.int16]  # (n_samples,)


class PcmSource(Protocol):
    """A recording as PCM blocks, in order and on its own clock: a decoded file, or a live stream.

    It is an async context manager: entering it starts it, leaving it frees what it holds. Iterate it once.
    """

    @property
    def duration_hint_ms(self) -> int | None:
        """Once entered: the declared or measured length; None when it is not known, as for a live stream."""

    @property
    def end(self) -> AudioEnd:
        """How the audio ended; known after the last block."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[Pcm]:
        """(n_samples,) blocks of any size. Raises RequestError when the audio cannot be decoded."""
