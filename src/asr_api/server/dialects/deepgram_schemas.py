"""Replies of Deepgram's API as pydantic models, from which OpenAPI comes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field


class DeepgramError(BaseModel):
    err_code: str = Field(examples=["Bad Request"])
    err_msg: str = Field(description="One sentence: the problem, the value, the limit, the remedy.")
    request_id: str = Field(description="A UUID; also in the header dg-request-id.")


class DeepgramModel(BaseModel):
    name: str = Field(description="The served model, whatever name the request gave.")
    version: str = Field(description="Of this server.")
    arch: str = Field(description="The engine.", examples=["onnx"])


class DeepgramMetadataReply(BaseModel):
    transaction_key: str = "deprecated"
    request_id: UUID
    sha256: str = Field(description="Of the audio, of raw audio with its WAV header; empty for a file on the server.")
    created: datetime
    duration: float
    channels: int
    models: list[UUID]
    model_info: dict[UUID, DeepgramModel]
    tags: list[str] | None = Field(None, description="The `tag`s of the request.")
    extra: dict[str, str] | None = Field(None, description="The `extra` of the request.")


class DeepgramWord(BaseModel):
    word: str = Field(description="In lower case, without punctuation around it.")
    start: float
    end: float
    confidence: float
    punctuated_word: str


class DeepgramSentence(BaseModel):
    text: str
    start: float
    end: float


class DeepgramParagraph(BaseModel):
    sentences: list[DeepgramSentence]
    num_words: int
    start: float
    end: float


class DeepgramParagraphs(BaseModel):
    transcript: str
    paragraphs: list[DeepgramParagraph]


class DeepgramAlternative(BaseModel):
    transcript: str
    confidence: float = Field(description="Mean probability of the words; 0 for silence.")
    words: list[DeepgramWord] = Field(description="Empty if the model has no word timestamps.")
    paragraphs: DeepgramParagraphs | None = Field(None, description="With `paragraphs` or `smart_format`.")
    languages: list[str] | None = Field(None, description="With `language=multi`.")


class DeepgramChannel(BaseModel):
    alternatives: list[DeepgramAlternative] = Field(description="One.")
    detected_language: str | None = Field(None, description="With `detect_language`, if the model has languages.")


class DeepgramUtterance(BaseModel):
    start: float
    end: float
    confidence: float
    channel: int
    transcript: str
    words: list[DeepgramWord]
    id: UUID


class DeepgramResults(BaseModel):
    channels: list[DeepgramChannel] = Field(description="One.")
    utterances: list[DeepgramUtterance] | None = Field(None, description="With `utterances`.")


class DeepgramReply(BaseModel):
    metadata: DeepgramMetadataReply
    results: DeepgramResults
