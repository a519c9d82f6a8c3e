"""`AccountUsage`: the limits of API keys, on open transcriptions and on seconds of audio an hour."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from asr_api.errors import RateLimitExceeded
from asr_api.request import RequestScope

RETRY_S = 2
HOUR_S = 3600.0


class AccountUsage:
    """Audio counts when it is transcribed, as a level that rises with it and falls by the limit an hour.

    So a whole hour's audio may come at once, and what a request takes above the limit is paid by waiting.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: set[RequestScope] = set()
        self._levels: dict[str, tuple[float, float]] = {}  # account → seconds of audio, as of when

    def admit(self, request: RequestScope) -> None:
        """Counts it as open until `release`. Raises RateLimitExceeded, which says which limit and when."""
        limits = request.limits
        num_open = sum(other.account == request.account for other in self._open)
        if limits.max_requests is not None and num_open >= limits.max_requests:
            raise RateLimitExceeded(
                f"This API key has {num_open} open requests, its limit (max_requests); retry in {RETRY_S} s.",
                retry_after_s=RETRY_S,
            )
        if limits.audio_s_per_hour is not None:
            self._check_audio(request.account, limits.audio_s_per_hour)
        self._open.add(request)

    def release(self, request: RequestScope) -> None:
        """May be called for a request that was never admitted."""
        self._open.discard(request)

    def charge(self, request: RequestScope, audio_s: float) -> None:
        """Adds audio that was transcribed for the request."""
        if request.limits.audio_s_per_hour is not None:
            level_s = self._level_s(request.account, request.limits.audio_s_per_hour)
            self._levels[request.account] = (level_s + audio_s, self._clock())

    def _check_audio(self, account: str, limit_s: float) -> None:
        level_s = self._level_s(account, limit_s)
        if level_s >= limit_s:
            wait_s = math.ceil((level_s - limit_s) * HOUR_S / limit_s) + 1
            raise RateLimitExceeded(
                f"This API key has used its {limit_s:g} s of audio an hour (audio_s_per_hour); retry in {wait_s} s.",
                retry_after_s=wait_s,
            )

    def _level_s(self, account: str, limit_s: float) -> float:
        level_s, since_s = self._levels.get(account, (0.0, 0.0))
        return max(0.0, level_s - (self._clock() - since_s) * limit_s / HOUR_S)
