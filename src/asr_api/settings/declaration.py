"""Declaration of settings: their base class, a field, its flag, its row in the README, the error for a bad value."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

MAX_SHOWN_CHARS = 80  # of a bad value


class DeclaredSettings(BaseSettings):
    """A group of settings; `settings.Settings` is all of them."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", protected_namespaces=(), allow_inf_nan=False)


def split(value: object) -> object:
    """For `BeforeValidator`: the parts of a text with commas; ValueError for commas alone, which must allow nothing."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts:
        raise ValueError
    return parts


def setting(
    default: object,
    text: str,
    *,
    shown: str = "",
    by_default: str = "",
    allowed: str = "",
    server_only: bool = False,
    **bounds: Any,
) -> Any:
    """A field of `Settings`.

    default:     the value, or a function from the settings before this one to the value
    shown:       the default in the README, where the value does not say it
    by_default:  a sentence that replaces "The default is …." in errors, without the full stop
    allowed:     what the value must be; for numbers it follows from the bounds
    server_only: it has no effect on `asr-api transcribe`
    """
    extra: dict[str, Any] = {"shown": shown, "by_default": by_default, "allowed": allowed, "server_only": server_only}
    source: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return Field(description=text, json_schema_extra=extra, **source, **bounds)


def switch(default: bool, text: str) -> Any:
    return setting(default, text, shown=f"`{default:d}`", allowed="1 or 0")


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def is_server_only(field: FieldInfo) -> bool:
    return bool(_extra(field)["server_only"])


def table_row(name: str, field: FieldInfo) -> str:
    """Of the README's table: variable, flag, default, meaning."""
    shown = _extra(field)["shown"] or f"`{_plain(field.default)}`"
    allowed = f" Allowed: {_allowed(field)}." if _bounds(field) else ""
    return f"| `{name.upper()}` | `{flag_of(name)}` | {shown} | {field.description}{allowed} |"


def bad_value_error(name: str, field: FieldInfo, value: object) -> str:
    """Sentences with the name, the value, what is allowed and the default."""
    default = _extra(field)["shown"].replace("`", "") or _plain(field.default)
    by_default = _extra(field)["by_default"] or f"The default is {default}"
    return f"{name.upper()} is '{str(value)[:MAX_SHOWN_CHARS]}'; it must be {_allowed(field)}. {by_default}."


def _allowed(field: FieldInfo) -> str:
    if allowed := _extra(field)["allowed"]:
        return str(allowed)
    number = "a whole number" if "int" in str(field.annotation) else "a number"
    return f"{number} {_bounds(field)}"


def _extra(field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra
    assert isinstance(extra, dict)  # noqa: S101  # every field is made by `setting`
    return extra


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bounds(field: FieldInfo) -> str:
    """`from 1 to 256`, `of at least 1`, `above 0` or nothing."""
    bounds = {
        kind: _plain(bound)
        for part in field.metadata
        for kind in ("ge", "gt", "le")
        if (bound := getattr(part, kind, None)) is not None
    }
    if "ge" in bounds and "le" in bounds:
        return f"from {bounds['ge']} to {bounds['le']}"
    if "gt" in bounds:
        return f"above {bounds['gt']}"
    return f"of at least {bounds['ge']}" if "ge" in bounds else ""
