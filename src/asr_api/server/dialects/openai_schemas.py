"""Replies of OpenAI's API as pydantic models, from which OpenAPI comes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

MODEL_EXAMPLE = "whisper-1"


class OpenAIErrorDetail(BaseModel):
    message: str
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    param: str | None = Field(description="The field that is wrong, if the error is about one.")
    code: str = Field(description="Stable; programs may rely on it.", examples=["model_not_found"])


class OpenAIError(BaseModel):
    error: OpenAIErrorDetail


class ModelCapabilities(BaseModel):
    """What the served model can do; not part of OpenAI's API."""

    languages: dict[str, str] = Field(
        description="Code → English name of the languages it knows; empty if it has none.", examples=[{"en": "english"}]
    )
    language_detection: bool
    translation: bool
    prompts: bool = Field(description="`prompt` and `hotwords` are allowed.")
    word_timestamps: bool


class ModelObject(BaseModel):
    id: str = Field(examples=[MODEL_EXAMPLE])
    object: Literal["model"] = "model"
    created: int = Field(description="When the server started, in seconds since 1970.")
    owned_by: str
    capabilities: ModelCapabilities | None = Field(None, description="Absent while the model is being loaded.")


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelObject]


class DurationUsage(BaseModel):
    type: Literal["duration"]
    seconds: float


class Logprob(BaseModel):
    token: str
    bytes: list[int]
    logprob: float


class Language(BaseModel):
    code: str = Field(examples=["en"])


class TranscriptionReply(BaseModel):
    """`response_format=json`"""

    text: str
    logprobs: list[Logprob] | None = Field(None, description="Of all text tokens, if `include[]=logprobs`.")
    languages: list[Language]
    usage: DurationUsage


class TranslationReply(BaseModel):
    """`response_format=json`"""

    text: str


class VerboseSegment(BaseModel):
    id: int
    seek: int = Field(description="Where the window began in which it was decoded, in frames of 10 ms.")
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class VerboseWord(BaseModel):
    word: str
    start: float
    end: float


class VerboseReply(BaseModel):
    """`response_format=verbose_json`"""

    task: Literal["transcribe", "translate"]
    language: str = Field(description="Of the text, in English; empty if the model has no languages.")
    language_code: str | None
    duration: float
    text: str
    segments: list[VerboseSegment] | None = Field(None, description="Absent if `timestamp_granularities` is `word`.")
    words: list[VerboseWord] | None = Field(None, description="If `timestamp_granularities` contains `word`.")
    usage: DurationUsage
