"""Packet source: the packets of the track that is decoded, of a file that is complete or still arrives.

A growing file is demuxed as it arrives, in one sweep. When it is complete it is opened again, as any complete file, and
takes over behind the packets that are already decoded. These must be the same in both, and so is then the PCM; all else
that depends on the end of the file, such as its length and whether it is truncated, comes from the complete file alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.worker import media
from asr_api.audio.decoding.worker.audio_tracks import open_track
from asr_api.audio.decoding.worker.decode_health import Health
from asr_api.audio.decoding.worker.growing_file import Arrival, GrowingFile
from asr_api.audio.decoding.worker.growing_headers import growing_file
from asr_api.audio.decoding.worker.media_file import MediaFile
from asr_api.audio.decoding.worker.packet_digest import PacketDigest

# Demuxers that give the same packets of a file in which they cannot seek. Others wait for the complete file.
SEQUENTIAL_DEMUXERS = {"aac", "amr", "flac", media.MATROSKA, media.MOV, "mp3", "ogg", "wav"}
DECLARING_DEMUXERS = {"flac", media.MATROSKA}  # of these: their length, if declared, is in their first headers
START_ROUNDING_S = 2e-6  # FFmpeg rounds the start once more where it knows the length


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """resources: closes what is opened for the job"""

    fd: int
    limits: DecodeLimits
    arrival: Arrival
    health: Health
    resources: contextlib.ExitStack


class CompleteMedia:
    """A complete file: its track, its clock, its length and its packets. Raises Refused."""

    def __init__(self, job: DecodeJob) -> None:
        self.file = MediaFile(job.fd)
        container = job.resources.enter_context(media.open_media(self.file))
        self.stream = open_track(container, self.file, job.limits)
        self.timeline = media.timeline(container, self.stream)
        self.length_s = media.declared_s(container, self.stream, self.timeline)
        self.is_certain = media.is_exact(container, self.stream, self.file)
        if not 0 < self.length_s <= job.limits.max_audio_s:  # nothing is declared, or a length that has to be checked
            self.length_s, self.is_certain = media.measured_s(MediaFile(job.fd), self.stream.index, job.limits), False
        self.format_name, self.codec = container.format.name, _codec(self.stream)
        self._container = container
        job.health.note_headers()

    def packets(self) -> Iterator[Packet[AudioStream]]:
        return media.packets(self._container, self.stream)

    def complete(self) -> CompleteMedia:
        return self


class GrowingMedia:
    """A file that still arrives, by the headers at its beginning. length_s: 0 where these do not tell"""

    def __init__(self, job: DecodeJob, file: GrowingFile, container: InputContainer) -> None:
        self.stream = open_track(container, file, job.limits)
        self.codec = _codec(self.stream)  # before a decoder sets what it finds
        self.timeline = media.timeline(container, self.stream)
        self.declared_s = media.declared_s(container, self.stream, self.timeline)
        is_in_headers = container.format.name in DECLARING_DEMUXERS or self.stream.frames > 0
        self.length_s = self.declared_s if is_in_headers else 0.0
        self._job, self._file, self._container = job, file, container
        self._complete: CompleteMedia | None = None

    def packets(self) -> Iterator[Packet[AudioStream]]:
        """Raises Refused with decode_again where the complete file has other packets than those already given."""
        given = PacketDigest()
        with contextlib.suppress(av.FFmpegError):  # the complete file tells what it is
            for packet in media.packets(self._container, self.stream):
                if self._file.has_ended or not packet.size:
                    break
                given.add(packet)
                yield packet
        self._job.arrival.wait_for_all()
        self._job.health.skip_messages()
        self._complete = CompleteMedia(self._job)
        packets = self._complete.packets()
        if not self._has_same_headers(self._complete) or not given.are_first_of(packets):
            raise media.Refused("decode_again")
        self._job.arrival.confirm()
        self._job.health.skip_messages()
        yield from packets

    def complete(self) -> CompleteMedia:
        """The complete file, after the last packet."""
        assert self._complete is not None, "take all packets first; this is a bug"  # noqa: S101
        return self._complete

    def _has_same_headers(self, complete: CompleteMedia) -> bool:
        ours, theirs = self.timeline, complete.timeline
        is_same_clock = (ours.tick_s, ours.end_s) == (theirs.tick_s, theirs.end_s)
        is_same_start = abs(ours.start_s - theirs.start_s) <= START_ROUNDING_S
        return is_same_clock and is_same_start and self.codec == complete.codec


PacketSource = CompleteMedia | GrowingMedia


def open_source(job: DecodeJob) -> PacketSource:
    """Waits for the headers and, where they or the format need it, for the whole file. Raises Refused."""
    if not job.arrival.is_complete:
        growing = _open_growing(job)
        if growing is not None:
            return growing
        job.arrival.wait_for_all()
        job.health.skip_messages()
    job.arrival.confirm()
    return CompleteMedia(job)


def _open_growing(job: DecodeJob) -> GrowingMedia | None:
    """None where the beginning of the file is not enough, and where the file has become complete meanwhile."""
    file = growing_file(job.fd, job.arrival)
    if file is None:
        return None
    with contextlib.ExitStack() as opened:
        try:
            container = opened.enter_context(media.open_media(file))
            if container.format.name not in SEQUENTIAL_DEMUXERS or _has_estimated_length(container):
                return None
            growing = GrowingMedia(job, file, container)
        except (media.Refused, av.FFmpegError):
            return None
        if growing.declared_s > job.limits.max_audio_s or file.has_ended or job.arrival.is_complete:
            return None
        job.health.note_headers()
        job.resources.push(opened.pop_all())
    return growing


def _has_estimated_length(container: InputContainer) -> bool:
    """Whether FFmpeg would estimate the length by the size of the complete file, on which the clock then depends."""
    return container.format.name == media.MATROSKA and not container.duration and container.bit_rate > 0


def _codec(stream: AudioStream) -> tuple[object, ...]:
    """What decides on the PCM of a packet."""
    context = stream.codec_context
    form = (context.name, context.sample_rate, context.layout.name, context.format and context.format.name)
    return (stream.index, stream.time_base, context.extradata, *form)
