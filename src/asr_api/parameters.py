"""Request parameters: each is declared once and becomes a query parameter, a JSON key and a flag of the command line.

`read_parameters` makes checked `TranscribeOptions` of texts as clients write them; `check_parameters` compares them
with what the model can do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from asr_api.errors import InvalidParameter
from asr_api.options import TEMPERATURES, Task, TranscribeOptions
from asr_api.text.languages import language_code, language_or_auto

if TYPE_CHECKING:  # it imports numpy, which --help need not wait for
    from asr_api.engines.protocol import EngineInfo

MAX_TEXT_CHARS = 4096  # many times what a model reads
TRUE, FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


@dataclass(frozen=True, slots=True)
class RawParameter:
    """One parameter as a client gave it; except for booleans, an empty text counts as not given."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """description: a few words, for --help as well; allowed: what the value must be, to end a sentence with"""

    name: str
    kind: Literal["string", "number", "boolean", "array"]
    description: str
    allowed: str
    apply: Callable[[TranscribeOptions, str], TranscribeOptions]  # raises ValueError for what is not allowed
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


def read_parameters(raw: Sequence[RawParameter], defaults: TranscribeOptions) -> TranscribeOptions:
    """Raises InvalidParameter, whose sentence names the parameter, the value and what is allowed."""
    options, seen = defaults, set[str]()
    for given in raw:
        parameter = _BY_NAME.get(given.name)
        if parameter is None:
            known = ", ".join(parameter.name for parameter in PARAMETERS)
            raise InvalidParameter(f"Unknown parameter {_quoted(given.name)}. Known parameters: {known}.")
        if not given.text and parameter.kind != "boolean":  # a bare `?words` may be meant as true
            continue
        if parameter.name in seen and parameter.kind != "array":
            raise InvalidParameter(f"{parameter.name} has more than one value; give it one.")
        seen.add(parameter.name)
        try:
            given.text.encode()  # JSON can hold half a character (a lone surrogate)
            options = parameter.apply(options, given.text)
        except ValueError:
            raise InvalidParameter(f"{given.name} is {_quoted(given.text)}; it must be {parameter.allowed}.") from None
    decode = options.decode
    is_named = "language" in seen and decode.language is not None
    if decode.languages and not is_named:  # a default language must not overrule the request
        options = _with_decode(options, language=decode.languages[0] if len(decode.languages) == 1 else None)
    return options


def check_parameters(options: TranscribeOptions, info: EngineInfo) -> None:
    """Raises InvalidParameter for what this model, or this installation, cannot do."""
    decode, model = options.decode, f"the model {info.model_id}"
    _check_languages(options, info)
    if decode.task == "translate" and not info.can_translate:
        raise InvalidParameter(f"task is 'translate', and {model} can only transcribe; leave task out.")
    if not info.can_prompt:
        for name, text in (("prompt", decode.prompt), ("hotwords", decode.hotwords)):
            if text:
                raise InvalidParameter(f"{name} is given, and {model} takes none; leave {name} out.")
    if not info.can_sample and decode.temperatures[0] > 0:
        raise InvalidParameter(
            f"temperature is {decode.temperatures[0]:g}, and {model} runs only at 0; leave temperature out."
        )
    if decode.words and not info.has_word_timestamps:
        raise InvalidParameter(f"words is true, and {model} gives no word timestamps; leave words out.")


def _check_languages(options: TranscribeOptions, info: EngineInfo) -> None:
    decode = options.decode
    named = [("language", decode.language), *(("languages", code) for code in decode.languages)]
    for name, code in named:
        if code is not None and info.languages and code not in info.languages:
            raise InvalidParameter(
                f"{name} is {code!r}, which {info.model_id} does not support; it supports {', '.join(info.languages)}."
            )
    is_detected = decode.language is None and len(decode.languages) > 1
    if (
        is_detected
        and info.languages
        and not info.can_detect_language
        and info.default_language not in decode.languages
    ):
        raise InvalidParameter(
            f"languages is {','.join(decode.languages)!r}, and the model {info.model_id} cannot detect the language; "
            "name one of them as language."
        )


def _with_decode(options: TranscribeOptions, **changes: object) -> TranscribeOptions:
    return replace(options, decode=replace(options.decode, **changes))  # type: ignore[arg-type]


def _set_task(options: TranscribeOptions, text: str) -> TranscribeOptions:
    tasks: dict[str, Task] = {"transcribe": "transcribe", "translate": "translate"}
    if text not in tasks:
        raise ValueError
    return _with_decode(options, task=tasks[text])


def _set_language(options: TranscribeOptions, text: str) -> TranscribeOptions:
    return _with_decode(options, language=language_or_auto(text))


def _add_languages(options: TranscribeOptions, text: str) -> TranscribeOptions:
    codes = [language_code(part, "languages") for part in text.split(",") if part.strip()]
    return _with_decode(options, languages=tuple(dict.fromkeys((*options.decode.languages, *codes))))


def _set_temperature(options: TranscribeOptions, text: str) -> TranscribeOptions:
    first = float(text)
    if not 0 <= first <= 1:
        raise ValueError
    return _with_decode(options, temperatures=(first, *(higher for higher in TEMPERATURES if higher > first)))


def _checked_text(text: str) -> str:
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError
    return text


def _boolean(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError
    return text.lower() in TRUE


def _quoted(text: str) -> str:
    """For a sentence: short, and on one line."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


_BOOLEAN = "true or false"
_TEXT = f"text of at most {MAX_TEXT_CHARS:,} characters"
PARAMETERS = (
    Parameter(
        "task",
        "string",
        "transcribe in the spoken language, or translate into English",
        "transcribe or translate",
        _set_task,
        choices=("transcribe", "translate"),
    ),
    Parameter(
        "language",
        "string",
        "spoken language, such as en; it is detected with auto, and by default",
        "a language",
        _set_language,
    ),
    Parameter(
        "languages",
        "array",
        "languages among which it is detected, separated by commas or given one by one",
        "languages, separated by commas",
        _add_languages,
    ),
    Parameter(
        "prompt",
        "string",
        "earlier text, or an example of the style, which the model continues",
        _TEXT,
        lambda options, text: _with_decode(options, prompt=_checked_text(text)),
        aliases=("initial_prompt",),
    ),
    Parameter(
        "hotwords",
        "string",
        "names and terms that the recording may contain",
        _TEXT,
        lambda options, text: _with_decode(options, hotwords=_checked_text(text)),
    ),
    Parameter(
        "temperature",
        "number",
        "first sampling temperature, from 0 to 1; higher ones follow for a window whose text looks wrong",
        "a number from 0 to 1",
        _set_temperature,
    ),
    Parameter(
        "timestamps",
        "boolean",
        "false gives one segment per window, for models that do better without; default: true",
        _BOOLEAN,
        lambda options, text: _with_decode(options, timestamps=_boolean(text)),
    ),
    Parameter(
        "words",
        "boolean",
        "word timestamps, too",
        _BOOLEAN,
        lambda options, text: _with_decode(options, words=_boolean(text)),
        aliases=("word_timestamps",),
    ),
    Parameter(
        "vad",
        "boolean",
        "mute what a voice activity model takes for no speech; default: the setting VAD",
        _BOOLEAN,
        lambda options, text: replace(options, vad=_boolean(text)),
        aliases=("vad_filter",),
    ),
)
_BY_NAME = {name: parameter for parameter in PARAMETERS for name in (parameter.name, *parameter.aliases)}
