"""Transcript → text by lines and JSON, as Whisper's own programs write them: whisper and faster-whisper."""

from __future__ import annotations

from asr_api.formats.json import Json, encode_array, encode_json, seconds
from asr_api.formats.openai_json import segment_json
from asr_api.transcript import Segment, Transcript


def text_lines(transcript: Transcript) -> str:
    """One line for each segment; empty for silence."""
    return "".join(f"{' '.join(segment.text.split())}\n" for segment in transcript.segments)


def whisper_json(transcript: Transcript, *, has_words: bool) -> str:
    """`{"language", "segments", "text"}` on one line, with a code as the language; texts keep their leading spaces.

    A segment has the ten fields of OpenAI's `verbose_json`, and "words", which is null unless they were asked for. The
    first `id` is 0, as everywhere in this server and in whisper; faster-whisper counts from 1.
    """
    segments = (
        segment_json(index, segment) | {"words": _words(segment) if has_words else None}
        for index, segment in enumerate(transcript.segments)
    )
    parts = [
        f'"language": {encode_json(transcript.language)}',
        f'"segments": {encode_array(segments)}',
        f'"text": {encode_json(transcript.text)}',
    ]
    return "{" + ", ".join(parts) + "}"


def _words(segment: Segment) -> list[Json]:
    return [
        {
            "start": seconds(word.start_ms),
            "end": seconds(word.end_ms),
            "word": word.text,
            "probability": round(word.probability, 3),
        }
        for word in segment.words
    ]
