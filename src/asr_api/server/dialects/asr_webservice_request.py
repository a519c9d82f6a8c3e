"""Query of whisper-asr-webservice → `WebserviceRequest`, for `POST /asr` with a form and `POST /detect-language`.

As there, a parameter with an empty value is not given, and unknown ones are ignored: clients send some of their own,
such as Bazarr's `video_file`. Our own parameters have their effect. A value that is not understood is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from asr_api.errors import InvalidParameter
from asr_api.options import OutputFormat, RequestOptions
from asr_api.parameters import PARAMETERS, RawParameter, read_parameters
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.server.form_data import Convert, unchanged
from asr_api.server.raw_audio import RawFormat, as_wav

FILE_FIELDS = ("audio_file", "file")
OUTPUTS: dict[str, OutputFormat] = {
    "txt": "text", "text": "text", "srt": "srt", "vtt": "vtt", "tsv": "tsv", "json": "json",
}  # fmt: skip
DEFAULT_OUTPUT = "txt"
RAW_FORMAT = RawFormat("linear16", SAMPLE_RATE_HZ)
OUTPUT_NAMES = ("output", "response_format")
SPEAKER_LIMITS = ("min_speakers", "max_speakers")
OUR_PARAMETERS = frozenset(name for each in PARAMETERS for name in (each.name, *each.aliases))
OUR_BOOLEANS = frozenset(name for each in PARAMETERS if each.kind == "boolean" for name in (each.name, *each.aliases))
BOOLEANS = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), "true") | dict.fromkeys(
    ("false", "f", "no", "n", "off", "0"), "false"
)


@dataclass(frozen=True, slots=True)
class WebserviceRequest:
    """extension: of the file that the reply is; is_encoded: False for headerless s16le samples, 16 kHz mono"""

    options: RequestOptions
    extension: str
    is_encoded: bool

    @property
    def convert(self) -> Convert:
        """What makes a media file of the upload."""
        return unchanged if self.is_encoded else partial(as_wav, RAW_FORMAT)


def read_webservice_request(query: Sequence[RawParameter], defaults: RequestOptions) -> WebserviceRequest:
    """Raises InvalidParameter, which names the parameter."""
    given = [parameter for parameter in query if parameter.text]
    if _is_true(given, "diarize", default=False):
        sentence = "diarize is true, and this server does not tell speakers apart; leave diarize out."
        raise InvalidParameter(sentence, parameter="diarize")
    for name in SPEAKER_LIMITS:
        _check_number(given, name)
    ours = [_in_our_words(parameter) for parameter in given if parameter.name in OUR_PARAMETERS]
    plain_text = replace(defaults, output=replace(defaults.output, format=OUTPUTS[DEFAULT_OUTPUT]))
    return WebserviceRequest(
        options=read_parameters(ours, plain_text),
        extension=next((each.text for each in given if each.name in OUTPUT_NAMES), DEFAULT_OUTPUT),
        is_encoded=_is_true(given, "encode", default=True),
    )


def read_detection(query: Sequence[RawParameter], defaults: RequestOptions) -> WebserviceRequest:
    """Of `POST /detect-language`, with whatever language is the default. Raises InvalidParameter."""
    used = [parameter for parameter in query if parameter.name in {"encode", "languages"}]
    request = read_webservice_request(used, defaults)
    transcribe = request.options.transcribe
    decode = replace(transcribe.decode, language=None)
    return replace(request, options=replace(request.options, transcribe=replace(transcribe, decode=decode)))


def check_form_fields(fields: Sequence[RawParameter]) -> None:
    """Raises InvalidParameter for a parameter, which would have no effect in the form; other fields are ignored."""
    for field in fields:
        if field.name in OUR_PARAMETERS | {"encode", "diarize", *SPEAKER_LIMITS}:
            sentence = f"{field.name} is in the form, and parameters belong in the query: /asr?{field.name}=VALUE."
            raise InvalidParameter(sentence, parameter=field.name)


def _in_our_words(parameter: RawParameter) -> RawParameter:
    if parameter.name in OUR_BOOLEANS:
        return RawParameter(parameter.name, _boolean(parameter))
    if parameter.name in OUTPUT_NAMES and parameter.text not in OUTPUTS:
        sentence = f"{parameter.name} is {parameter.text[:40]!r}; it must be txt, srt, vtt, tsv or json."
        raise InvalidParameter(sentence, parameter=parameter.name)
    return parameter


def _boolean(parameter: RawParameter) -> str:
    """`true` or `false`. Raises InvalidParameter."""
    text = BOOLEANS.get(parameter.text.lower())
    if text is None:
        sentence = f"{parameter.name} is {parameter.text[:40]!r}; it must be true or false."
        raise InvalidParameter(sentence, parameter=parameter.name)
    return text


def _is_true(given: Sequence[RawParameter], name: str, *, default: bool) -> bool:
    values = {_boolean(parameter) for parameter in given if parameter.name == name}
    if len(values) > 1:
        raise InvalidParameter(f"{name} has more than one value; give it one.", parameter=name)
    return "true" in values or (default and not values)


def _check_number(given: Sequence[RawParameter], name: str) -> None:
    """It has an effect only where speakers are told apart."""
    for parameter in given:
        if parameter.name == name and not parameter.text.isdecimal():
            sentence = f"{name} is {parameter.text[:40]!r}; it must be a whole number."
            raise InvalidParameter(sentence, parameter=name)
