"""`shape_errors`: where JSON differs from a type of an SDK. The SDKs themselves accept nearly everything."""

from __future__ import annotations

from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

# JSON has one kind of number; a date is a text.
SCALARS: dict[object, tuple[type, ...]] = {
    bool: (bool,),
    datetime: (str,),
    float: (float, int),
    int: (int,),
    str: (str,),
    NoneType: (NoneType,),
}


def shape_errors(value: object, expected: Any, where: str = "$") -> list[str]:
    """One line for each key that is missing or unknown, and each value of another type.

    expected: a model of pydantic, or any type that its fields may have
    """
    origin, arguments = get_origin(expected), get_args(expected)
    if expected in (Any, object):
        return []
    if origin is Annotated:
        return shape_errors(value, arguments[0], where)
    if origin in (Union, UnionType):
        candidates = [each for each in arguments if (each is NoneType) is (value is None)]
        return min(
            (shape_errors(value, each, where) for each in candidates), key=len, default=[f"{where} is {value!r}"]
        )
    if origin in (list, dict) and isinstance(value, origin):
        items = value.items() if origin is dict else enumerate(value)
        return [line for key, item in items for line in shape_errors(item, arguments[-1], f"{where}[{key!r}]")]
    if isinstance(expected, type) and issubclass(expected, BaseModel) and isinstance(value, dict):
        return _model_errors(value, expected, where)
    is_right = value in arguments if origin is Literal else type(value) in SCALARS.get(expected, ())
    return [] if is_right else [f"{where} is {value!r} and no {expected}"]


def _model_errors(value: dict[str, object], model: type[BaseModel], where: str) -> list[str]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    missing = [
        f"{where}.{name} is missing" for name, field in fields.items() if field.is_required() and name not in value
    ]
    unknown = [f"{where}.{name} is unknown" for name in value if name not in fields]
    wrong = [
        line
        for name, field in fields.items()
        if name in value
        for line in shape_errors(value[name], field.annotation, f"{where}.{name}")
    ]
    return missing + unknown + wrong
