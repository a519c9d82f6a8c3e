"""Transcript → the JSON of Deepgram's `POST /v1/listen`.

Bodies are encoded word by word, as in formats/json.py segment by segment.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from asr_api.formats.json import Json, encode_array, encode_json, seconds
from asr_api.formats.phrases import Phrase, confidence, paragraphs, phrase_text, timed_words, utterances
from asr_api.transcript import Transcript, Word

CHANNEL = 0  # channels are mixed


@dataclass(frozen=True, slots=True)
class DeepgramParts:
    """What a reply contains beside the text and its words.

    has_languages:      those of a recording in several languages
    utterance_pause_ms: which ends an utterance
    """

    has_utterances: bool = False
    has_paragraphs: bool = False
    has_detected_language: bool = False
    has_languages: bool = False
    utterance_pause_ms: int = 800


@dataclass(frozen=True, slots=True)
class DeepgramMetadata:
    """request_id: a UUID; sha256: of the audio, in hexadecimal; created: ISO 8601; tags, extra: what the client sent"""

    request_id: str
    sha256: str
    created: str
    model_id: str
    model_version: str
    arch: str
    tags: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()


def deepgram_json(transcript: Transcript, parts: DeepgramParts, metadata: DeepgramMetadata) -> str:
    """`{"metadata", "results": {"channels": [{"alternatives": [{"transcript", "confidence", "words"}]}]}}`.

    A model without word timestamps gives no words; its utterances and paragraphs are made of segments.
    """
    has_words = any(segment.words for segment in transcript.segments)
    words = timed_words(transcript.segments)
    language = transcript.language if parts.has_detected_language else None
    results = f'"channels": [{_channel(transcript, parts, words, language)}]'
    if parts.has_utterances:
        phrases = enumerate(utterances(words, parts.utterance_pause_ms))
        found = (_utterance(phrase, _part_id(metadata, index), has_words=has_words) for index, phrase in phrases)
        results += f', "utterances": {encode_array(found)}'
    return f'{{"metadata": {encode_json(_metadata(transcript, metadata))}, "results": {{{results}}}}}'


def _channel(transcript: Transcript, parts: DeepgramParts, words: Phrase, language: str | None) -> str:
    timed = [word for segment in transcript.segments for word in segment.words if not word.text.isspace()]
    members = [
        f'"transcript": {encode_json(transcript.text.strip())}',
        f'"confidence": {encode_json(confidence(words))}',
        f'"words": {encode_array(map(_word, timed))}',
    ]
    if parts.has_paragraphs:
        members.append(f'"paragraphs": {_paragraphs(words)}')
    if parts.has_languages and transcript.language is not None:
        members.append(f'"languages": {encode_json([transcript.language])}')
    end = f', "detected_language": {encode_json(language)}' if language is not None else ""
    return f'{{"alternatives": [{{{", ".join(members)}}}]{end}}}'


def _metadata(transcript: Transcript, metadata: DeepgramMetadata) -> Json:
    model_uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, metadata.model_id))
    model = {"name": metadata.model_id, "version": metadata.model_version, "arch": metadata.arch}
    body: Json = {
        "transaction_key": "deprecated",  # what Deepgram sends; strict clients need it
        "request_id": metadata.request_id,
        "sha256": metadata.sha256,
        "created": metadata.created,
        "duration": seconds(transcript.audio_ms),
        "channels": 1,
        "models": [model_uuid],
        "model_info": {model_uuid: model},
    }
    if metadata.tags:
        body["tags"] = list(metadata.tags)
    if metadata.extra:
        body["extra"] = dict(metadata.extra)
    return body


def _part_id(metadata: DeepgramMetadata, index: int) -> str:
    return str(uuid.uuid5(uuid.UUID(metadata.request_id), str(index)))


def _word(word: Word) -> Json:
    text = word.text.strip()
    body: Json = {"word": bare_word(text), "start": seconds(word.start_ms), "end": seconds(word.end_ms)}
    return body | {"confidence": round(word.probability, 4), "punctuated_word": text}


def bare_word(text: str) -> str:
    """In lower case, without punctuation around it; the text itself if it is nothing else."""
    inner = [index for index, character in enumerate(text) if not _is_punctuation(character)]
    return text[inner[0] : inner[-1] + 1].lower() if inner else text


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P") and character not in "%&#@"


def _utterance(words: Phrase, utterance_id: str, *, has_words: bool) -> Json:
    return {
        **_span(words),
        "confidence": confidence(words),
        "channel": CHANNEL,
        "transcript": phrase_text(words),
        "words": [_word(word) for word in words] if has_words else [],
        "id": utterance_id,
    }


def _paragraphs(words: Phrase) -> str:
    found = list(paragraphs(words))
    text = "".join(f"\n{_joined(sentences)}\n" for sentences in found).rstrip("\n")
    return f'{{"transcript": {encode_json(text)}, "paragraphs": {encode_array(map(_paragraph, found))}}}'


def _paragraph(sentences: list[Phrase]) -> Json:
    words = [word for sentence in sentences for word in sentence]
    timed = [{"text": phrase_text(sentence), **_span(sentence)} for sentence in sentences]
    return {"sentences": timed, "num_words": _num_words(words), **_span(words)}


def _joined(sentences: Iterable[Phrase]) -> str:
    return phrase_text(word for sentence in sentences for word in sentence)


def _num_words(words: Phrase) -> int:
    """A segment without word timestamps counts as many as blanks divide it into."""
    return sum(len(word.text.split()) for word in words)


def _span(words: Phrase) -> Json:
    return {"start": seconds(words[0].start_ms), "end": seconds(words[-1].end_ms)}
