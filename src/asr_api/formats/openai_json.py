"""Transcript → the JSON of OpenAI's audio API: `json` and `verbose_json`; and the usage that its replies state.

Bodies are encoded segment by segment, as in formats/json.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asr_api.formats.json import Json, encode_array, encode_json, quality_json, seconds
from asr_api.options import Task
from asr_api.text.languages import LANGUAGES
from asr_api.transcript import Quality, Segment, Transcript

HOP_MS = 10  # of `seek`: frames of the log-mel spectrogram
# The figures of a decoder that does not give them: clients need numbers.
UNKNOWN_QUALITY: Json = {"temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0}
POSITION_MS = 20  # of encoder outputs, which are the audio tokens of a usage


@dataclass(frozen=True, slots=True)
class VerboseParts:
    """What `verbose_json` contains beside the text: OpenAI's `timestamp_granularities`."""

    has_segments: bool = True
    has_words: bool = False


def transcription_json(transcript: Transcript, *, has_logprobs: bool = False) -> str:
    """`{"text", "languages": [{"code"}], "usage"}`, and "logprobs" of all text tokens if they are asked for."""
    parts = [f'"text": {encode_json(transcript.text.strip())}']
    if has_logprobs:
        parts.append(f'"logprobs": {encode_array(logprobs_of(transcript.segments))}')
    parts.append(f'"languages": {encode_json(languages_of(transcript.language))}')
    parts.append(f'"usage": {encode_json(duration_usage(transcript))}')
    return "{" + ", ".join(parts) + "}"


def translation_json(transcript: Transcript) -> str:
    return encode_json({"text": transcript.text.strip()})


def verbose_json(transcript: Transcript, task: Task, parts: VerboseParts) -> str:
    """`{"task", "language", "language_code", "duration", "text", "segments", "words", "usage"}`.

    language: in English, of the text; empty when the model has no languages. A translation is in English.
    """
    code = "en" if task == "translate" else transcript.language
    head: Json = {
        "task": task,
        "language": LANGUAGES.get(code or "", ""),
        "language_code": code,
        "duration": seconds(transcript.audio_ms),
        "text": transcript.text.strip(),
    }
    members = [f"{encode_json(key)}: {encode_json(value)}" for key, value in head.items()]
    if parts.has_segments:
        segments = (segment_json(index, segment) for index, segment in enumerate(transcript.segments))
        members.append(f'"segments": {encode_array(segments)}')
    if parts.has_words:
        words = (
            {"word": word.text.strip(), "start": seconds(word.start_ms), "end": seconds(word.end_ms)}
            for segment in transcript.segments
            for word in segment.words
        )
        members.append(f'"words": {encode_array(words)}')
    members.append(f'"usage": {encode_json(duration_usage(transcript))}')
    return "{" + ", ".join(members) + "}"


def logprobs_of(segments: Iterable[Segment]) -> Iterable[Json]:
    """Of each text token: its text, which is part of a character now and then, its UTF-8 bytes and log-probability."""
    for segment in segments:
        for content, logprob in zip(segment.token_bytes, segment.logprobs, strict=True):
            yield {"token": content.decode(errors="replace"), "bytes": list(content), "logprob": round(logprob, 4)}


def languages_of(code: str | None) -> list[Json]:
    return [] if code is None else [{"code": code}]


def duration_usage(transcript: Transcript) -> Json:
    return {"type": "duration", "seconds": seconds(transcript.audio_ms)}


def token_usage(audio_ms: int, num_tokens: int) -> Json:
    """Audio counts as one token for each output of the encoder, 50 a second."""
    audio_tokens = -(-audio_ms // POSITION_MS)
    return {
        "type": "tokens",
        "input_tokens": audio_tokens,
        "input_token_details": {"audio_tokens": audio_tokens},
        "output_tokens": num_tokens,
        "total_tokens": audio_tokens + num_tokens,
    }


def segment_json(index: int, segment: Segment) -> Json:
    """All ten fields; those of the decoder are 0 for models that do not give them."""
    boundaries = (segment.start_token, segment.end_token)
    return {
        "id": index,
        "seek": segment.seek_ms // HOP_MS,
        "start": seconds(segment.start_ms),
        "end": seconds(segment.end_ms),
        "text": segment.text,
        "tokens": [token for token in (boundaries[0], *segment.tokens, boundaries[1]) if token is not None],
        **UNKNOWN_QUALITY,
        **quality_json(segment.quality or Quality()),
    }
