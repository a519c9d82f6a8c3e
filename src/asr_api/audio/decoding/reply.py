"""Reply of a decoder worker: its frames, checked. A worker that was taken over may send any bytes, in any order."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from asr_api.audio.decoding import protocol
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.refusals import MESSAGES
from asr_api.errors import DecodeAgain
from asr_api.pcm import SAMPLE_BYTES, Pcm


class BrokenReply(Exception):
    """A frame that no worker sends unless it was taken over. The message is for the log."""


@dataclass(frozen=True, slots=True)
class WorkerReady:
    pass


@dataclass(frozen=True, slots=True)
class Wait:
    beyond_bytes: int


@dataclass(frozen=True, slots=True)
class Headers:
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class PcmBlock:
    pcm: Pcm


@dataclass(frozen=True, slots=True)
class Same:
    pass


@dataclass(frozen=True, slots=True)
class End:
    is_truncated: bool
    is_damaged: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """reason: of refusals.MESSAGES"""

    reason: str
    value: float


Frame: TypeAlias = WorkerReady | Wait | Headers | PcmBlock | Same | End | Refusal


def check_length(kind: bytes, num_bytes: int) -> None:
    """Before the payload is read. Raises BrokenReply."""
    if num_bytes > (protocol.MAX_FRAME_BYTES if kind == protocol.PCM else protocol.MAX_MESSAGE_BYTES):
        raise BrokenReply(f"a frame of kind {kind!r} with {num_bytes:,} bytes")


class Reply:
    """The frames of one worker, each allowed only where protocol.py has it."""

    def __init__(self, limits: DecodeLimits | None = None, *, is_complete: bool = False) -> None:
        """limits: of the job; None before it is begun. is_complete: whether the worker knows that the media is"""
        self._max_ms = 0 if limits is None else math.ceil(limits.max_audio_s * 1000)
        self._has_job = limits is not None
        self._is_complete = is_complete
        self._may_wait = not is_complete
        self._has_headers = self._is_confirmed = self._has_pcm = self._has_short_block = False

    def tell_complete(self) -> None:
        """The worker knows now; a WAIT of before may still arrive."""
        self._is_complete = True

    def frame(self, kind: bytes, payload: bytes) -> Frame:
        """Raises BrokenReply."""
        try:
            return self._checked(kind, payload)
        except ValueError as error:  # of JSON
            raise BrokenReply(f"a frame of kind {kind!r} that is no JSON") from error

    def _checked(self, kind: bytes, payload: bytes) -> Frame:
        if not self._has_job:
            _check(kind == protocol.READY and not payload, "a frame before its job")
            return WorkerReady()
        if kind == protocol.PCM:
            return self._pcm(payload)
        if kind == protocol.SAME:
            _check(self._is_complete and not self._is_confirmed and not payload, "SAME of media that may change")
            self._is_confirmed = True
            return Same()
        content = json.loads(payload)
        _check(isinstance(content, dict), "a message that is no object")
        readers: dict[bytes, Callable[[dict[str, object]], Frame]] = {
            protocol.WAIT: self._wait,
            protocol.HEADERS: self._headers,
            protocol.END: self._end,
            protocol.ERROR: self._refusal,
        }
        _check(kind in readers, "a frame of an unknown kind")
        return readers[kind](content)

    def _pcm(self, payload: bytes) -> PcmBlock:
        _check(self._has_headers, "PCM before the headers")
        _check(len(payload) > 0 and len(payload) % SAMPLE_BYTES == 0, "PCM that is no samples")
        _check(not self._has_short_block, "PCM after a short block")
        self._has_pcm, self._has_short_block = True, len(payload) < protocol.MIN_BLOCK_BYTES
        return PcmBlock(np.frombuffer(payload, dtype="<i2"))

    def _wait(self, content: dict[str, object]) -> Wait:
        _check(self._may_wait, "WAIT for media that are complete")
        self._may_wait = not self._is_complete
        return Wait(_whole_number(content.get("beyond_bytes"), sys.maxsize))

    def _headers(self, content: dict[str, object]) -> Headers:
        _check(not self._has_headers, "a second HEADERS")
        self._has_headers = True
        duration_ms = content.get("duration_ms")
        return Headers(None if duration_ms is None else _whole_number(duration_ms, self._max_ms))

    def _end(self, content: dict[str, object]) -> End:
        _check(self._has_pcm and self._is_confirmed, "END before the end")
        return End(_flag(content.get("is_truncated")), _flag(content.get("is_damaged")))

    def _refusal(self, content: dict[str, object]) -> Refusal:
        reason, value = content.get("reason"), content.get("value")
        if not isinstance(reason, str) or reason not in MESSAGES:
            raise BrokenReply("ERROR for an unknown reason")
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise BrokenReply("ERROR with no number")
        _check(reason != DecodeAgain.code or not self._is_confirmed, "decode_again of media that are the same")
        return Refusal(reason, value)


def _check(is_allowed: bool, broken: str) -> None:
    if not is_allowed:
        raise BrokenReply(broken)


def _whole_number(value: object, maximum: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
        raise BrokenReply("a message without a number in its bounds")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise BrokenReply("a message without true or false")
    return value
