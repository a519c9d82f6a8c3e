"""One setting: how it is declared, and what people are told of it: its flag, its row of the README, a complaint.

Knows nothing about which settings there are.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo


def setting(
    default: object, text: str, *, shown: str = "", allowed: str = "", server_only: bool = False, **bounds: Any
) -> Any:
    """A field. shown: the default in the README, where the value does not say it; allowed: unless it is a number."""
    extra: dict[str, Any] = {"shown": shown, "allowed": allowed, "server_only": server_only}
    return Field(default, description=text, json_schema_extra=extra, **bounds)


def switch(default: bool, text: str) -> Any:
    return setting(default, text, shown=f"`{default:d}`", allowed="1 or 0")


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def is_server_only(field: FieldInfo) -> bool:
    return bool(_extra(field)["server_only"])


def table_row(name: str, field: FieldInfo) -> str:
    """A row of the README's table: variable, flag, default, meaning."""
    shown = _extra(field)["shown"] or f"`{_plain(field.default)}`"
    allowed = f" Allowed: {_allowed(field)}." if _bounds(field) else ""
    return f"| `{name.upper()}` | `{flag_of(name)}` | {shown} | {field.description}{allowed} |"


def complaint(name: str, field: FieldInfo, value: object) -> str:
    """About a bad value: the name, the value, what is allowed and the default; without a full stop."""
    default = _extra(field)["shown"].replace("`", "") or _plain(field.default)
    return f"{name.upper()} is '{str(value)[:80]}'; it must be {_allowed(field)}. The default is {default}"


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
    found = {
        kind: _plain(bound)
        for part in field.metadata
        for kind in ("ge", "gt", "le")
        if (bound := getattr(part, kind, None)) is not None
    }
    if "ge" in found and "le" in found:
        return f"from {found['ge']} to {found['le']}"
    if "gt" in found:
        return f"above {found['gt']}"
    return f"of at least {found['ge']}" if "ge" in found else ""
