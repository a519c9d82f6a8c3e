"""What a request may ask for: each parameter is declared once and becomes a query parameter, a JSON key and a CLI flag.

In: names and texts as clients write them. Out: checked `TranscribeOptions`, or an InvalidParameter whose sentence names
the parameter, the value and what is allowed. Knows nothing about HTTP or command lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from asr_api.errors import InvalidParameter
from asr_api.options import TEMPERATURES, Task, TranscribeOptions
from asr_api.text.languages import language_code

if TYPE_CHECKING:  # it takes numpy with it, which --help need not wait for
    from asr_api.engines.protocol import EngineInfo

MAX_TEXT_CHARS = 4096  # many times what a model reads
TRUE, FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


@dataclass(frozen=True, slots=True)
class RawParameter:
    """One parameter as a client gave it; but for booleans, an empty text counts as not given."""

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


def read_parameters(given: Sequence[RawParameter], defaults: TranscribeOptions) -> TranscribeOptions:
    """Raises InvalidParameter."""
    options, seen = defaults, set[str]()
    for one in given:
        parameter = _BY_NAME.get(one.name)
        if parameter is None:
            known = ", ".join(parameter.name for parameter in PARAMETERS)
            raise InvalidParameter(f"{_shown(one.name)} is no parameter; there are {known}.")
        if not one.text and parameter.kind != "boolean":  # a bare `?words` looks like a wish
            continue
        if parameter.name in seen and parameter.kind != "array":
            raise InvalidParameter(f"{parameter.name} has more than one value; give it one.")
        seen.add(parameter.name)
        try:
            one.text.encode()  # half a character can be written in JSON, and nowhere else
            options = parameter.apply(options, one.text)
        except ValueError:
            raise InvalidParameter(f"{one.name} is {_shown(one.text)}; it must be {parameter.allowed}.") from None
    if len(options.languages) == 1 and "language" not in seen:
        options = replace(options, language=options.languages[0])
    elif options.languages and "language" not in seen:
        options = replace(options, language=None)  # a default must not stand against a wish
    return options


def check_parameters(options: TranscribeOptions, info: EngineInfo) -> None:
    """Raises InvalidParameter for what this model can't do, as far as that is known without asking it."""
    named = [("language", options.language), *(("languages", code) for code in options.languages)]
    for name, code in named:
        if code is not None and info.languages and code not in info.languages:
            raise InvalidParameter(
                f"{name} is {code}, which this model does not know; it knows {', '.join(info.languages)}."
            )
    if options.task == "translate" and info.languages == ("en",):
        raise InvalidParameter("task is translate, and this model is English-only; use transcribe.")
    if options.vad:
        from asr_api.audio import vad

        if not vad.is_installed():
            raise InvalidParameter(f"vad is true, and the package it needs is missing here; run: {vad.INSTALL}")


def _set_task(options: TranscribeOptions, text: str) -> TranscribeOptions:
    tasks: dict[str, Task] = {"transcribe": "transcribe", "translate": "translate"}
    if text not in tasks:
        raise ValueError
    return replace(options, task=tasks[text])


def _set_language(options: TranscribeOptions, text: str) -> TranscribeOptions:
    return replace(options, language=language_code(text))


def _add_languages(options: TranscribeOptions, text: str) -> TranscribeOptions:
    codes = [language_code(part) for part in text.split(",") if part.strip()]
    return replace(options, languages=tuple(dict.fromkeys((*options.languages, *codes))))


def _set_temperature(options: TranscribeOptions, text: str) -> TranscribeOptions:
    first = float(text)
    if not 0 <= first <= 1:
        raise ValueError
    return replace(options, temperatures=(first, *(rung for rung in TEMPERATURES if rung > first)))


def _text(text: str) -> str:
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError
    return text


def _truth(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError
    return text.lower() in TRUE


def _shown(text: str) -> str:
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
    Parameter("language", "string", "spoken language, such as en; default: detected", "a language", _set_language),
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
        "earlier text, or an example of the style, from which the model goes on",
        _TEXT,
        lambda options, text: replace(options, prompt=_text(text)),
        aliases=("initial_prompt",),
    ),
    Parameter(
        "hotwords",
        "string",
        "names and terms that may be said",
        _TEXT,
        lambda options, text: replace(options, hotwords=_text(text)),
    ),
    Parameter(
        "temperature",
        "number",
        "at which a window is tried first, from 0 to 1; where its text looks wrong, higher ones follow",
        "a number from 0 to 1",
        _set_temperature,
    ),
    Parameter(
        "timestamps",
        "boolean",
        "false gives one segment a window, for models that do better without; default: true",
        _BOOLEAN,
        lambda options, text: replace(options, timestamps=_truth(text)),
    ),
    Parameter(
        "words",
        "boolean",
        "the times of words, too",
        _BOOLEAN,
        lambda options, text: replace(options, words=_truth(text)),
        aliases=("word_timestamps",),
    ),
    Parameter(
        "vad",
        "boolean",
        "mute what a voice activity model takes for no speech; default: the setting VAD",
        _BOOLEAN,
        lambda options, text: replace(options, vad=_truth(text)),
        aliases=("vad_filter",),
    ),
)
_BY_NAME = {name: parameter for parameter in PARAMETERS for name in (parameter.name, *parameter.aliases)}
