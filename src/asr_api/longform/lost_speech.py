"""Lost speech: a stretch of a window with speech under it, and no words, far too few for it, or more than can be said.

Whisper sometimes leaves out whole sentences: it ends its text early, jumps, or stretches a short segment over them.
"""

from __future__ import annotations

from dataclasses import dataclass

from asr_api.audio.vad.speech_activity import SpeechActivity
from asr_api.transcript import Segment, WindowTranscript

MIN_LOST_SPEECH_MS = 1000  # between segments, or behind the last one
# A segment with fewer tokens for each second of speech leaves words out. Measured on 80 recordings in ten languages
# and six long ones: segments that lost sentences have 0.2 to 1.5, all others 1.8 and more.
MIN_TOKENS_PER_S = 1.6
MIN_RATED_SPEECH_MS = 3000  # of a segment, to tell
# A longer text for its time was not spoken: of the same recordings no segment has more than 24 characters for a second,
# and a sentence that a model invents again and again has 60.
MAX_CHARS_PER_S = 35
MIN_RATED_CHARS = 30


@dataclass(frozen=True, slots=True)
class LostSpeech:
    """Times are relative to the window.

    has_text_behind: the window has text after it, with no text at its beginning
    """

    start_ms: int
    end_ms: int
    has_text_behind: bool = False


def find_lost_speech(
    activity: SpeechActivity, start_ms: int, end_ms: int, transcript: WindowTranscript, *, from_ms: int = 0
) -> LostSpeech | None:
    """The first stretch of a window without its words, if any.

    start_ms: of the window in the piece
    end_ms:   up to where the window is transcribed, relative to it
    from_ms:  what begins before is not looked at, relative to the window
    """
    spoken_until_ms = from_ms
    for segment in _covering(transcript):
        if segment.start_ms < from_ms:
            spoken_until_ms = max(spoken_until_ms, segment.end_ms)
            continue
        if activity.speech_ms(start_ms + spoken_until_ms, start_ms + segment.start_ms) >= MIN_LOST_SPEECH_MS:
            return LostSpeech(spoken_until_ms, segment.start_ms, has_text_behind=True)
        speech_ms = activity.speech_ms(start_ms + segment.start_ms, start_ms + segment.end_ms)
        is_sparse = len(segment.tokens) * 1000 < MIN_TOKENS_PER_S * speech_ms
        if segment.tokens and speech_ms >= MIN_RATED_SPEECH_MS and is_sparse:
            return LostSpeech(segment.start_ms, segment.end_ms)
        if _is_crowded(segment) and end_ms - segment.start_ms >= MIN_LOST_SPEECH_MS:
            return LostSpeech(segment.start_ms, segment.end_ms)
        spoken_until_ms = max(spoken_until_ms, segment.end_ms)
    if activity.speech_ms(start_ms + spoken_until_ms, start_ms + end_ms) >= MIN_LOST_SPEECH_MS:
        return LostSpeech(spoken_until_ms, end_ms)
    return None


def _is_crowded(segment: Segment) -> bool:
    """Whether its text is too long for its time."""
    if segment.quality is not None and "no_speech" in segment.quality.doubts:  # it is left out anyway
        return False
    num_chars = len(segment.text.strip())
    return num_chars >= MIN_RATED_CHARS and num_chars * 1000 > MAX_CHARS_PER_S * (segment.end_ms - segment.start_ms)


def _covering(transcript: WindowTranscript) -> list[Segment]:
    """Text that was left out because of doubts stands for the speech under it, too."""
    return sorted((*transcript.segments, *transcript.omitted), key=lambda segment: segment.start_ms)
