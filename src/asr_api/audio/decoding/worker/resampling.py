"""Resampling of decoded frames of any format to 16 kHz mono s16le blocks, with silence for gaps in the file."""

from __future__ import annotations

from collections.abc import Iterator

from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.worker.media import check_bounds
from asr_api.audio.decoding.worker.media_clock import Clock, with_next_pts
from asr_api.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ

GROUP_S = 2.0  # frames are resampled in groups: calls into FFmpeg for frames of 26 ms each are most of the cost
MAX_GROUP_SAMPLES = 192_000  # of one channel: at higher rates a group of 2 s would take 300 MiB with its copies
QUIET_LEVEL = 256  # of 32,768, on average; a whole group below it is checked for channels that cancel out
CANCELLED_SHARE = 1 / 8  # of a channel; with independent noise on both channels two thirds would remain
LEVEL_STEP_SAMPLES = 17  # one sample in this many is enough to tell loud from quiet


def resampled(source: Iterator[AudioFrame], clock: Clock, limits: DecodeLimits) -> Iterator[bytes]:
    """Blocks of up to GROUP_S. The resampler is reset where the format of the stream changes, and after a gap."""
    signature: tuple[str, str, int] | None = None
    group, mixer = AudioFifo(), Mixer()
    for frame, next_pts in with_next_pts(source):
        current = (frame.format.name, frame.layout.name, frame.sample_rate)
        if current != signature:
            check_bounds(frame.sample_rate, len(frame.layout.channels), limits)
        silence_s = clock.place(frame.pts, frame.samples / frame.sample_rate, next_pts)
        if current != signature or silence_s:
            yield from flushed(group, mixer)
            yield from silent(silence_s)
            signature, group, mixer = current, AudioFifo(), Mixer()
        frame.pts = None
        group.write(frame)
        if group.samples >= min(GROUP_S * frame.sample_rate, MAX_GROUP_SAMPLES):
            yield mixer.convert(group.read())
    yield from flushed(group, mixer)


def silent(length_s: float) -> Iterator[bytes]:
    num_samples, block = round(length_s * SAMPLE_RATE_HZ), round(GROUP_S * SAMPLE_RATE_HZ)
    for start in range(0, num_samples, block):
        yield bytes(min(num_samples - start, block) * SAMPLE_BYTES)


def flushed(group: AudioFifo, mixer: Mixer) -> Iterator[bytes]:
    if group.samples:
        yield mixer.convert(group.read())
    yield mixer.convert(None)


class Mixer:
    """Mixes down with weights that add up to one, so that nothing clips; libswresample's default filter.

    Where channels cancel each other out, as when one is wired with reversed polarity, the first channel is used alone.
    """

    def __init__(self) -> None:
        self._whole = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
        self._split: AudioResampler | None = None  # set while the first channel is used

    def convert(self, frame: AudioFrame | None) -> bytes:
        """PCM of the next frame, all of one format; None flushes the resampler."""
        pcm = _first_channel(self._whole, frame)
        if frame is None:
            return _first_channel(self._split, None) if self._split else pcm
        split, self._split = self._split, None
        if len(frame.layout.channels) == 1 or _level(pcm) > QUIET_LEVEL:
            return pcm
        split = split or AudioResampler(format="s16p", layout=frame.layout, rate=SAMPLE_RATE_HZ)
        first = _first_channel(split, frame)
        if _level(pcm) >= _level(first) * CANCELLED_SHARE:
            return pcm
        self._split = split
        return first.rjust(len(pcm), b"\0")  # a new resampler is behind by the length of its filter


def _first_channel(resampler: AudioResampler, frame: AudioFrame | None) -> bytes:
    return b"".join(bytes(memoryview(out.planes[0])[: out.samples * SAMPLE_BYTES]) for out in resampler.resample(frame))


def _level(pcm: bytes) -> float:
    """The mean of the absolute values."""
    samples = memoryview(pcm).cast("h")[::LEVEL_STEP_SAMPLES].tolist()
    return sum(map(abs, samples)) / max(1, len(samples))
