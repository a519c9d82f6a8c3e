"""Options and a model: what the model cannot do is refused, and what the format of the reply needs is added."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from asr_api.errors import InvalidParameter
from asr_api.options import RequestOptions, TranscribeOptions

if TYPE_CHECKING:  # it imports numpy, which --help need not wait for
    from asr_api.engines.protocol import EngineInfo

CUE_FORMATS = frozenset({"srt", "vtt"})


def options_for(options: RequestOptions, info: EngineInfo) -> TranscribeOptions:
    """Cues are cut at words, so subtitles ask for word timestamps where the model has them.

    Raises InvalidParameter as `check_parameters` does.
    """
    check_parameters(options.transcribe, info)
    needs_words = options.output.format in CUE_FORMATS and info.has_word_timestamps
    decode = options.transcribe.decode
    return replace(options.transcribe, decode=replace(decode, words=decode.words or needs_words))


def check_parameters(options: TranscribeOptions, info: EngineInfo) -> None:
    """Raises InvalidParameter for what this model, or this installation, cannot do."""
    decode, model = options.decode, f"the model {info.model_id}"
    _check_languages(options, info)
    if decode.task == "translate" and not info.can_translate:
        sentence = f"task is 'translate', and {model} can only transcribe; serve a multilingual model, or transcribe."
        raise InvalidParameter(sentence, parameter="task")
    if not info.can_prompt:
        for name, text in (("prompt", decode.prompt), ("hotwords", decode.hotwords)):
            if text:
                raise InvalidParameter(f"{name} is given, and {model} takes none; leave {name} out.", parameter=name)
    if not info.can_sample and decode.temperatures[0] > 0:
        first = decode.temperatures[0]
        sentence = f"temperature is {first:g}, and {model} runs only at 0; leave temperature out."
        raise InvalidParameter(sentence, parameter="temperature")
    if decode.words and not info.has_word_timestamps:
        sentence = f"words is true, and {model} gives no word timestamps; leave words out."
        raise InvalidParameter(sentence, parameter="words")


def _check_languages(options: TranscribeOptions, info: EngineInfo) -> None:
    decode = options.decode
    named = [("language", decode.language), *(("languages", code) for code in decode.languages)]
    for name, code in named:
        if code is not None and info.languages and code not in info.languages:
            known = ", ".join(info.languages)
            sentence = f"{name} is {code!r}, which {info.model_id} does not support; it supports {known}."
            raise InvalidParameter(sentence, parameter=name)
    is_detected = decode.language is None and len(decode.languages) > 1
    if (
        is_detected
        and info.languages
        and not info.can_detect_language
        and info.default_language not in decode.languages
    ):
        raise InvalidParameter(
            f"languages is {','.join(decode.languages)!r}, and the model {info.model_id} cannot detect the language; "
            "name one of them as language.",
            parameter="languages",
        )
