"""Transcript → the bodies of whisper.cpp's server: `json`, `text`, `srt`, `vtt` and `verbose_json`.

Texts are as the model wrote them: each segment begins with its blank and ends with a line end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from asr_api.formats.cues import Cue, cues
from asr_api.formats.json import Json, encode_array, encode_json, quality_json, seconds
from asr_api.formats.subtitles import srt_of, vtt_of
from asr_api.options import SubtitleOptions, Task
from asr_api.text.languages import LANGUAGES
from asr_api.transcript import Quality, Segment, Transcript

NO_DTW = -1  # `t_dtw` of a server without --dtw
# For models that do not give them.
UNKNOWN: Json = {"temperature": 0.0, "avg_logprob": 0.0, "no_speech_prob": 0.0}


@dataclass(frozen=True, slots=True)
class WhisperCppParts:
    """has_times: of segments and words; subtitles: None makes one cue of each segment; first_number: of SRT"""

    has_times: bool = True
    subtitles: SubtitleOptions | None = None
    first_number: int = 1


def whisper_cpp_text(transcript: Transcript) -> str:
    return "".join(f"{segment.text}\n" for segment in transcript.segments)


def whisper_cpp_json(transcript: Transcript) -> str:
    return f'{{"text":{encode_json(whisper_cpp_text(transcript))}}}'


def whisper_cpp_srt(transcript: Transcript, parts: WhisperCppParts) -> str:
    return srt_of(_cues(transcript, parts), parts.first_number)


def whisper_cpp_vtt(transcript: Transcript, parts: WhisperCppParts) -> str:
    return vtt_of(_cues(transcript, parts))


def whisper_cpp_verbose_json(transcript: Transcript, task: Task, parts: WhisperCppParts) -> str:
    """`{"task", "language", "duration", "text", "segments"}`; language: the spoken one, in English, empty if unknown.

    Segments have words with times, or tokens without them, where the model gives these.
    """
    head: Json = {
        "task": task,
        "language": LANGUAGES.get(transcript.language or "", ""),
        "duration": seconds(transcript.audio_ms),
        "text": whisper_cpp_text(transcript),
    }
    members = [f"{encode_json(key)}: {encode_json(value)}" for key, value in head.items()]
    segments = (_segment(index, segment, parts) for index, segment in enumerate(transcript.segments))
    members.append(f'"segments": {encode_array(segments)}')
    return "{" + ", ".join(members) + "}"


def _cues(transcript: Transcript, parts: WhisperCppParts) -> list[Cue]:
    if parts.subtitles is not None:
        return cues(transcript, parts.subtitles)
    segments = ((segment, segment.text.replace("\n", " ")) for segment in transcript.segments)
    return [Cue(segment.start_ms, segment.end_ms, (text,)) for segment, text in segments if text.strip()]


def _segment(index: int, segment: Segment, parts: WhisperCppParts) -> Json:
    body: Json = {"id": index, "text": segment.text}
    if parts.has_times:
        body |= {"start": seconds(segment.start_ms), "end": seconds(segment.end_ms)}
    if segment.tokens:
        body["tokens"] = list(segment.tokens)
    if words := list(_words(segment, parts)):
        body["words"] = words
    quality = quality_json(segment.quality or Quality())
    return body | {name: quality.get(name, unknown) for name, unknown in UNKNOWN.items()}


def _words(segment: Segment, parts: WhisperCppParts) -> Iterator[Json]:
    if not segment.words:
        yield from _tokens(segment)
    for word in segment.words:
        times: Json = {"start": seconds(word.start_ms), "end": seconds(word.end_ms), "t_dtw": NO_DTW}
        yield {"word": word.text, **(times if parts.has_times else {}), "probability": round(word.probability, 4)}


def _tokens(segment: Segment) -> Iterator[Json]:
    """Those that share a character are one; its probability is that of the first."""
    content, probability = b"", 0.0
    for part, logprob in zip(segment.token_bytes, segment.logprobs, strict=bool(segment.token_bytes)):
        probability = probability if content else math.exp(logprob)
        content += part
        if _is_whole(content):
            yield {"word": content.decode(), "probability": round(probability, 4)}
            content = b""
    if content:
        yield {"word": content.decode(errors="replace"), "probability": round(probability, 4)}


def _is_whole(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
