"""Audio tracks: which one of several is decoded, by the order of FFmpeg's program."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Sequence, Set

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.worker.formats import DECODERS
from asr_api.audio.decoding.worker.media import (
    Refused,
    audio_stream,
    check_bounds,
    open_media,
)
from asr_api.audio.decoding.worker.media_file import ReadableMedia

MAX_FAILED_PACKETS = 500  # of a track without one that can be decoded; some 10 s of audio


def open_track(container: InputContainer, media: ReadableMedia, limits: DecodeLimits) -> AudioStream:
    """The track to decode, with bounds checked; the others are never decoded. Raises Refused where there is none.

    The default track is best, then the one with most channels, then the first. A track that cannot be decoded, and one
    without audio in it, gives way to the next best.
    """
    ranked = sorted(container.streams.audio, key=_rank, reverse=True)
    if not ranked:
        raise Refused("no_audio_stream")
    refusals = {stream.index: _refusal(stream, limits) for stream in ranked}
    usable = [stream for stream in ranked if refusals[stream.index] is None]
    if not usable:
        raise refusals[ranked[0].index] or Refused("codec")
    indexes = [stream.index for stream in usable]
    return audio_stream(container, indexes[0] if len(indexes) == 1 else _first_with_audio(media, indexes))


def _rank(stream: AudioStream) -> tuple[bool, int]:
    """Where no track is marked as the default, as in MPEG-TS and Ogg, the channels alone decide."""
    context = stream.codec_context
    return bool(stream.disposition & Disposition.default), 0 if context is None else context.channels


def _refusal(stream: AudioStream, limits: DecodeLimits) -> Refused | None:
    context = stream.codec_context
    if context is None or context.name not in DECODERS:
        return Refused("codec")
    try:
        check_bounds(context.sample_rate, context.channels, limits)
    except Refused as refused:
        return refused
    return None


def _first_with_audio(media: ReadableMedia, ranked: Sequence[int]) -> int:
    """The best track of which a packet can be decoded; the best of all if there is none. Tracks are given by index.

    It reads the file once more: only up to the first packet of the best track, unless that track is empty or damaged.
    """
    candidates, has_audio, num_failed = list(ranked), set[int](), Counter[int]()
    settled: set[int] = set()
    with contextlib.closing(_trials(media, ranked, settled)) as trials:
        for index, is_decodable in trials:
            num_failed[index] += not is_decodable
            if is_decodable:
                has_audio.add(index)
                settled.add(index)
            elif num_failed[index] > MAX_FAILED_PACKETS:
                candidates.remove(index)
                settled.add(index)
            if not candidates or candidates[0] in has_audio:
                break
    return next((index for index in candidates if index in has_audio), ranked[0])


def _trials(media: ReadableMedia, indexes: Sequence[int], settled: Set[int]) -> Generator[tuple[int, bool], None, None]:
    """(index of its track, whether it can be decoded) of each packet, but for tracks that are settled meanwhile."""
    with open_media(media.reopened()) as container, contextlib.suppress(av.FFmpegError, IndexError):
        for packet in container.demux(*(audio_stream(container, index) for index in indexes)):
            if packet.stream.index not in settled:
                yield packet.stream.index, _is_decodable(packet)


def _is_decodable(packet: Packet[Stream]) -> bool:
    try:
        return bool(packet.decode())
    except av.FFmpegError:
        return False
