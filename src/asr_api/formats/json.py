"""Transcript → JSON: the body of `POST /asr`, as the original asr-api wrote it, and a fuller one for the command line.

Seconds have millisecond precision and are never null. Values that are absent (words, doubts, omitted text) have no key.
Bodies are encoded segment by segment: one call of the encoder for hours of words would hold Python's lock for a tenth
of a second, and with it the event loop.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from asr_api.transcript import Quality, Segment, Transcript, Word

Json = dict[str, object]
encode_json = json.JSONEncoder(ensure_ascii=False).encode


def asr_json(transcript: Transcript) -> str:
    """`{"text", "chunks": [{"timestamp": [start_s, end_s], "text"}]}`; texts keep their leading spaces.

    A chunk has "words", written as chunks are and with their "probability", if they were asked for, and "doubts" if its
    text may be wrong.
    "omitted" beside "chunks" is text that the model wrote for audio without speech: chunks with "reasons".
    """
    parts = [f'"text": {encode_json(transcript.text)}', f'"chunks": {encode_array(map(_chunk, transcript.segments))}']
    if transcript.omitted:
        parts.append(f'"omitted": {encode_array(map(_omitted, transcript.omitted))}')
    return "{" + ", ".join(parts) + "}"


def asr_chunk_json(segment: Segment) -> str:
    return encode_json(_chunk(segment))


def asr_omitted_json(segment: Segment) -> str:
    return encode_json(_omitted(segment))


def partial_json(segments: Sequence[Segment]) -> Json:
    """Of a transcript that broke off, in the shape of `asr_json`."""
    return {"text": "".join(segment.text for segment in segments), "chunks": [*map(_chunk, segments)]}


def detailed_json(transcript: Transcript) -> str:
    """One line: `{"text", "language", "duration", "segments": [{"start", "end", "text"}]}`.

    A segment has "words" (`{"word", "start", "end", "probability"}`) if they were asked for; under OpenAI's names
    "temperature", "avg_logprob", "compression_ratio" and "no_speech_prob" if the model gives them; and "doubts" if its
    text may be wrong. "omitted" (`{"start", "end", "text", "reasons"}`) is text that the model wrote for audio without
    speech; "truncated" means that the recording broke off, "damaged" that parts of it could not be decoded.
    """
    parts = [
        f'"text": {encode_json(transcript.text.strip())}',
        f'"language": {encode_json(transcript.language)}',
        f'"duration": {encode_json(seconds(transcript.audio_ms))}',
        f'"segments": {encode_array(map(_segment, transcript.segments))}',
    ]
    if transcript.omitted:
        omitted = (_span(segment) | {"reasons": _doubts(segment)} for segment in transcript.omitted)
        parts.append(f'"omitted": {encode_array(omitted)}')
    if transcript.end.is_truncated:
        parts.append('"truncated": true')
    if transcript.end.is_damaged:
        parts.append('"damaged": true')
    return "{" + ", ".join(parts) + "}\n"


def encode_array(items: Iterable[Json]) -> str:
    return "[" + ", ".join(map(encode_json, items)) + "]"


def seconds(time_ms: int) -> float:
    """The float that prints with at most three decimals; exact, because it is the one nearest to time_ms / 1000."""
    return time_ms / 1000


def _chunk(segment: Segment) -> Json:
    chunk = _timed(segment)
    if segment.words:
        chunk["words"] = [_timed(word) | {"probability": round(word.probability, 3)} for word in segment.words]
    if doubts := _doubts(segment):
        chunk["doubts"] = doubts
    return chunk


def _omitted(segment: Segment) -> Json:
    return _timed(segment) | {"reasons": _doubts(segment)}


def _timed(text: Segment | Word) -> Json:
    return {"timestamp": [seconds(text.start_ms), seconds(text.end_ms)], "text": text.text}


def _segment(segment: Segment) -> Json:
    body = _span(segment)
    if segment.words:
        body["words"] = [_word(word) for word in segment.words]
    if segment.quality:
        body |= quality_json(segment.quality)
    if doubts := _doubts(segment):
        body["doubts"] = doubts
    return body


def _span(segment: Segment) -> Json:
    return {"start": seconds(segment.start_ms), "end": seconds(segment.end_ms), "text": segment.text.strip()}


def _word(word: Word) -> Json:
    return {
        "word": word.text.strip(),
        "start": seconds(word.start_ms),
        "end": seconds(word.end_ms),
        "probability": round(word.probability, 3),
    }


def quality_json(quality: Quality) -> Json:
    """The figures that the model gives."""
    figures = {
        "temperature": (quality.temperature, 2),
        "avg_logprob": (quality.mean_logprob, 4),
        "compression_ratio": (quality.compression_ratio, 3),
        "no_speech_prob": (quality.no_speech_probability, 4),
    }
    return {name: round(value, digits) for name, (value, digits) in figures.items() if value is not None}


def _doubts(segment: Segment) -> list[str]:
    return list(segment.quality.doubts) if segment.quality else []
