"""Continuation of a window: from where the rest of it has to be transcribed again, and how both parts are joined.

The engine stops early when MAX_NEW_TOKENS is reached; the model itself may stop in the middle of speech.
"""

from __future__ import annotations

from asr_api.audio.window_cutter import (
    FRAME_SAMPLES,
    SILENCE_DB,
    Window,
    frame_levels_db,
    is_silent,
    speech_level_db,
)
from asr_api.errors import InternalError
from asr_api.pcm import SAMPLES_PER_MS, Pcm
from asr_api.transcript import Quality, Segment, WindowTranscript

MIN_PROGRESS_MS = 1000  # a continuation that gets no further is the last one
MAX_LEAD_MS = 500  # of the pause before the speech that is transcribed again
# Frames that are about as loud as the speech before them; so many of them are more than a breath or a click.
LOUD_DB = 10.0
MIN_LOUD_FRAMES = 60


def find_resume_ms(window: Window, transcript: WindowTranscript) -> int | None:
    """Where the rest of a window begins that has to be transcribed again, if any: behind the last token that fitted, or
    where there is speech as loud as before behind the last segment. The overlap with the next window does not count.
    """
    if transcript.resume_ms is not None:
        is_rest_silent = is_silent(window.pcm[transcript.resume_ms * SAMPLES_PER_MS :])
        return None if is_rest_silent else transcript.resume_ms
    end_ms = transcript.segments[-1].end_ms if transcript.segments else 0
    own_pcm = window.pcm[: len(window.pcm) - window.span.overlap_after_ms * SAMPLES_PER_MS]
    onset = _find_speech(own_pcm, end_ms * SAMPLES_PER_MS) if end_ms > 0 else None
    if onset is None:
        return None
    # A window that begins with a long silence is taken for one without speech; a short lead keeps a soft onset.
    return max(end_ms, onset // SAMPLES_PER_MS - MAX_LEAD_MS)


def _find_speech(pcm: Pcm, after: int) -> int | None:
    """The first sample that is again as loud as the speech before the sample `after`, if enough of the rest is."""
    level_db = frame_levels_db(pcm)
    before_db, rest_db = level_db[: after // FRAME_SAMPLES], level_db[after // FRAME_SAMPLES :]
    if not len(before_db):
        return None
    is_loud = rest_db >= max(speech_level_db(before_db) - LOUD_DB, SILENCE_DB)
    has_more = int(is_loud.sum()) >= MIN_LOUD_FRAMES
    return max(after, (len(before_db) + int(is_loud.argmax())) * FRAME_SAMPLES) if has_more else None


def is_exhausted(continuation: WindowTranscript) -> bool:
    """Whether a further continuation would bring nothing."""
    has_progress = continuation.segments and continuation.segments[-1].end_ms >= MIN_PROGRESS_MS
    return continuation.resume_ms is None and not has_progress


def join(transcript: WindowTranscript, continuation: WindowTranscript, offset_ms: int) -> WindowTranscript:
    """One window transcribed in two parts, the second from `offset_ms` on."""
    if offset_ms <= 0 or (continuation.resume_ms is not None and continuation.resume_ms <= 0):
        raise InternalError("The engine asked to resume a window at its start; this is a bug, please report it.")
    return WindowTranscript(
        segments=(*transcript.segments, *shifted(continuation.segments, offset_ms)),
        language=transcript.language,
        guesses=transcript.guesses,
        num_tokens=transcript.num_tokens + continuation.num_tokens,
        resume_ms=None if continuation.resume_ms is None else offset_ms + continuation.resume_ms,
        omitted=(*transcript.omitted, *shifted(continuation.omitted, offset_ms)),
        times=transcript.times + continuation.times,
    )


def untranscribed(window: Window, start_ms: int) -> Segment:
    """A rest that is as loud as speech and brought no text: music, or a loss that the client should know of."""
    return Segment(start_ms, len(window.pcm) // SAMPLES_PER_MS, "", quality=Quality(doubts=("no_speech",)))


def shifted(segments: tuple[Segment, ...], offset_ms: int) -> tuple[Segment, ...]:
    return tuple(segment.shifted(offset_ms) for segment in segments)
