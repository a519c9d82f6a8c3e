"""Replies of whisper.cpp's server as pydantic models, from which OpenAPI comes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class WhisperCppReply(BaseModel):
    """`response_format=json`"""

    text: str = Field(description="Each segment begins with its blank and ends with a line end.")


class WhisperCppWord(BaseModel):
    """A word, or a token if `token_timestamps` is false or the model has no word timestamps."""

    word: str
    start: float | None = Field(None, description="Absent for a token.")
    end: float | None = Field(None, description="Absent for a token.")
    t_dtw: int | None = Field(None, description="-1; absent for a token.")
    probability: float


class WhisperCppSegment(BaseModel):
    id: int
    text: str
    start: float | None = Field(None, description="Absent with `no_timestamps`.")
    end: float | None = Field(None, description="Absent with `no_timestamps`.")
    tokens: list[int] | None = None
    words: list[WhisperCppWord] | None = None
    temperature: float
    avg_logprob: float
    no_speech_prob: float


class WhisperCppVerboseReply(BaseModel):
    """`response_format=verbose_json`"""

    task: Literal["transcribe", "translate"]
    language: str = Field(description="The spoken one, in English; empty if the model has no languages.")
    duration: float
    text: str
    segments: list[WhisperCppSegment]
