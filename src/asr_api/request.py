"""Request scope: identity, model, priority, deadline and cancellation of one request, from the edge to its jobs."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from asr_api.errors import DeadlineExceeded, DeadlineUnreachable
from asr_api.request_record import RequestRecord

if TYPE_CHECKING:  # it imports numpy
    from asr_api.transcript import Segment


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Of one account; None is no limit of its own."""

    max_requests: int | None = None
    audio_s_per_hour: float | None = None


@dataclass(slots=True, eq=False)
class RequestScope:
    """What travels with a request; made at the edge, where it may be cancelled at any time.

    request_id: in the log, in the reply and on every job
    client:     address of the client, as the peer or a trusted proxy names it; empty for the command line
    model:      id of the model; None is the default one
    priority:   requests with a higher one go first in the queue
    account:    whom the request counts for: `key:NAME` of its API key, or the network of the client
    limits:     of this account
    is_streamed: its client reads the text while it is transcribed
    arrived_s:  on the clock of time.monotonic
    deadline_s: on the same clock; infinite when there is none
    segments:   of its transcript so far, for the error of a deadline; empty where they are sent at once
    tenant:     account of its API key, or without keys a hash of what its client sent as one; results are not shared
                across tenants
    record:     what is told about it when it ends
    """

    request_id: str = ""
    client: str = ""
    model: str | None = None
    priority: int = 0
    account: str = ""
    limits: AccountLimits = AccountLimits()
    arrived_s: float = field(default_factory=time.monotonic)
    deadline_s: float = math.inf
    is_streamed: bool = False
    segments: list[Segment] = field(default_factory=list, repr=False)
    tenant: str = field(default="", repr=False)
    record: RequestRecord = field(default_factory=RequestRecord, repr=False)
    _origin: RequestScope | None = field(default=None, repr=False)
    _reason: BaseException | None = field(default=None, init=False)
    _limit: asyncio.Timeout | None = field(default=None, init=False)

    def cancel(self, reason: BaseException) -> None:
        """Ends the body of `running`, which then raises `reason`; the first reason counts."""
        self._reason = self._reason or reason
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0)

    def limit_time(self, timeout_s: float) -> None:
        """Counted from the arrival of the request; the shortest limit counts, and at once."""
        self.deadline_s = min(self.deadline_s, self.arrived_s + timeout_s)
        if self._limit is not None and math.isfinite(self.deadline_s) and not self.is_cancelled:
            self._limit.reschedule(asyncio.get_running_loop().time() + self.left_s)

    @property
    def left_s(self) -> float:
        """Until the deadline; infinite when there is none."""
        return self.deadline_s - time.monotonic()

    def detached(self) -> RequestScope:
        """The same request without its deadline and its cancellation, for work that goes on for others."""
        return replace(self, deadline_s=math.inf, _origin=self)

    @property
    def listener(self) -> RequestScope:
        """The request that has the deadline and can be cancelled: itself, or what it was detached from."""
        return self._origin or self

    @property
    def is_cancelled(self) -> bool:
        return self._reason is not None

    @property
    def has_missed_deadline(self) -> bool:
        """Whether `running` raises DeadlineExceeded or DeadlineUnreachable, or has: also while its body is ended."""
        has_expired = self._limit is not None and self._limit.expired() and self._reason is None
        return has_expired or isinstance(self._reason, DeadlineExceeded | DeadlineUnreachable)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Around work in the current task; not nested. Raises the reason of `cancel`, or DeadlineExceeded."""
        loop = asyncio.get_running_loop()
        is_limited = math.isfinite(self.deadline_s) or self.is_cancelled
        left_s = 0.0 if self.is_cancelled else self.left_s
        try:
            async with asyncio.timeout_at(loop.time() + left_s if is_limited else None) as limit:
                self._limit = limit
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            self._reason = self._reason or self._deadline_exceeded()
            raise self._reason from None
        finally:
            self._limit = None

    def _deadline_exceeded(self) -> DeadlineExceeded:
        error = DeadlineExceeded(
            "The request passed its deadline before it was transcribed; send shorter audio, or allow more time."
        )
        error.segments = tuple(self.segments)
        return error
