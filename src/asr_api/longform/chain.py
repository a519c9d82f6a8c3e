"""Chain: the windows of one piece, each of which begins where the text of the one before ends, as in OpenAI's program.

A window that lost speech is noticed, because there is speech without words (longform/lost_speech.py). It is cut short
before the loss, and the next window begins there: so the model gets the lost speech with another beginning. Speech
that is lost at the beginning of a window is decoded once more by itself; if it stays without words, it is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from asr_api.audio.levels import is_silent
from asr_api.audio.piece_cutter import Piece, quietest_chunk
from asr_api.audio.vad.speech_activity import CHUNK_MS
from asr_api.longform.lost_speech import LostSpeech, find_lost_speech
from asr_api.longform.repetition import without_repetition
from asr_api.pcm import SAMPLES_PER_MS, Pcm
from asr_api.transcript import Quality, Segment, WindowTranscript

MIN_WINDOW_MS = 100  # a shorter rest of a piece holds no word
MIN_PROGRESS_MS = 1000  # a window that gets no further is the last one for its audio
# A window that lost its first words is cut at the quietest point between these two.
MIN_RETRIED_MS = 3000
MAX_RETRIED_SHARE = 0.6
# Below this no sound is speech: the lowest value of 60 recordings of speech was 0.07, and most noise stays below.
MIN_SPEECH = 0.04
# Models write no timestamp later than a second for their first word, so a long pause before it is left out. It is one
# only where there is nothing like speech at all, and clear speech behind it.
MIN_LEAD_MS, KEPT_LEAD_MS = 2000, 500
MAX_PREVIOUS_TEMPERATURE = 0.5  # text sampled above it may be nonsense, which the next window would continue
MAX_PREVIOUS_SEGMENTS = 64  # more than a prompt holds


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A stretch of a piece for the engine.

    is_first:     of its piece
    is_retried:   its beginning was decoded before, and speech in it stayed without words
    """

    start_ms: int
    pcm: Pcm
    is_first: bool
    is_retried: bool

    @property
    def length_ms(self) -> int:
        return len(self.pcm) // SAMPLES_PER_MS


class Chain:
    """Plain bookkeeping: `next_window`, then `push` with its transcript, until there is no next window."""

    def __init__(self, piece: Piece, window_ms: int) -> None:
        """window_ms: length of a full window"""
        self._piece = piece
        self._window_ms = window_ms
        self._position_ms = 0
        self._max_length_ms = window_ms  # of the next window
        self._is_retried = False
        self._num_windows = 0
        self._may_repeat = False  # the next window begins at a timestamp with which its text did not go on
        self._segments: list[Segment] = []
        self._omitted: list[Segment] = []
        self._transcript = WindowTranscript(())  # of all windows, without their segments
        self.previous: tuple[Segment, ...] = ()  # segments that the next window may be given; times of their windows
        self.num_retries = 0

    def next_window(self) -> Window | None:
        """None where the rest of the piece has no speech."""
        while True:
            pcm = self._piece.pcm[self._position_ms * SAMPLES_PER_MS :][: self._max_length_ms * SAMPLES_PER_MS]
            end_ms = self._position_ms + len(pcm) // SAMPLES_PER_MS
            if end_ms - self._position_ms < MIN_WINDOW_MS:
                return None
            if not is_silent(pcm) and self._piece.activity.strongest(self._position_ms, end_ms) >= MIN_SPEECH:
                break
            self._position_ms, self._max_length_ms, self._is_retried = end_ms, self._window_ms, False
        is_retried = self._is_retried
        if not is_retried and (lead_ms := self._lead_ms(end_ms)):
            self._position_ms += lead_ms
            pcm = self._piece.pcm[self._position_ms * SAMPLES_PER_MS :][: self._window_ms * SAMPLES_PER_MS]
        self._num_windows += 1
        return Window(self._position_ms, pcm, self._num_windows == 1, is_retried)

    def push(self, window: Window, transcript: WindowTranscript) -> None:
        """transcript: of `window`, times relative to it"""
        may_repeat, self._may_repeat = self._may_repeat, False
        self._max_length_ms, self._is_retried = self._window_ms, False
        end_ms = window.length_ms
        if transcript.resume_ms is not None and transcript.resume_ms >= MIN_PROGRESS_MS:
            end_ms = transcript.resume_ms
        activity = self._piece.activity
        lost = find_lost_speech(activity, window.start_ms, end_ms, transcript)
        if lost is not None and lost.start_ms < MIN_PROGRESS_MS and window.is_retried:
            transcript = replace(transcript, omitted=(*transcript.omitted, _untranscribed(lost)))
            from_ms = max(lost.end_ms, MIN_PROGRESS_MS)
            lost = find_lost_speech(activity, window.start_ms, end_ms, transcript, from_ms=from_ms)
        if lost is not None and lost.start_ms >= MIN_PROGRESS_MS:
            kept, omitted = _until(lost.start_ms, transcript.segments), _until(lost.start_ms, transcript.omitted)
            transcript = replace(transcript, segments=kept, omitted=omitted)
            self._may_repeat = True
            end_ms = lost.start_ms
        elif lost is not None:
            self._max_length_ms, self._is_retried = self._retried_length_ms(lost, window), True
            transcript = replace(transcript, segments=(), omitted=())
            end_ms = 0
        self.num_retries += lost is not None
        self._keep(window, transcript, may_repeat=may_repeat)
        self._position_ms += end_ms

    def result(self) -> WindowTranscript:
        """Of the whole piece, times relative to it."""
        return replace(self._transcript, segments=tuple(self._segments), omitted=tuple(self._omitted), resume_ms=None)

    @property
    def language(self) -> str | None:
        """Of its windows so far, if they had text."""
        return self._transcript.language if self._segments else None

    def _lead_ms(self, end_ms: int) -> int:
        """How much of the beginning of the next window is left out."""
        activity, start_ms = self._piece.activity, self._position_ms
        bounds = activity.speech_bounds_ms(start_ms, end_ms)
        if bounds is None or bounds[0] - start_ms < MIN_LEAD_MS:
            return 0
        lead_ms = bounds[0] - start_ms - KEPT_LEAD_MS
        is_empty = activity.strongest(start_ms, start_ms + lead_ms) < MIN_SPEECH
        return lead_ms if is_empty else 0

    def _retried_length_ms(self, lost: LostSpeech, window: Window) -> int:
        """Up to where the text begins; where there is none, up to the quietest point of the window's first part."""
        if lost.has_text_behind:
            return max(lost.end_ms, MIN_PROGRESS_MS)
        if window.length_ms < 2 * MIN_RETRIED_MS:
            return window.length_ms
        activity, first = self._piece.activity, window.start_ms // CHUNK_MS
        earliest, latest = MIN_RETRIED_MS // CHUNK_MS, int(MAX_RETRIED_SHARE * window.length_ms) // CHUNK_MS
        chunk = quietest_chunk(activity.pcm, activity.probabilities, first + earliest, first + latest)
        return chunk * CHUNK_MS - window.start_ms

    def _keep(self, window: Window, transcript: WindowTranscript, *, may_repeat: bool) -> None:
        segments = transcript.segments
        if may_repeat:
            segments = without_repetition("".join(segment.text for segment in self._segments), segments)
        so_far = self._transcript
        has_language = bool(self._segments) or (so_far.language is not None and not segments)
        language_from = so_far if has_language else transcript
        self._transcript = replace(
            so_far,
            language=language_from.language,
            guesses=language_from.guesses,
            num_tokens=so_far.num_tokens + transcript.num_tokens,
            times=so_far.times + transcript.times,
        )
        self._segments += shifted(segments, window.start_ms)
        self._omitted += shifted(transcript.omitted, window.start_ms)
        # A part of a segment is no previous text: its tokens are known only if the client asked for their bytes, and
        # the text of the next window must not depend on that.
        parts = [segment for segment in segments if segment not in transcript.segments]
        previous = next_previous(self.previous, segments)
        self.previous = tuple(segment for segment in previous if segment not in parts)


def next_previous(previous: tuple[Segment, ...], segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """The segments so far, for the next window; none when those of this window are not reliable."""
    qualities = [segment.quality for segment in segments if segment.quality is not None]
    if any(quality.doubts or quality.temperature > MAX_PREVIOUS_TEMPERATURE for quality in qualities):
        return ()
    return (*previous, *segments)[-MAX_PREVIOUS_SEGMENTS:]


def shifted(segments: tuple[Segment, ...], offset_ms: int) -> tuple[Segment, ...]:
    return tuple(segment.shifted(offset_ms) for segment in segments)


def _until(end_ms: int, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    return tuple(segment for segment in segments if segment.end_ms <= end_ms)


def _untranscribed(lost: LostSpeech) -> Segment:
    """Sound like speech that brought no text: music, or a loss that the client should know of."""
    return Segment(lost.start_ms, lost.end_ms, "", quality=Quality(doubts=("no_speech",)))
