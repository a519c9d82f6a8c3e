"""Query parameters of Deepgram's `POST /v1/listen` → `DeepgramRequest`.

A value must be of its parameter's type. What would change the reply and is not done here is refused under its name;
names that Deepgram does not know are ignored, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from asr_api.engines.protocol import EngineInfo
from asr_api.errors import InvalidParameter
from asr_api.formats.deepgram import DeepgramParts
from asr_api.model_options import check_parameters
from asr_api.options import TranscribeOptions
from asr_api.parameters import FALSE, MAX_TEXT_CHARS, TRUE, RawParameter, boolean
from asr_api.server.dialects.fields import T, field_text, field_texts, invalid_field, number_from
from asr_api.server.raw_audio import RawEncoding, RawFormat
from asr_api.text.languages import language_code

MULTILINGUAL = "multi"
MAX_SAMPLE_RATE_HZ, MAX_CHANNELS = 384_000, 16
MIN_PAUSE_S, MAX_PAUSE_S = 0.001, 3600
MAX_ECHO_CHARS = 2048  # of a tag or a pair of `extra`, as at Deepgram
NO_SPEAKERS = "speakers are not told apart here"
NO_ANALYSIS = "texts are not analysed here"
NO_REWRITING = "the text stays as the model writes it"
UNAVAILABLE = {
    "callback": "the reply comes on this connection only",
    "diarize": NO_SPEAKERS,
    "diarize_model": NO_SPEAKERS,
    "multichannel": "channels are mixed into one",
    **dict.fromkeys(
        ("custom_intent", "custom_topic", "detect_entities", "intents", "sentiment", "topics"), NO_ANALYSIS
    ),
    **dict.fromkeys(("summarize", "search"), NO_ANALYSIS),
    **dict.fromkeys(("redact", "replace", "profanity_filter", "dictation", "measurements", "numerals"), NO_REWRITING),
    "filler_words": "the model decides which of them it writes",
}
# Whisper always punctuates and formats its text, and nothing that is sent here is used for anything else.
WITHOUT_EFFECT = ("punctuate", "mip_opt_out")
ENCODINGS = (*get_args(RawEncoding), "flac")  # FLAC has its own header


@dataclass(frozen=True, slots=True)
class DeepgramRequest:
    """raw: None for files; tags, extra: to be repeated in the reply"""

    transcribe: TranscribeOptions
    parts: DeepgramParts
    raw: RawFormat | None = None
    tags: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()

    def transcribe_options(self, info: EngineInfo) -> TranscribeOptions:
        """Raises InvalidParameter for what the model cannot do."""
        check_parameters(self.transcribe, info)
        return replace(self.transcribe, decode=replace(self.transcribe.decode, words=info.has_word_timestamps))


def read_deepgram_request(raw: Sequence[RawParameter], defaults: TranscribeOptions) -> DeepgramRequest:
    """Raises InvalidParameter, which names the parameter."""
    query = _Query(raw)
    for name, reason in UNAVAILABLE.items():
        if value := next((text for text in query.texts(name) if text.lower() not in FALSE), None):
            sentence = f"{name} is {value[:40]!r}, and {reason}; leave {name} out."
            raise InvalidParameter(sentence, parameter=name)
    for name in WITHOUT_EFFECT:
        query.flag(name)
    query.number("alternatives", int, (1, 1), "1, because there is one text", 1)
    return DeepgramRequest(
        transcribe=_options(query, defaults),
        parts=_parts(query),
        raw=_raw_format(query),
        tags=tuple(query.short_texts("tag")),
        extra=tuple(map(_pair, query.short_texts("extra"))),
    )


class _Query:
    def __init__(self, raw: Sequence[RawParameter]) -> None:
        self._raw = raw

    def texts(self, name: str) -> list[str]:
        return field_texts(self._raw, name)

    def text(self, name: str) -> str:
        return field_text(self._raw, name)

    def short_texts(self, name: str) -> list[str]:
        values = self.texts(name)
        if any(len(value) > MAX_ECHO_CHARS for value in values):
            sentence = f"{name} has more than {MAX_ECHO_CHARS:,} characters; shorten it."
            raise InvalidParameter(sentence, parameter=name)
        return values

    def flag(self, name: str) -> bool:
        text = self.text(name)
        try:
            return bool(text) and boolean(text)
        except ValueError:
            raise invalid_field(name, text, "true or false") from None

    def number(self, name: str, kind: Callable[[str], T], limits: tuple[T, T], allowed: str, default: T) -> T:
        text = self.text(name)
        return number_from(name, text, kind, limits, allowed) if text else default


def _options(query: _Query, defaults: TranscribeOptions) -> TranscribeOptions:
    decode = replace(defaults.decode, hotwords=_hotwords(query))
    detected = [text for text in query.texts("detect_language") if text.lower() not in FALSE]
    language = query.text("language")
    if detected and language:
        sentence = "detect_language and language exclude each other; give only one."
        raise InvalidParameter(sentence, parameter="detect_language")
    candidates = [_code(text, "detect_language") for text in detected if text.lower() not in TRUE]
    candidates += [_code(text, "language_hint") for text in query.texts("language_hint")]
    if language and language != MULTILINGUAL:
        decode = replace(decode, language=_code(language, "language"))
    elif len(candidates) == 1:
        decode = replace(decode, language=candidates[0])
    elif language or detected or candidates:
        decode = replace(decode, language=None, languages=tuple(dict.fromkeys(candidates)))
    return replace(defaults, decode=decode)


def _code(text: str, name: str) -> str:
    try:
        return language_code(text, name)
    except InvalidParameter as error:
        raise InvalidParameter(str(error), parameter=name) from None


def _hotwords(query: _Query) -> str:
    terms = [*query.texts("keyterm"), *map(_keyword, query.texts("keywords"))]
    hotwords = ", ".join(terms)
    if len(hotwords) > MAX_TEXT_CHARS:
        sentence = f"All keyterm and keywords together have more than {MAX_TEXT_CHARS:,} characters; give fewer."
        raise InvalidParameter(sentence, parameter="keyterm" if query.texts("keyterm") else "keywords")
    return hotwords


def _keyword(text: str) -> str:
    """`word:boost`, of which the boost only says whether the word is wanted."""
    word, mark, boost = text.rpartition(":")
    try:
        strength = float(boost) if mark else 1.0
    except ValueError:
        return text
    if strength <= 0:
        sentence = f"keywords has {text[:40]!r}, and words are not suppressed here; give words that are to be expected."
        raise InvalidParameter(sentence, parameter="keywords")
    return word if mark else text


def _parts(query: _Query) -> DeepgramParts:
    pause_s = query.number("utt_split", float, (MIN_PAUSE_S, MAX_PAUSE_S), "seconds, more than 0", 0.8)
    has_formatting = query.flag("smart_format")
    return DeepgramParts(
        has_utterances=query.flag("utterances"),
        has_paragraphs=query.flag("paragraphs") or has_formatting,
        has_detected_language=any(text.lower() not in FALSE for text in query.texts("detect_language")),
        has_languages=query.text("language") == MULTILINGUAL,
        utterance_pause_ms=round(pause_s * 1000),
    )


def _raw_format(query: _Query) -> RawFormat | None:
    encoding = query.text("encoding")
    rates_hz = (1000, MAX_SAMPLE_RATE_HZ)
    rate_hz = query.number("sample_rate", int, rates_hz, f"whole, from 1000 to {MAX_SAMPLE_RATE_HZ}", 0)
    num_channels = query.number("channels", int, (1, MAX_CHANNELS), f"whole, from 1 to {MAX_CHANNELS}", 1)
    if encoding not in {"", *ENCODINGS}:
        known = ", ".join(ENCODINGS)
        sentence = f"encoding is {encoding[:40]!r}; raw audio may be {known}. Leave encoding out for a file."
        raise InvalidParameter(sentence, parameter="encoding")
    raw = next((name for name in get_args(RawEncoding) if name == encoding), None)
    if raw is None:
        return None
    if not rate_hz:
        sentence = f"encoding is {encoding!r}, and sample_rate is missing; give it in samples a second."
        raise InvalidParameter(sentence, parameter="sample_rate")
    return RawFormat(raw, rate_hz, num_channels)


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition(":")
    if not mark:
        raise InvalidParameter(f"extra is {text[:40]!r}; it must be NAME:VALUE.", parameter="extra")
    return name, value
