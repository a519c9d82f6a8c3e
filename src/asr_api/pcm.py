"""PCM, the decoded audio: 16 kHz mono int16; and `PcmSource`, the port for recordings and live streams.

numpy is imported for type checkers alone: decoder workers use the constants and must stay small and single-threaded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000
SAMPLE_BYTES = 2

Pcm: TypeAlias = "NDArray[np.int16]"  # (n_samples,)


@dataclass(frozen=True, slots=True)
class AudioEnd:
    """How the audio ended.

    is_truncated: the source broke off; the PCM is the part that could be decoded
    is_damaged:   something before the end could not be decoded
    """

    is_truncated: bool = False
    is_damaged: bool = False


class PcmSource(Protocol):
    """PCM blocks in order, on the clock of the recording. Use it once, in `async with`: entering starts it, leaving
    frees it.

    duration_hint_ms: set on entering: the declared or measured length; None for a live stream
    end:              set after the last block
    """

    @property
    def duration_hint_ms(self) -> int | None: ...

    @property
    def end(self) -> AudioEnd: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[Pcm]: ...
