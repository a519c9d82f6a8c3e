"""`TranscriptWriter` and `EventEncoder`: how a transcript, or its events, become the body of a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from asr_api.errors import AsrError
from asr_api.events import TranscriptEvent
from asr_api.server.heartbeat_replies import ReplyHeartbeat
from asr_api.transcript import Transcript


class TranscriptWriter(Protocol):
    """How a transcript becomes a reply. heartbeat: sent while it takes long; None where the format allows none"""

    @property
    def media_type(self) -> str: ...

    @property
    def heartbeat(self) -> ReplyHeartbeat | None: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Beside those of every transcript."""

    def body(self, transcript: Transcript, digest: bytes | None) -> str:
        """digest: that of the spool. Runs in a thread."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A `TranscriptWriter` that needs nothing but the transcript."""

    write: Callable[[Transcript], str]
    media_type: str
    heartbeat: ReplyHeartbeat | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, transcript: Transcript, _digest: bytes | None) -> str:
        return self.write(transcript)


class EventEncoder(Protocol):
    """Transcript events as server-sent events, for one reply."""

    def encode(self, event: TranscriptEvent) -> str:
        """Any number of whole server-sent events."""

    def error(self, error: AsrError) -> str: ...
