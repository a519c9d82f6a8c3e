"""API keys: `API_KEYS` and `API_KEYS_FILE` → `ApiKeys`, which holds their hashes and limits."""

from __future__ import annotations

import hashlib
import hmac
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asr_api.errors import SettingsError
from asr_api.request import AccountLimits
from asr_api.settings.settings import Settings

MIN_KEY_CHARS = 16
KEY = re.compile(rf"[!-+\--~]{{{MIN_KEY_CHARS},512}}")  # visible ASCII without the comma
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")


class ApiKey(BaseModel):
    """One client. sha256: of the key, in hexadecimal; limits that are None are those of the server"""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    sha256: str = Field(repr=False)
    max_requests: Annotated[int, Field(ge=1)] | None = None
    audio_s_per_hour: Annotated[float, Field(gt=0, strict=False)] | None = None
    priority: Annotated[int, Field(ge=-10, le=10)] = 0

    @property
    def limits(self) -> AccountLimits:
        return AccountLimits(self.max_requests, self.audio_s_per_hour)


class ApiKeys:
    """All keys of the server. False without any."""

    def __init__(self, keys: Sequence[ApiKey] = ()) -> None:
        self._keys = [(bytes.fromhex(key.sha256), key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, candidates: Iterable[str]) -> ApiKey | None:
        """The key that one of the texts is. Takes the same time wherever they differ."""
        digests = [hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in candidates]
        found = [key for known, key in self._keys for digest in digests if hmac.compare_digest(known, digest)]
        return found[0] if found else None


def read_api_keys(settings: Settings) -> ApiKeys:
    """Raises SettingsError, which never shows a key."""
    keys = [] if settings.api_keys is None else list(_listed_keys(settings.api_keys.get_secret_value()))
    if settings.api_keys_file is not None:
        keys += _keys_of_file(settings.api_keys_file)
    if settings.api_keys_file is not None and not keys:
        raise SettingsError(f"API_KEYS_FILE is '{settings.api_keys_file}', which has no key; add a table for each key.")
    for what, values in (("name", [key.name for key in keys]), ("key", [key.sha256 for key in keys])):
        if len(set(values)) < len(values):
            raise SettingsError(f"API_KEYS and API_KEYS_FILE have the same {what} twice; each must be another one.")
    return ApiKeys(keys)


def _listed_keys(text: str) -> Iterable[ApiKey]:
    for number, entry in enumerate((part.strip() for part in text.split(",")), 1):
        name, _, key = entry.rpartition(":")
        yield _api_key(name or f"key-{number}", {"key": key}, f"Entry {number} of API_KEYS")


def _keys_of_file(path: Path) -> list[ApiKey]:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"API_KEYS_FILE is '{path}', which cannot be read ({reason}); correct it.") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at .*\)", str(error))
        where = place[0] if place else ""
        raise SettingsError(f"API_KEYS_FILE is '{path}', which is not TOML {where}; correct it.") from None
    return [_api_key(name, table, f"[{name[:40]}] in API_KEYS_FILE") for name, table in tables.items()]


def _api_key(name: str, table: object, where: str) -> ApiKey:
    if not NAME.fullmatch(name):
        raise SettingsError(f"{where} has a name that is not 1 to 64 letters, digits, dots, dashes or underscores.")
    if not isinstance(table, Mapping):
        raise SettingsError(f'{where} is not a table; write [name] and below it key = "…".')
    values: dict[str, Any] = {**table}
    key, sha256 = values.pop("key", None), values.pop("sha256", None)
    if (key is None) == (sha256 is None):
        raise SettingsError(f"{where} must have either key or sha256.")
    if key is not None and not (isinstance(key, str) and KEY.fullmatch(key)):
        raise SettingsError(
            f"{where} has a key that is not {MIN_KEY_CHARS} to 512 visible ASCII characters without a comma; "
            "`openssl rand -hex 32` makes a good one."
        )
    if sha256 is not None and not (isinstance(sha256, str) and SHA256.fullmatch(sha256)):
        raise SettingsError(f"{where} has a sha256 that is not 64 hexadecimal digits in lower case.")
    digest = sha256 or hashlib.sha256(str(key).encode()).hexdigest()
    try:
        return ApiKey(name=name, sha256=digest, **values)
    except ValidationError as error:
        wrong = error.errors()[0]
        known = wrong["type"] != "extra_forbidden"
        problem = wrong["msg"].lower() if known else "it must be max_requests, audio_s_per_hour or priority"
        raise SettingsError(f"{where} has a wrong {wrong['loc'][0]}: {problem}.") from None
