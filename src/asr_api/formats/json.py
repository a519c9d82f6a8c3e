"""Transcript → JSON: the body of `POST /asr`, as the original asr-api wrote it, and a fuller one for the CLI.

Seconds are numbers with millisecond precision, and no time is ever null. What is not there (words, doubts, omitted
text) has no key either. Knows nothing about HTTP.
"""

from __future__ import annotations

import json

from asr_api.transcript import Quality, Segment, Transcript, Word

Json = dict[str, object]


def asr_json(transcript: Transcript) -> str:
    """`{"text", "chunks": [{"timestamp": [start_s, end_s], "text"}]}`; texts keep their leading spaces.

    A chunk has "words", written as chunks are, where they were asked for, and "doubts" where its text may be wrong.
    "omitted" beside "chunks" is what the model wrote where nobody spoke: chunks with "reasons".
    """
    body: Json = {"text": transcript.text, "chunks": [_chunk(segment) for segment in transcript.segments]}
    if transcript.omitted:
        body["omitted"] = [_timed(segment) | {"reasons": _doubts(segment)} for segment in transcript.omitted]
    return json.dumps(body, ensure_ascii=False)


def detailed_json(transcript: Transcript) -> str:
    """One line: `{"text", "language", "duration", "segments": [{"start", "end", "text"}]}`.

    A segment has "words" (`{"word", "start", "end", "probability"}`) where they were asked for; under OpenAI's names
    "temperature", "avg_logprob", "compression_ratio" and "no_speech_prob" where the model can tell; and "doubts" where
    its text may be wrong. "omitted" (`{"start", "end", "text", "reasons"}`) is what the model wrote where nobody spoke;
    "truncated" says that the source broke off, "damaged" that parts of it could not be decoded.
    """
    body: Json = {
        "text": transcript.text.strip(),
        "language": transcript.language,
        "duration": seconds(transcript.audio_ms),
        "segments": [_segment(segment) for segment in transcript.segments],
    }
    if transcript.omitted:
        body["omitted"] = [_span(segment) | {"reasons": _doubts(segment)} for segment in transcript.omitted]
    if transcript.is_truncated:
        body["truncated"] = True
    if transcript.is_damaged:
        body["damaged"] = True
    return json.dumps(body, ensure_ascii=False) + "\n"


def seconds(time_ms: int) -> float:
    """The float that prints with at most three decimals; exact, because it is the one nearest to time_ms / 1000."""
    return time_ms / 1000


def _chunk(segment: Segment) -> Json:
    chunk = _timed(segment)
    if segment.words:
        chunk["words"] = [_timed(word) for word in segment.words]
    if doubts := _doubts(segment):
        chunk["doubts"] = doubts
    return chunk


def _timed(text: Segment | Word) -> Json:
    return {"timestamp": [seconds(text.start_ms), seconds(text.end_ms)], "text": text.text}


def _segment(segment: Segment) -> Json:
    body = _span(segment)
    if segment.words:
        body["words"] = [_word(word) for word in segment.words]
    if segment.quality:
        body |= _quality(segment.quality)
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


def _quality(quality: Quality) -> Json:
    return {
        "temperature": round(quality.temperature, 2),
        "avg_logprob": round(quality.mean_logprob, 4),
        "compression_ratio": round(quality.compression_ratio, 3),
        "no_speech_prob": round(quality.no_speech_probability, 4),
    }


def _doubts(segment: Segment) -> list[str]:
    return list(segment.quality.doubts) if segment.quality else []
