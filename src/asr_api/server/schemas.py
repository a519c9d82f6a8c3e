"""Request and reply bodies as pydantic models, from which OpenAPI comes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, create_model
from pydantic.json_schema import WithJsonSchema

from asr_api import __version__
from asr_api.parameters import PARAMETERS, Parameter
from asr_api.transcript import Doubt

Seconds = Annotated[list[float], Field(min_length=2, max_length=2, description="Start and end in seconds, never null.")]
Scalar = StrictStr | StrictBool | StrictInt | StrictFloat | None


class ErrorReply(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": "The body is empty; send the bytes of an audio file.",
                "code": "empty_body",
                "request_id": "5f0c2b9e6d0a4d6f9a8b7c6d5e4f3a2b",
            }
        }
    )
    error: str = Field(description="One sentence: what is wrong, the value, the limit, what to do.")
    code: str = Field(description="Stable; programs may rely on it.")
    request_id: str = Field(description="Also in the header x-request-id and in the server's log.")


class HealthReply(BaseModel):
    status: str = "ok"
    version: str = __version__


class TimedText(BaseModel):
    timestamp: Seconds
    text: str


class Chunk(TimedText):
    words: list[TimedText] | None = Field(None, description="If words were asked for.")
    doubts: list[Doubt] | None = Field(None, description="Why the text may be wrong; absent if it passed every test.")


class OmittedChunk(TimedText):
    reasons: list[Doubt]


class AsrReply(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "text": " Four score and seven years ago.",
                "chunks": [{"timestamp": [0.0, 2.64], "text": " Four score and seven years ago."}],
            }
        }
    )
    text: str = Field(description="All chunks together; empty for silence.")
    chunks: list[Chunk]
    omitted: list[OmittedChunk] | None = Field(
        None,
        description=(
            "Text that the model wrote for audio without speech, which is no part of the text; with an empty text, a "
            "rest of a window as loud as the speech before it that brought no text. Absent if there is none."
        ),
    )


def parameter_schema(parameter: Parameter) -> dict[str, Any]:
    """JSON schema of a parameter's value."""
    schema: dict[str, Any] = {"type": parameter.kind}
    if parameter.kind == "array":
        schema["items"] = {"type": "string"}
    if parameter.kind == "number":
        schema |= {"minimum": 0, "maximum": 1}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    return schema


def parameter_description(parameter: Parameter) -> str:
    also = "".join(f" Also called {alias}." for alias in parameter.aliases)
    return f"{parameter.description[0].upper()}{parameter.description[1:]}.{also}"


def _request_fields() -> dict[str, Any]:
    """A value may have any scalar type, because `read_parameters` reads texts and tells what is allowed."""
    return {
        parameter.name: (
            Annotated[Scalar | list[Scalar], WithJsonSchema(parameter_schema(parameter))],
            Field(None, description=parameter_description(parameter)),
        )
        for parameter in PARAMETERS
    }


class AsrRequestBase(BaseModel):
    model_config = ConfigDict(extra="allow", json_schema_extra={"example": {"url": "https://example.org/speech.mp3"}})
    __pydantic_extra__: dict[str, Scalar | list[Scalar]]  # aliases, and names that `read_parameters` refuses
    url: StrictStr = Field(min_length=1, description="An http(s) link, or a path on the server if it allows it.")


AsrRequest = create_model("AsrRequest", __base__=AsrRequestBase, **_request_fields())
