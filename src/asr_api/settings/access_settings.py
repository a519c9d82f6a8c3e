"""Settings of access: who may use the server, from where, and what clients may name."""

from __future__ import annotations

import ipaddress
import re
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr, field_validator
from pydantic_settings import NoDecode

from asr_api.settings.declaration import DeclaredSettings, setting, split

IpNetwork = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network, BeforeValidator(partial(ipaddress.ip_network, strict=False))
]
ANY_ORIGIN = "*"
ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")


def _host_pattern(entry: str) -> str:
    from asr_api.audio.sources.url import host_pattern  # importing httpx takes 0.1 s; only this setting needs it

    return host_pattern(entry)


def _origin(entry: str) -> str:
    """As browsers send it: scheme, host and port, without a path."""
    origin = entry.removesuffix("/").lower()
    if origin != ANY_ORIGIN and not ORIGIN.fullmatch(origin):
        raise ValueError
    return origin


def _not_empty(value: object) -> object:
    """An empty value may be a secret that was not found: a server without keys would be open to everybody."""
    if value == "":
        raise ValueError
    return value


HostPattern = Annotated[str, AfterValidator(_host_pattern)]
Origin = Annotated[str, AfterValidator(_origin)]
SecretText = Annotated[SecretStr, BeforeValidator(_not_empty)]
NamedPath = Annotated[Path, BeforeValidator(_not_empty)]


class AccessSettings(DeclaredSettings):
    api_keys: SecretText | None = setting(
        None,
        "Keys of which every request must carry one, separated by commas, each with a name for the log: "
        "`alice:KEY,bob:KEY`. Without keys anyone who can reach the server may use it. An empty "
        "value is an error.",
        shown="none",
        by_default="Unset it for a server without keys",
        allowed="keys such as alice:KEY,bob:KEY",
        server_only=True,
    )
    api_keys_file: NamedPath | None = setting(
        None,
        "TOML file with a table for each key, instead of `API_KEYS` or beside it: `key` or `sha256`, and its limits "
        "`max_requests`, `audio_s_per_hour` and `priority`. An empty value is an error.",
        shown="none",
        by_default="Unset it for a server without keys",
        allowed="the path of a TOML file",
        server_only=True,
    )
    metrics_port: int | None = setting(
        None,
        "Port for `/metrics` alone, without a key; the main port has none then.",
        shown="the main port",
        by_default="By default metrics are on the main port",
        ge=1,
        le=65535,
        server_only=True,
    )
    proxy_trust: Annotated[tuple[IpNetwork, ...], NoDecode, BeforeValidator(split)] = setting(
        (),
        "Networks of proxies whose `X-Forwarded-For` is believed, such as `10.0.0.0/8`, separated by commas; limits "
        "then count for the client that the proxy names.",
        shown="none",
        by_default="By default there are none",
        allowed="networks such as 10.0.0.0/8, separated by commas",
        server_only=True,
    )
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(split)] = setting(
        (),
        "Origins of other web pages that may use the server, such as `https://app.example.org`, separated by commas; "
        "`*` is any page. A name with a star is an error.",
        shown="none",
        by_default="By default there are none",
        allowed="origins such as https://app.example.org, separated by commas, or *",
        server_only=True,
    )
    allowed_local_media_path: str | None = setting(
        None,
        "Folder below which any client of `POST /asr` may name local files. An empty value switches local paths off. "
        "If it is not set, only programs of the server's own user may name them, on the same machine and not through a "
        "proxy.",
        shown="the server's own user",
        by_default="By default only programs of the server's own user may name local files",
        allowed="a folder that exists, or empty to switch local paths off",
        server_only=True,
    )
    allowed_media_domains: Annotated[tuple[HostPattern, ...], NoDecode, BeforeValidator(split)] = setting(
        (),
        "Hosts that links may point to, separated by commas: `example.org` is that host alone, `*.example.org` every "
        "host below it. Empty allows any public host.",
        shown="any public host",
        by_default="By default any public host is allowed",
        allowed="host names such as example.org or *.example.org, separated by commas",
    )
    allow_private_cidrs: Annotated[tuple[IpNetwork, ...], NoDecode, BeforeValidator(split)] = setting(
        (),
        "Networks that links may point to although they are not public, such as `10.0.0.0/8`, separated by commas.",
        shown="none",
        by_default="By default there are none",
        allowed="networks such as 10.0.0.0/8, separated by commas",
    )

    @field_validator("allowed_local_media_path")
    @classmethod
    def _is_folder(cls, value: str | None) -> str | None:
        if value and not Path(value).is_dir():
            raise ValueError
        return value
