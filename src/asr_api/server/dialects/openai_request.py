"""Form fields of OpenAI's audio API → `OpenAIRequest`, for transcriptions and translations.

Arrays come as repeated fields, with or without brackets behind the name, as a list with commas, or as JSON. Our own
parameters are allowed, too; a field that is unknown is an error, because OpenAI's server also refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asr_api.engines.protocol import EngineInfo
from asr_api.errors import InvalidParameter
from asr_api.formats.openai_json import VerboseParts
from asr_api.model_options import options_for
from asr_api.options import OutputFormat, RequestOptions, Task, TranscribeOptions, VadOptions
from asr_api.parameters import PARAMETERS, TIMEOUT, RawParameter, boolean, read_parameters
from asr_api.server.dialects.fields import field_text

FILE_FIELDS = ("file",)
GRANULARITIES = frozenset({"segment", "word"})
FORMATS = [name for name in get_args(OutputFormat) if name != "tsv"]
STREAMED_FORMATS = ("json", "text")  # the others have parts that are known only at the end
STRATEGY = "chunking_strategy"
SPEAKER_FIELDS = frozenset({"known_speaker_names", "known_speaker_references"})
# Those of OpenAI that are not ours.
OPENAI_FIELDS = frozenset({"model", "stream", "include", "timestamp_granularities", STRATEGY, *SPEAKER_FIELDS})
# What is wrong with one of these may be put right by fields behind it.
DEPENDENT_FIELDS = frozenset({"stream", "include", "timestamp_granularities", STRATEGY, "languages"})
IGNORED_FIELDS = frozenset({"user"})  # who asks has no effect on a transcript
WITHOUT_TIMESTAMPS = "without_timestamps"  # the opposite of our `timestamps` in clients of speaches
HIDDEN_PARAMETERS = frozenset({"output", "words", "word_timestamps", "task"})  # the API has others for them
OUR_FIELDS = frozenset(name for each in PARAMETERS for name in (each.name, *each.aliases)) - HIDDEN_PARAMETERS


class ServerVad(BaseModel):
    """`chunking_strategy`: audio in which the detector finds no speech is muted."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(pattern="^server_vad$")
    threshold: float = Field(VadOptions().threshold, ge=0, le=1)
    prefix_padding_ms: int = Field(VadOptions().prefix_padding_ms, ge=0, le=10_000)
    silence_duration_ms: int = Field(VadOptions().silence_duration_ms, ge=0, le=60_000)


@dataclass(frozen=True, slots=True)
class OpenAIRequest:
    """options: as they are, without what the format of the reply needs"""

    model: str
    options: RequestOptions
    parts: VerboseParts
    is_streamed: bool
    has_logprobs: bool

    @property
    def task(self) -> Task:
        return self.options.transcribe.decode.task

    def transcribe_options(self, info: EngineInfo) -> TranscribeOptions:
        """Raises InvalidParameter for what the model cannot do."""
        if self.parts.has_words and not info.has_word_timestamps:
            sentence = f"timestamp_granularities contains word, and the model {info.model_id} gives no word timestamps"
            raise InvalidParameter(f"{sentence}; ask for segment.", parameter="timestamp_granularities")
        if self.has_logprobs and not info.has_logprobs:
            sentence = f"include contains logprobs, and the model {info.model_id} gives none; leave include out."
            raise InvalidParameter(sentence, parameter="include")
        options = options_for(self.options, info)
        decode = replace(options.decode, words=options.decode.words or self.parts.has_words)
        has_tokens = self.has_logprobs or self.options.output.format == "verbose_json"
        return replace(options, decode=replace(decode, token_texts=has_tokens and info.has_logprobs))


def read_openai_request(
    fields: Sequence[RawParameter], defaults: RequestOptions, task: Task = "transcribe"
) -> OpenAIRequest:
    """Raises InvalidParameter, which names the field."""
    given = [_our_timestamps(RawParameter(field.name.removesuffix("[]"), field.text)) for field in fields]
    own = [field for field in given if field.name in OPENAI_FIELDS or field.name.startswith(f"{STRATEGY}[")]
    rest = [field for field in given if field not in own and field.name not in IGNORED_FIELDS]
    _check_names(rest)
    options = read_parameters([item for field in rest if field.text for item in _items_of(field)], defaults)
    decode = replace(options.transcribe.decode, task=task)
    vad = _vad(own) or options.transcribe.vad
    options = replace(options, transcribe=replace(options.transcribe, decode=decode, vad=vad))
    request = OpenAIRequest(
        model=field_text(own, "model"),
        options=options,
        parts=_parts(own, options.output.format),
        is_streamed=_is_streamed(own, options.output.format),
        has_logprobs=_has_logprobs(own, options.output.format),
    )
    if speaker := next((field.name for field in own if field.name in SPEAKER_FIELDS and field.text), None):
        raise InvalidParameter(f"{speaker} is given, and this server does not tell speakers apart.", parameter=speaker)
    return request


def _our_timestamps(field: RawParameter) -> RawParameter:
    if field.name != WITHOUT_TIMESTAMPS:
        return field
    try:
        return RawParameter("timestamps", str(not boolean(field.text)))
    except ValueError:
        sentence = f"{field.name} is {field.text[:40]!r}; it must be true or false."
        raise InvalidParameter(sentence, parameter=field.name) from None


def check_query(names: Iterable[str]) -> None:
    """Fields in the query would have no effect, except for `timeout`. Others, such as Azure's `api-version`, may stand
    there.
    """
    known = {*OPENAI_FIELDS, *OUR_FIELDS, *IGNORED_FIELDS, "response_format"} - {TIMEOUT}
    if misplaced := next((name for name in names if name.removesuffix("[]") in known), None):
        raise InvalidParameter(f"{misplaced} is in the query; send it as a field of the form.", parameter=misplaced)


def _check_names(fields: Sequence[RawParameter]) -> None:
    for field in fields:
        if field.name not in OUR_FIELDS:
            known = ", ".join(sorted({*FILE_FIELDS, *OPENAI_FIELDS, *OUR_FIELDS} - SPEAKER_FIELDS))
            sentence = f"Unknown parameter: {field.name[:40]!r}. Known parameters: {known}."
            raise InvalidParameter(sentence, parameter=field.name[:40])
        if field.name == "response_format" and field.text not in {"", *FORMATS}:
            reason = "; speakers are not told apart here" if field.text == "diarized_json" else ""
            sentence = f"response_format is {field.text[:40]!r}; it must be one of {', '.join(FORMATS)}{reason}."
            raise InvalidParameter(sentence, parameter="response_format")


def _items_of(field: RawParameter) -> list[RawParameter]:
    """One for each item where the text is a JSON list."""
    if not field.text.startswith("["):
        return [field]
    return [RawParameter(field.name, item) for item in _items([field], field.name)]


def _items(fields: Sequence[RawParameter], name: str) -> list[str]:
    """All items of an array."""
    items: list[str] = []
    for field in fields:
        if field.name != name:
            continue
        if not field.text.startswith("["):
            items += [part.strip() for part in field.text.split(",") if part.strip()]
            continue
        try:
            parsed = json.loads(field.text)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, list) or not all(isinstance(item, str) for item in parsed):
            raise InvalidParameter(f"{name} is not a JSON list of strings; send one field for each.", parameter=name)
        items += parsed
    return items


def _parts(fields: Sequence[RawParameter], output: OutputFormat) -> VerboseParts:
    name = "timestamp_granularities"
    granularities = _items(fields, name)
    if not granularities:
        return VerboseParts()
    if unknown := [item for item in granularities if item not in GRANULARITIES]:
        raise InvalidParameter(f"{name} contains {unknown[0][:40]!r}; it may contain word and segment.", parameter=name)
    if output != "verbose_json" and "word" in granularities:
        sentence = f"{name} contains word, and response_format is {output!r}; set response_format to 'verbose_json'."
        raise InvalidParameter(sentence, parameter=name)
    return VerboseParts("segment" in granularities, "word" in granularities)


def _is_streamed(fields: Sequence[RawParameter], output: OutputFormat) -> bool:
    text = field_text(fields, "stream")
    try:
        is_streamed = bool(text) and boolean(text)
    except ValueError:
        raise InvalidParameter(f"stream is {text[:40]!r}; it must be true or false.", parameter="stream") from None
    if is_streamed and output not in STREAMED_FORMATS:
        sentence = f"stream is true, and response_format is {output!r}; set it to json or text, or do not stream."
        raise InvalidParameter(sentence, parameter="stream")
    return is_streamed


def _has_logprobs(fields: Sequence[RawParameter], output: OutputFormat) -> bool:
    items = _items(fields, "include")
    if unknown := [item for item in items if item != "logprobs"]:
        raise InvalidParameter(f"include contains {unknown[0][:40]!r}; it may contain logprobs.", parameter="include")
    if items and output != "json":
        sentence = f"include contains logprobs, and response_format is {output!r}; set response_format to 'json'."
        raise InvalidParameter(sentence, parameter="include")
    return bool(items)


def _vad(fields: Sequence[RawParameter]) -> VadOptions | None:
    """None for `auto`: recordings are always cut where nobody speaks."""
    whole = field_text(fields, STRATEGY)
    prefix = f"{STRATEGY}["
    parts = {field.name[len(prefix) : -1]: field.text for field in fields if field.name.startswith(prefix)}
    if not parts and whole in {"", "auto"}:
        return None
    try:
        strategy = ServerVad.model_validate(parts) if parts else ServerVad.model_validate_json(whole)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (STRATEGY, *first["loc"])))
        sentence = f"{where}: {first['msg']}; send auto, or type server_vad with threshold, prefix_padding_ms and"
        raise InvalidParameter(f"{sentence} silence_duration_ms.", parameter=STRATEGY) from None
    return VadOptions(strategy.threshold, strategy.prefix_padding_ms, strategy.silence_duration_ms)
