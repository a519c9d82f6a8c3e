"""Request parameters: each is declared once and becomes a query parameter, a JSON key and a flag of the command line.

`read_parameters` makes checked `RequestOptions` of texts as clients write them. Whether the model can do what they ask
is checked by model_options.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from asr_api.errors import InvalidParameter
from asr_api.options import TEMPERATURES, OutputFormat, RequestOptions, Task, VadOptions
from asr_api.text.languages import language_code, language_or_auto

MAX_TEXT_CHARS = 4096  # many times what a model reads
TIMEOUT, TIMEOUT_ALLOWED = "timeout", "a number of seconds above 0"
TRUE, FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


@dataclass(frozen=True, slots=True)
class RawParameter:
    """One parameter as a client gave it; except for booleans, an empty text counts as not given."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """description: a few words, for --help as well; allowed: what the value must be, to end a sentence with

    bounds: of a number, for OpenAPI; `apply` checks them
    """

    name: str
    kind: Literal["string", "number", "integer", "boolean", "array"]
    description: str
    allowed: str
    apply: Callable[[RequestOptions, str], RequestOptions]  # raises ValueError for what is not allowed
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    bounds: tuple[int, int] | None = None


def read_parameters(raw: Sequence[RawParameter], defaults: RequestOptions) -> RequestOptions:
    """Raises InvalidParameter, whose sentence names the parameter, the value and what is allowed."""
    options, seen = defaults, set[str]()
    for given in raw:
        parameter = _BY_NAME.get(given.name)
        if parameter is None:
            known = ", ".join(_BY_NAME)
            sentence = f"Unknown parameter {_quoted(given.name)}. Known parameters: {known}."
            raise InvalidParameter(sentence, parameter=given.name)
        if not given.text and parameter.kind != "boolean":  # a bare `?words` may be meant as true
            continue
        if parameter.name in seen and parameter.kind != "array":
            sentence = f"{given.name} has more than one value; give it one."
            raise InvalidParameter(sentence, parameter=given.name)
        seen.add(parameter.name)
        try:
            given.text.encode()  # JSON can hold half a character (a lone surrogate)
            options = parameter.apply(options, given.text)
        except ValueError:
            sentence = f"{given.name} is {_quoted(given.text)}; it must be {parameter.allowed}."
            raise InvalidParameter(sentence, parameter=given.name) from None
        except InvalidParameter as error:
            raise InvalidParameter(str(error), parameter=given.name) from None
    decode = options.transcribe.decode
    is_named = "language" in seen and decode.language is not None
    if decode.languages and not is_named:  # a default language must not overrule the request
        options = _with_decode(options, language=decode.languages[0] if len(decode.languages) == 1 else None)
    return options


def _with_transcribe(options: RequestOptions, **changes: object) -> RequestOptions:
    return replace(options, transcribe=replace(options.transcribe, **changes))  # type: ignore[arg-type]


def _with_decode(options: RequestOptions, **changes: object) -> RequestOptions:
    return _with_transcribe(options, decode=replace(options.transcribe.decode, **changes))  # type: ignore[arg-type]


def _set_task(options: RequestOptions, text: str) -> RequestOptions:
    tasks: dict[str, Task] = {"transcribe": "transcribe", "translate": "translate"}
    if text not in tasks:
        raise ValueError
    return _with_decode(options, task=tasks[text])


def _set_language(options: RequestOptions, text: str) -> RequestOptions:
    return _with_decode(options, language=language_or_auto(text))


def _add_languages(options: RequestOptions, text: str) -> RequestOptions:
    codes = [language_code(part, "languages") for part in text.split(",") if part.strip()]
    languages = (*options.transcribe.decode.languages, *codes)
    return _with_decode(options, languages=tuple(dict.fromkeys(languages)))


def _add_hotwords(options: RequestOptions, text: str) -> RequestOptions:
    before = options.transcribe.decode.hotwords
    return _with_decode(options, hotwords=_checked_text(f"{before}, {text}" if before else text))


def _set_temperature(options: RequestOptions, text: str) -> RequestOptions:
    first = float(text)
    if not 0 <= first <= 1:
        raise ValueError
    return _with_decode(options, temperatures=(first, *(higher for higher in TEMPERATURES if higher > first)))


def timeout_s(text: str) -> float:
    """Raises ValueError."""
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds


def _set_format(options: RequestOptions, text: str) -> RequestOptions:
    formats: dict[str, OutputFormat] = {name: name for name in get_args(OutputFormat)} | {"txt": "text"}
    if text not in formats:
        raise ValueError
    return replace(options, output=replace(options.output, format=formats[text]))


def _checked_text(text: str) -> str:
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError
    return text


def boolean(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError
    return text.lower() in TRUE


def _quoted(text: str) -> str:
    """For a sentence: short, and on one line."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def _subtitle_parameter(name: str, subject: str, note: str, bounds: tuple[int, int]) -> Parameter:
    """A whole number, which is a field of SubtitleOptions."""
    lowest, highest = bounds

    def apply(options: RequestOptions, text: str) -> RequestOptions:
        number = int(text)
        if not lowest <= number <= highest:
            raise ValueError
        subtitles = replace(options.output.subtitles, **{name: number})
        return replace(options, output=replace(options.output, subtitles=subtitles))

    allowed = f"from {lowest} to {highest}"
    description = f"{subject}, {allowed}; {note}"
    return Parameter(name, "integer", description, f"a whole number {allowed}", apply, bounds=bounds)


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
        "array",
        "names and terms that the recording may contain, separated by commas or given one by one",
        _TEXT,
        _add_hotwords,
        aliases=("keywords",),
    ),
    Parameter(
        "temperature",
        "number",
        "first sampling temperature, from 0 to 1; higher ones follow for a window whose text looks wrong",
        "a number from 0 to 1",
        _set_temperature,
        bounds=(0, 1),
    ),
    Parameter(
        "timestamps",
        "boolean",
        "false gives one segment per window, for models that do better without; default: true",
        _BOOLEAN,
        lambda options, text: _with_decode(options, timestamps=boolean(text)),
    ),
    Parameter(
        "words",
        "boolean",
        "word timestamps, too",
        _BOOLEAN,
        lambda options, text: _with_decode(options, words=boolean(text)),
        aliases=("word_timestamps",),
    ),
    Parameter(
        "vad",
        "boolean",
        "mute what a voice activity model takes for no speech; default: the setting VAD",
        _BOOLEAN,
        lambda options, text: _with_transcribe(options, vad=VadOptions() if boolean(text) else None),
        aliases=("vad_filter",),
    ),
    Parameter(
        TIMEOUT,
        "number",
        "seconds from its arrival after which the request ends with an error; default: the setting REQUEST_TIMEOUT_S",
        TIMEOUT_ALLOWED,
        lambda options, text: replace(options, timeout_s=timeout_s(text)),
    ),
    Parameter(
        "output",
        "string",
        "format of the reply; default: json",
        "json, verbose_json, text, srt, vtt or tsv",
        _set_format,
        aliases=("response_format",),
        choices=get_args(OutputFormat),
    ),
    _subtitle_parameter(
        "max_line_width", "columns of a line of subtitles", "wide characters take two; default: 42", (10, 1000)
    ),
    _subtitle_parameter("max_line_count", "lines of a subtitle", "default: 2", (1, 10)),
    _subtitle_parameter("max_words_per_line", "words of a line of subtitles", "default: no limit", (1, 100)),
)
OUTPUT_PARAMETERS = frozenset({"output", "max_line_width", "max_line_count", "max_words_per_line"})
_BY_NAME = {name: parameter for parameter in PARAMETERS for name in (parameter.name, *parameter.aliases)}
