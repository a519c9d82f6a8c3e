"""Decoded frames of any format → PCM blocks of about GROUP_S: s16le, 16 kHz, mono, with silence where the clock has it.

Knows nothing about files or packets, nor who takes the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from asr_api.audio.decoding.protocol import Job
from asr_api.audio.decoding.worker.media import check_bounds
from asr_api.audio.decoding.worker.media_clock import Clock, with_following_stamps

RATE_HZ = 16_000
SAMPLE_BYTES = 2
GROUP_S = 2.0  # frames are resampled in groups: crossings and frames of 26 ms each are most of the cost
QUIET_LEVEL = 256  # of 32,768, on average; what is below for a whole group gets a second look
CANCELLED_SHARE = 1 / 8  # of a channel, where noises of their own on both would leave two thirds
LEVEL_STEP_SAMPLES = 17  # a sample in so many is enough to tell loud from quiet


def resampled(source: Iterator[AudioFrame], clock: Clock, job: Job) -> Iterator[bytes]:
    """Starts afresh where the format of the stream changes, and after a gap."""
    signature: tuple[str, str, int] | None = None
    group, mixer = AudioFifo(), Mixer()
    for frame, following in with_following_stamps(source):
        current = (frame.format.name, frame.layout.name, frame.sample_rate)
        if current != signature:
            check_bounds(frame.sample_rate, len(frame.layout.channels), job)
        silence_s = clock.place(frame.pts, frame.samples / frame.sample_rate, following)
        if current != signature or silence_s:
            yield from drained(group, mixer)
            yield from silent(silence_s)
            signature, group, mixer = current, AudioFifo(), Mixer()
        frame.pts = None
        group.write(frame)
        if group.samples >= GROUP_S * frame.sample_rate:
            yield mixer.convert(group.read())
    yield from drained(group, mixer)


def silent(length_s: float) -> Iterator[bytes]:
    left, most = round(length_s * RATE_HZ), round(GROUP_S * RATE_HZ)
    while left > 0:
        yield bytes(min(left, most) * SAMPLE_BYTES)
        left -= most


def drained(group: AudioFifo, mixer: Mixer) -> Iterator[bytes]:
    if group.samples:
        yield mixer.convert(group.read())
    yield mixer.convert(None)


class Mixer:
    """Mixes down with weights that add up to one, so that nothing clips; libswresample's default filter.

    Channels that cancel each other out, as when one is wired the wrong way round, give way to the first of them.
    """

    def __init__(self) -> None:
        self._whole = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        self._split: AudioResampler | None = None  # while it is what is heard

    def convert(self, frame: AudioFrame | None) -> bytes:
        """PCM of the next frame, all of one format; None gives what is left."""
        pcm = _first_channel(self._whole, frame)
        if frame is None:
            return _first_channel(self._split, None) if self._split else pcm
        split, self._split = self._split, None
        if len(frame.layout.channels) == 1 or _level(pcm) > QUIET_LEVEL:
            return pcm
        split = split or AudioResampler(format="s16p", layout=frame.layout, rate=RATE_HZ)
        first = _first_channel(split, frame)
        if _level(pcm) >= _level(first) * CANCELLED_SHARE:
            return pcm
        self._split = split
        return first.rjust(len(pcm), b"\0")  # one that has just begun is a filter's length behind


def _first_channel(resampler: AudioResampler, frame: AudioFrame | None) -> bytes:
    return b"".join(bytes(memoryview(out.planes[0])[: out.samples * SAMPLE_BYTES]) for out in resampler.resample(frame))


def _level(pcm: bytes) -> float:
    """The mean of the absolute values."""
    samples = memoryview(pcm).cast("h")[::LEVEL_STEP_SAMPLES].tolist()
    return sum(map(abs, samples)) / max(1, len(samples))
