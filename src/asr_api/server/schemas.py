"""Request and reply bodies as pydantic models, from which OpenAPI comes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from asr_api import __version__
from asr_api.parameters import PARAMETERS, Parameter
from asr_api.transcript import Doubt

Seconds = Annotated[list[float], Field(min_length=2, max_length=2, description="Start and end in seconds, never null.")]
Scalar = StrictStr | StrictBool | StrictInt | StrictFloat | None
SENTENCE = " Four score and seven years ago."
EXAMPLE_URL = "https://example.org/speech.mp3"


class PartialReply(BaseModel):
    text: str
    chunks: list[dict[str, Any]] = Field(description="As in the reply.")


class ErrorReply(BaseModel):
    error: str = Field(description="One sentence: the problem, the value, the limit, the remedy.")
    code: str = Field(description="Stable; programs may rely on it.", examples=["empty_body"])
    request_id: str = Field(description="Also in the header x-request-id and in the server's log.")
    partial: PartialReply | None = Field(default=None, description="What was transcribed before the deadline.")


class HealthReply(BaseModel):
    status: str = "ok"
    version: str = __version__


class StatusReply(BaseModel):
    version: str = f"asr-api {__version__}"


class TimedText(BaseModel):
    timestamp: Seconds = Field(examples=[[0.0, 2.64]])
    text: str = Field(examples=[SENTENCE])


class TimedWord(TimedText):
    probability: float = Field(ge=0, le=1, description="Mean over its tokens.", examples=[0.97])


class Chunk(TimedText):
    words: list[TimedWord] | None = Field(None, description="If words were asked for.")
    doubts: list[Doubt] | None = Field(None, description="Why the text may be wrong; absent if it passed every test.")


class OmittedChunk(TimedText):
    reasons: list[Doubt]


class AsrReply(BaseModel):
    text: str = Field(description="All chunks together; empty for silence.", examples=[SENTENCE])
    chunks: list[Chunk]
    omitted: list[OmittedChunk] | None = Field(
        None,
        description=(
            "Text that the model wrote for audio without speech, which is not part of the text; with an empty text, "
            "the end of a window that is as loud as the speech before it and gave no text. Absent if there is none."
        ),
    )


def parameter_schema(parameter: Parameter) -> dict[str, Any]:
    """JSON schema of a parameter's value."""
    schema: dict[str, Any] = {"type": parameter.kind}
    if parameter.kind == "array":
        schema["items"] = {"type": "string"}
    if parameter.bounds is not None:
        schema["minimum"], schema["maximum"] = parameter.bounds
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    return schema


def parameter_description(parameter: Parameter) -> str:
    also = "".join(f" Also called {alias}." for alias in parameter.aliases)
    return f"{parameter.description[0].upper()}{parameter.description[1:]}.{also}"


def _add_parameters(schema: dict[str, Any]) -> None:
    for parameter in PARAMETERS:
        description = parameter_description(parameter)
        schema["properties"][parameter.name] = parameter_schema(parameter) | {"description": description}
    schema["example"] = {"url": EXAMPLE_URL}


class AsrRequest(BaseModel):
    """JSON that names audio. Parameters may have any scalar type, because `read_parameters` checks their values."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_add_parameters)
    __pydantic_extra__: dict[str, Scalar | list[Scalar]]
    url: StrictStr = Field(min_length=1, description="An http(s) link, or a path on the server if it allows it.")
