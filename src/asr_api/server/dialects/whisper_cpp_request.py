"""Form fields of whisper.cpp's `POST /inference` → `WhisperCppRequest`. Unknown fields are ignored, as there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from asr_api.engines.protocol import EngineInfo
from asr_api.errors import InvalidParameter
from asr_api.formats.whisper_cpp import WhisperCppParts
from asr_api.model_options import check_parameters
from asr_api.options import DecodeOptions, SubtitleOptions, Task, TranscribeOptions, VadOptions
from asr_api.parameters import MAX_TEXT_CHARS, TIMEOUT, TIMEOUT_ALLOWED, RawParameter, timeout_s
from asr_api.server.dialects.fields import invalid_field
from asr_api.server.dialects.whisper_cpp_fields import WhisperCppFields
from asr_api.text.languages import language_or_auto

WhisperCppFormat = Literal["json", "text", "srt", "vtt", "verbose_json"]

FILE_FIELDS = ("file",)
FORMATS: tuple[WhisperCppFormat, ...] = get_args(WhisperCppFormat)
CUE_FORMATS = ("srt", "vtt")
MAX_LEN = 1000
LEN_OF_SPLIT_SEGMENTS = 60  # where max_len is not given
MIN_TEMPERATURE_STEP = 0.05
MAX_NUMBER = 1_000_000


@dataclass(frozen=True, slots=True)
class WhisperCppRequest:
    """needs_words: None asks for word times where the model has them"""

    transcribe: TranscribeOptions
    format: WhisperCppFormat
    parts: WhisperCppParts
    needs_words: bool | None
    timeout_s: float = math.inf

    @property
    def task(self) -> Task:
        return self.transcribe.decode.task

    def transcribe_options(self, info: EngineInfo) -> TranscribeOptions:
        """Raises InvalidParameter for what the model cannot do."""
        check_parameters(self.transcribe, info)
        if self.needs_words and not info.has_word_timestamps:
            sentence = f"token_timestamps is true, and the model {info.model_id} gives no word timestamps"
            raise InvalidParameter(f"{sentence}; leave it out.", parameter="token_timestamps")
        is_verbose, is_split = self.format == "verbose_json", self.parts.subtitles is not None
        has_words = (is_verbose or is_split) and self.needs_words is not False and info.has_word_timestamps
        has_tokens = is_verbose and not has_words and info.has_logprobs
        decode = replace(self.transcribe.decode, words=has_words, token_texts=has_tokens)
        return replace(self.transcribe, decode=decode)


def read_whisper_cpp_request(raw: Sequence[RawParameter], defaults: TranscribeOptions) -> WhisperCppRequest:
    """Raises InvalidParameter, which names the field."""
    fields = WhisperCppFields(raw)
    has_times = not fields.flag("no_timestamps")
    decode = _decode_options(fields, replace(defaults.decode, timestamps=has_times))
    vad = _vad_options(fields, defaults.vad)
    fields.check_fixed(has_vad=vad is not None)
    output = _format(fields)
    parts = WhisperCppParts(
        has_times=has_times,
        subtitles=_subtitles(fields, output) if has_times else None,
        first_number=1 + fields.number("offset_n", int, (-1, MAX_NUMBER), 0),
    )
    needs_words = fields.flag("token_timestamps") if has_times else False
    transcribe = replace(defaults, decode=decode, vad=vad)
    return WhisperCppRequest(transcribe, output, parts, needs_words, _timeout_s(fields))


def _format(fields: WhisperCppFields) -> WhisperCppFormat:
    text = fields.text("response_format") or "json"
    for name in FORMATS:
        if name == text:
            return name
    raise invalid_field("response_format", text, f"one of {', '.join(FORMATS)}")


def _decode_options(fields: WhisperCppFields, decode: DecodeOptions) -> DecodeOptions:
    prompt = fields.text("prompt") or ""
    if len(prompt) > MAX_TEXT_CHARS:
        raise invalid_field("prompt", prompt, f"at most {MAX_TEXT_CHARS:,} characters long")
    return replace(
        decode,
        task="translate" if fields.flag("translate") else "transcribe",
        language=_language(fields, decode.language),
        prompt=prompt,
        temperatures=_temperatures(fields),
    )


def _timeout_s(fields: WhisperCppFields) -> float:
    text = fields.text(TIMEOUT)
    try:
        return timeout_s(text) if text else math.inf
    except ValueError:
        raise invalid_field(TIMEOUT, text or "", TIMEOUT_ALLOWED) from None


def _language(fields: WhisperCppFields, default: str | None) -> str | None:
    """An empty one asks for detection, as `auto` does."""
    text = fields.text("language")
    if text is None:
        return default
    try:
        return language_or_auto(text) if text.strip() else None
    except InvalidParameter as error:
        raise InvalidParameter(str(error), parameter="language") from None


def _temperatures(fields: WhisperCppFields) -> tuple[float, ...]:
    """The first, and higher ones by steps up to 1; a step of 0 stands for no fallback."""
    first = fields.number("temperature", float, (0.0, 1.0), 0.0)
    step = fields.number("temperature_inc", float, (0.0, 1.0), 0.2)
    if step == 0:
        return (first,)
    if step < MIN_TEMPERATURE_STEP:
        raise invalid_field("temperature_inc", f"{step:g}", f"0, or from {MIN_TEMPERATURE_STEP:g} to 1")
    num_steps = int((1 - first) / step + 1e-6)
    return tuple(round(first + number * step, 6) for number in range(num_steps + 1))


def _vad_options(fields: WhisperCppFields, default: VadOptions | None) -> VadOptions | None:
    is_asked = fields.flag("vad")
    if is_asked is False or (is_asked is None and default is None):
        return None
    usual = default or VadOptions()
    return VadOptions(
        threshold=fields.number("vad_threshold", float, (0.0, 1.0), usual.threshold),
        prefix_padding_ms=fields.number("vad_speech_pad_ms", int, (0, 10_000), usual.prefix_padding_ms),
        silence_duration_ms=fields.number("vad_min_silence_duration_ms", int, (0, 60_000), usual.silence_duration_ms),
    )


def _subtitles(fields: WhisperCppFields, output: WhisperCppFormat) -> SubtitleOptions | None:
    """None for one cue of each segment, as in a server that does not divide segments."""
    max_len = fields.number("max_len", int, (0, MAX_LEN), 0)
    is_split = fields.flag("split_on_word")
    if output in CUE_FORMATS:
        is_divided = max_len or is_split or fields.flag("token_timestamps")
        return SubtitleOptions(max_len or LEN_OF_SPLIT_SEGMENTS, max_line_count=1) if is_divided else None
    if max_len or is_split:
        name = "max_len" if max_len else "split_on_word"
        sentence = (
            f"{name} is given, and response_format is {output!r}, in which segments stay as the model divides them"
        )
        raise InvalidParameter(f"{sentence}; ask for srt or vtt, or for verbose_json with its words.", parameter=name)
    return None
