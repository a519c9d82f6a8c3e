"""Refusals: why a worker does not decode a file, as errors of the request."""

from __future__ import annotations

from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.errors import (
    AsrError,
    AudioTooLong,
    AudioTooShort,
    DecodeAgain,
    EmptyAudio,
    InvalidAudio,
    NoAudioStream,
    UnsupportedFormat,
)

ERRORS = {
    kind.code: kind for kind in (AudioTooLong, AudioTooShort, DecodeAgain, EmptyAudio, NoAudioStream, UnsupportedFormat)
}
MESSAGES = {
    AudioTooLong.code: "The audio is longer than {limits.max_audio_s:g} s (MAX_AUDIO_S); split it.",
    AudioTooShort.code: "The audio lasts {value:.3f} s; send at least {limits.min_audio_s:g} s.",
    DecodeAgain.code: "The end of the file changes how its beginning is decoded; decode the complete file.",
    EmptyAudio.code: "The file contains no audio; record it again.",
    NoAudioStream.code: "The file has no audio track; send a file with one.",
    UnsupportedFormat.code: "The format of the file is not supported; send WAV, FLAC, MP3, M4A, Ogg, WebM or similar.",
    "damaged": "The audio is damaged, incomplete or encrypted; send the whole file or re-encode it.",
    "codec": "The codec of the audio is not supported; re-encode it as FLAC.",
    "memory": "Decoding the audio takes more memory than {limits.max_memory_mib:,} MiB, the limit; re-encode it.",
    "rate": "The sample rate is {value:g} Hz; resample the audio to {limits.min_rate_hz} to {limits.max_rate_hz} Hz.",
    "channels": "The audio has {value:g} channels; mix it down to 1 to {limits.max_channels} channels.",
}


def refusal(reason: str, limits: DecodeLimits, value: float = 0) -> AsrError:
    """The error for a reason of MESSAGES: a code of ERRORS, or a kind of InvalidAudio."""
    return ERRORS.get(reason, InvalidAudio)(MESSAGES[reason].format(limits=limits, value=value))
