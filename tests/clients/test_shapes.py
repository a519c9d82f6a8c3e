"""The check of shapes finds what a lenient SDK lets pass."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from tests.clients.shapes import shape_errors


class Usage(BaseModel):
    type: Literal["duration"]
    seconds: float


class Tokens(BaseModel):
    type: Literal["tokens"]
    total: int


class Reply(BaseModel):
    text: str
    size: Annotated[int, "a note"]
    usage: Annotated[Usage | Tokens, "a note"] | None = None
    parts: list[Usage] | None = None
    sizes: dict[str, int] = {}
    created: datetime | None = None
    more: Any = None
    renamed: bool = Field(False, alias="new-name")


GOOD = {"text": "", "size": 1}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"usage": {"type": "duration", "seconds": 1}},
        {"usage": {"type": "tokens", "total": 1}, "parts": []},
        {"usage": None, "parts": [{"type": "duration", "seconds": 0.5}]},
        {"sizes": {"a": 1}, "more": {"a": []}, "created": "2026-11-30", "new-name": True},
    ],
)
def test_json_of_the_type_has_no_errors(more: dict[str, object]) -> None:
    assert shape_errors({**GOOD, **more}, Reply) == []


@pytest.mark.parametrize(
    ("value", "errors"),
    [
        ({"text": ""}, ["$.size is missing"]),
        ({"text": None, "size": 1}, ["$.text is None and no <class 'str'>"]),
        ({"text": "", "size": 1.0}, ["$.size is 1.0 and no <class 'int'>"]),
        ({"text": "", "size": True}, ["$.size is True and no <class 'int'>"]),
        (GOOD | {"extra": None}, ["$.extra is unknown"]),
        (GOOD | {"usage": {"type": "tokens", "total": "1"}}, ["$.usage.total is '1' and no <class 'int'>"]),
        (GOOD | {"usage": {"type": "other", "total": 1}}, ["$.usage.type is 'other' and no typing.Literal['tokens']"]),
        (GOOD | {"parts": [{"type": "duration"}]}, ["$.parts[0].seconds is missing"]),
        (GOOD | {"sizes": {"a": None}}, ["$.sizes['a'] is None and no <class 'int'>"]),
        (GOOD | {"sizes": None}, ["$.sizes is None and no dict[str, int]"]),
        (GOOD | {"created": 1}, ["$.created is 1 and no <class 'datetime.datetime'>"]),
        (GOOD | {"renamed": True}, ["$.renamed is unknown"]),
    ],
)
def test_each_difference_is_reported(value: dict[str, object], errors: list[str]) -> None:
    assert shape_errors(value, Reply) == errors
