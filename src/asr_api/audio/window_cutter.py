"""Window cutter: PCM blocks of any size to windows of at most `window_s`, cut in pauses between words.

A cut is searched for in the last `stride_s` of a full window. Where there is no clear pause, the window has its full
length and the next one starts `stride_s` earlier, so that longform/stitch.py can place the seam by the words that both
windows contain. Every sample is in at least one window. Holds one window and one stride of PCM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Pcm
from asr_api.transcript import WindowSpan

FRAME_SAMPLES = 10 * SAMPLES_PER_MS
FRAMES_PER_S = SAMPLE_RATE_HZ // FRAME_SAMPLES

# A pause is a run of frames that are all as quiet as it gets in the stride, and well below the speech around it. The
# closure of a "k" lasts up to 100 ms and is as quiet; where the pauses are less deep, over a noise bed or music, they
# must be longer. Tuned on spoken digits, 0.05 to 0.2 s apart, with noise added up to an SNR of 20 dB: of 508 cuts, 3
# were in a word, and 17 with thresholds relative to the speech alone. In more noise than that, windows overlap.
QUIETEST_DB = 3.0  # above the quietest CALM_FRAMES
QUIET_DB = -55.0  # of full scale, RMS: no need to be quieter than this
CALM_FRAMES = 15  # the stretch around a cut that has to be quiet
DEEP_DB, DEEP_FRAMES = 14.0, 15
DEEPEST_DB = 20.0  # deep enough even where it could be quieter, as in an audible breath
SHALLOW_DB, SHALLOW_FRAMES = 10.0, 30
SILENCE_DB = -60.0  # always quiet, however quiet the audio around it
FLAT_DB = 8.0  # speech, however soft, rises and falls by more than this within a few seconds
AROUND_FRAMES = 200  # how far around the stride the level of speech is taken: a loud jingle before it must not count
LONG_PAUSE_FRAMES = 60  # pauses beyond this are equally good: then the latest wins, for fuller windows
LEAD_IN_FRAMES = 30  # the part of a long pause that is left before the next word

SILENT_PEAK_TO_PEAK = 32  # of 65,536: a peak of -66 dBFS around any offset


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A stretch of the source: pcm[0] is the sample at `span.start_ms`."""

    span: WindowSpan
    pcm: Pcm


class WindowCutter:
    """Windows in order; the sizes of blocks change nothing.

    A window is cut one stride of audio after it is full, so that the last two windows can share a short remainder.
    """

    def __init__(self, window_s: float = 30.0, stride_s: float = 5.0) -> None:
        self._window_samples = _whole_frames(window_s)
        self._stride_samples = _whole_frames(stride_s)
        if not 0 < 2 * stride_s <= window_s:
            raise ValueError(f"The stride ({stride_s} s) must be positive and at most half the window ({window_s} s).")
        self._buffer = np.empty(self._window_samples + self._stride_samples, dtype=np.int16)
        self._num_buffered = 0
        self._start_ms = 0
        self._overlap_before_ms = 0
        self._index = 0

    def push(self, block: Pcm) -> list[Window]:
        windows = []
        while len(block):
            taken = block[: len(self._buffer) - self._num_buffered]
            self._buffer[self._num_buffered : self._num_buffered + len(taken)] = taken
            self._num_buffered += len(taken)
            block = block[len(taken) :]
            if self._num_buffered == len(self._buffer):
                windows.append(self._cut((self._window_samples - self._stride_samples, self._window_samples)))
        return windows

    def is_due(self, num_samples: int) -> bool:
        """Whether pushing so many samples cuts a window, which is much more work than buffering them."""
        return self._num_buffered + num_samples >= len(self._buffer)

    def finish(self) -> list[Window]:
        """The remaining audio: no window, one window, or two of similar lengths."""
        windows = []
        if self._num_buffered > self._window_samples:
            excess_samples, third = self._num_buffered - self._window_samples, self._num_buffered // 3
            windows.append(self._cut((max(excess_samples, third), 2 * third), (excess_samples, self._window_samples)))
        if self._num_buffered:
            windows.append(self._pop_window(self._num_buffered, 0))
        return windows

    def _cut(self, *ranges: tuple[int, int]) -> Window:
        """The next window, cut in the first range of samples that has a pause."""
        pcm = self._buffer[: self._num_buffered]
        for earliest, latest in ranges:
            cut = find_pause(pcm, earliest, latest)
            if cut is not None:
                return self._pop_window(cut, 0)
        return self._pop_window(self._window_samples, self._stride_samples)

    def _pop_window(self, num_samples: int, overlap_samples: int) -> Window:
        """Moves the first samples of the buffer into a window; the last `overlap_samples` of them also stay."""
        end_ms = self._start_ms - (-num_samples // SAMPLES_PER_MS)  # rounded up: only the last one can be uneven
        overlap_ms = overlap_samples // SAMPLES_PER_MS
        span = WindowSpan(self._index, self._start_ms, end_ms, self._overlap_before_ms, overlap_ms)
        window = Window(span, self._buffer[:num_samples].copy())
        kept_from = num_samples - overlap_samples
        kept = self._buffer[kept_from : self._num_buffered].copy()
        self._buffer[: len(kept)] = kept
        self._num_buffered = len(kept)
        self._start_ms = end_ms - overlap_ms
        self._overlap_before_ms = overlap_ms
        self._index += 1
        return window


def find_pause(pcm: Pcm, earliest: int, latest: int) -> int | None:
    """The sample at which to cut, a multiple of a frame in [earliest, latest]; None where there is no pause.

    pcm should extend beyond `latest`, so that the whole pause can be measured.
    """
    level_db = frame_levels_db(pcm)
    first, last = -(-earliest // FRAME_SAMPLES), latest // FRAME_SAMPLES
    calm_db = _mean_over(level_db, CALM_FRAMES)
    quiet_db = max(QUIET_DB, float(calm_db[first : last + 1].min())) + QUIETEST_DB
    around_db = level_db[max(0, first - AROUND_FRAMES) : last + AROUND_FRAMES]
    is_flat = float(np.ptp(np.percentile(around_db, (5, 95)))) < FLAT_DB
    speech_db = speech_level_db(level_db if is_flat else around_db)  # without speech around: of the whole window
    attempts = (
        (quiet_db, DEEP_DB, DEEP_FRAMES),
        (max(speech_db - DEEPEST_DB, SILENCE_DB), -np.inf, DEEP_FRAMES),
        (quiet_db, SHALLOW_DB, SHALLOW_FRAMES),
    )
    for threshold_db, depth_db, min_frames in attempts:
        runs = _runs(_mean_over(level_db, 3) <= threshold_db) if threshold_db <= speech_db - depth_db else []
        pauses = [run for run in runs if run[1] - run[0] >= min_frames and _allowed_range(run, first, last)]
        if pauses:
            best = max(pauses, key=lambda run: (min(run[1] - run[0], LONG_PAUSE_FRAMES), run[0]))
            return _quietest(calm_db, best, first, last) * FRAME_SAMPLES
    return None


def frame_levels_db(pcm: Pcm) -> NDArray[np.float64]:
    """(n_frames,) RMS of each whole frame of 10 ms, dB of full scale, at least -100; a constant offset is ignored."""
    n_frames = len(pcm) // FRAME_SAMPLES
    frames = pcm[: n_frames * FRAME_SAMPLES].reshape(n_frames, FRAME_SAMPLES).astype(np.float64)
    sums, squares = frames.sum(axis=1), np.einsum("ij,ij->i", frames, frames)  # exact: integers below 2^53
    power = (squares - sums**2 / FRAME_SAMPLES) / (FRAME_SAMPLES * 32768**2)
    level_db: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-10))
    return level_db


def is_silent(pcm: Pcm) -> bool:
    """Whether the PCM is digital silence, dither or a constant offset. Whispered speech is not silent."""
    return len(pcm) == 0 or int(pcm.max()) - int(pcm.min()) <= SILENT_PEAK_TO_PEAK


def _whole_frames(length_s: float) -> int:
    """Rounded down, as a window may not be longer than the model takes; at least one."""
    return max(1, int(length_s * FRAMES_PER_S + 1e-6)) * FRAME_SAMPLES


def speech_level_db(level_db: NDArray[np.float64]) -> float:
    """The level of the louder frames; the mean power counts where speech is rare, and a single click hardly does."""
    mean_power_db = 10 * np.log10(np.mean(10 ** (level_db / 10)))
    return float(max(np.percentile(level_db, 90), mean_power_db))


def _mean_over(level_db: NDArray[np.float64], n_frames: int) -> NDArray[np.float64]:
    """The mean of the `n_frames` (odd) around each frame."""
    padded = np.pad(level_db, n_frames // 2, mode="edge")
    return np.convolve(padded, np.full(n_frames, 1 / n_frames), mode="valid")


def _runs(is_quiet: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(start, stop) of each run of quiet frames."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_quiet, [False])).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _allowed_range(pause: tuple[int, int], first: int, last: int) -> tuple[int, int] | None:
    """The frames of the pause, bounds included, where a cut is allowed and has quiet on both sides."""
    low, high = max(first, pause[0] + DEEP_FRAMES // 2), min(last, pause[1] - DEEP_FRAMES // 2)
    return (low, high) if low <= high else None


def _quietest(calm_db: NDArray[np.float64], pause: tuple[int, int], first: int, last: int) -> int:
    """Of the quietest frames of the pause, the one nearest to its middle, or to the end of a long one."""
    low, high = _allowed_range(pause, first, last) or pause
    start, stop = pause
    wanted = max((start + stop) // 2, stop - LEAD_IN_FRAMES)
    allowed_db = calm_db[low : high + 1]
    quiet = low + np.flatnonzero(allowed_db <= allowed_db.min() + QUIETEST_DB)
    return int(quiet[np.abs(quiet - wanted).argmin()])
