"""Fields of the dialects: one value of a name, numbers in their limits, and the error that names the field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from asr_api.errors import InvalidParameter
from asr_api.parameters import RawParameter

T = TypeVar("T", int, float)
MAX_SHOWN_CHARS = 40


def field_texts(fields: Sequence[RawParameter], name: str) -> list[str]:
    """All values; an empty one counts as not given."""
    return [field.text for field in fields if field.name == name and field.text]


def field_text(fields: Sequence[RawParameter], name: str) -> str:
    """Empty if it is not given. Raises InvalidParameter for more than one value."""
    texts = field_texts(fields, name)
    if len(texts) > 1:
        raise InvalidParameter(f"{name} has more than one value; give it one.", parameter=name)
    return texts[0] if texts else ""


def number_from(name: str, text: str, kind: Callable[[str], T], limits: tuple[T, T], allowed: str) -> T:
    """Raises InvalidParameter. allowed: what the value must be, to end a sentence with"""
    try:
        number = kind(text)
    except ValueError:
        raise invalid_field(name, text, allowed) from None
    if not limits[0] <= number <= limits[1]:
        raise invalid_field(name, text, allowed)
    return number


def invalid_field(name: str, text: str, allowed: str) -> InvalidParameter:
    return InvalidParameter(f"{name} is {text[:MAX_SHOWN_CHARS]!r}; it must be {allowed}.", parameter=name)
