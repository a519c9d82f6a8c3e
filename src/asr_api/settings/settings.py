"""`Settings`: every option, declared once; each is an environment variable, a CLI flag and a row of the README.

`read_settings` gives checked, frozen settings, or a SettingsError that names the option, the value, what is allowed and
the default. Only this package reads the environment.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from asr_api.engines.checkpoints.catalogue import full_model_id
from asr_api.engines.checkpoints.resolve import find_folder
from asr_api.engines.protocol import ComputeType
from asr_api.errors import InvalidParameter, SettingsError
from asr_api.settings.declaration import bad_value_error, setting, switch, table_row
from asr_api.text.languages import language_or_auto

MODEL_WINDOW_S = 30.0  # of every Whisper model
STRIDE_SHARE = 0.4  # of a window
Preset = Literal["fast", "best"]
BEAM_SIZES: dict[Preset, int] = {"fast": 1, "best": 5}
MAX_WINDOW_TOKENS = 444  # Whisper's 448 target positions, less the four tokens before a transcript
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)]
# Names of OpenAI's models, so that its clients need no other change than an address.
DEFAULT_ALIASES = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-transcribe",
)
MIB = 1024 * 1024


def _host_pattern(entry: str) -> str:
    from asr_api.audio.sources.url import host_pattern  # importing httpx takes 0.1 s; only this setting needs it

    return host_pattern(entry)


def _listed(names: Iterable[str]) -> str:
    """`a, b or c`"""
    *most, last = names
    return f"{', '.join(most)} or {last}"


HostPattern = Annotated[str, AfterValidator(_host_pattern)]


class Settings(BaseSettings):
    """Every option, in the order of the README's table. An empty variable counts as not set, except where noted."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", protected_namespaces=(), allow_inf_nan=False)

    host: str = setting("*", "Address or name to listen on; `*` is all of them, IPv4 and IPv6.", server_only=True)
    port: int = setting(8000, "Port to listen on; 0 takes a free one and prints it.", ge=0, le=65535, server_only=True)
    model_id: str = setting(
        "openai/whisper-large-v3",
        "Model: a short name such as `base` or `turbo`, a hub id, a local folder, or `builtin` for the small model "
        "inside the package. `asr-api models` lists the short names.",
    )
    model_aliases: Annotated[tuple[str, ...], NoDecode] = setting(
        DEFAULT_ALIASES,
        "Names that stand for the model in OpenAI's API, separated by commas.",
        shown=f"`{','.join(DEFAULT_ALIASES)}`",
        allowed="names separated by commas",
        server_only=True,
    )
    model_revision: str | None = setting(
        None,
        "Branch, tag or commit of the hub id. The log says at start when it has no effect.",
        shown="the default branch",
    )
    cache_dir: Path = setting(
        Path("/data"),
        "Folder for downloaded models; it must be writable when one has to be downloaded. If it is not set and `/data` "
        "does not exist or is not writable, `~/.cache/asr-api` is used, and the log says so at start.",
    )
    batch_size: int = setting(16, "Number of slots: windows that are decoded at the same time.", ge=1, le=256)
    max_new_tokens: int = setting(
        128,
        "Most tokens in one decoding of a window. A window that needs more is decoded again from its last timestamp, "
        "so no text is cut off. A lower value frees slots sooner, a higher one saves second decodings of dense speech.",
        ge=1,
        le=MAX_WINDOW_TOKENS,
    )
    chunk_length_s: float = setting(
        MODEL_WINDOW_S,
        "Length of a window in seconds; models take at most 30. Values below 10 lose words.",
        ge=1,
        le=MODEL_WINDOW_S,
    )
    stride_length_s: float = setting(
        lambda before: before["chunk_length_s"] * STRIDE_SHARE,
        "Seconds before the end of a window in which a recording may be cut; it is cut at the quietest point of them. "
        "More gives better cuts, less gives fuller windows. It must be less than half of `CHUNK_LENGTH_S`.",
        shown="0.4 × `CHUNK_LENGTH_S`",
        gt=0,
    )
    flash_attention_2: bool | None = setting(
        None, "FlashAttention 2 on a GPU. The log says at start when `1` has no effect.", shown="`1` if available",
        by_default="By default it is used if it is available", allowed="1 or 0",
    )  # fmt: skip
    compute_type: ComputeType = setting(
        "auto",
        f"Type of matrix products on a CPU: {_listed(f'`{name}`' for name in get_args(ComputeType))}; `auto` is the "
        "fastest one available.",
        allowed=_listed(get_args(ComputeType)),
    )
    preset: Preset = setting(
        "fast",
        "`fast` decodes greedily. `best` makes fewer errors, by beam search and by prompting each window with the text "
        "before it, and takes about three times as long.",
        allowed=_listed(get_args(Preset)),
    )
    beam_size: int = setting(
        lambda before: BEAM_SIZES[before["preset"]],
        "Hypotheses of beam search; 1 is greedy.",
        shown="`1`; `5` with `PRESET=best`",
        ge=1,
        le=10,
    )
    condition_on_previous_text: bool = setting(
        lambda before: before["preset"] == "best",
        "Prompt each window with the text before it, in pieces of up to three windows: names and style stay the same, "
        "but so do mistakes.",
        shown="`0`; `1` with `PRESET=best`",
        allowed="1 or 0",
    )
    vad: bool = switch(
        False,
        "By default, mute audio in which a voice activity model finds no speech.",
    )
    default_language: str | None = setting(
        None, "Language of requests that name none, such as `en`; `auto` is the default.", shown="detected",
        by_default="By default it is detected", allowed="a language of Whisper, such as en, or auto", server_only=True,
    )  # fmt: skip
    num_threads: int = setting(0, "Threads of the engine on a CPU; 0 chooses by the usable cores.", ge=0, le=1024)
    max_requests: int = setting(
        lambda before: 4 * before["batch_size"],
        "Most requests in progress or waiting; the next one gets 429 with the time to try again.",
        shown="4 × `BATCH_SIZE`",
        ge=1,
        server_only=True,
    )
    result_cache_s: float = setting(
        600,
        "Seconds for which a transcript stays in memory (64 MiB at most), for repeats of the same request: the same "
        "content, parameters and API key. With 0 none stays, and repeats do not join a running transcription either.",
        ge=0,
        server_only=True,
    )
    max_upload_mb: int = setting(512, "Largest upload or download, in MiB.", ge=1, le=MIB)
    max_audio_s: float = setting(14_400, "Longest audio, in seconds.", gt=0)
    allowed_local_media_path: str | None = setting(
        None,
        "Folder below which any client of `POST /asr` may name local files. An empty value switches local paths off. "
        "If it is not set, only clients on the same machine may name them (loopback, without a proxy).",
        shown="clients on this machine",
        by_default="By default only clients on this machine may name local files",
        allowed="a folder that exists, or empty to switch local paths off",
        server_only=True,
    )
    allowed_media_domains: Annotated[tuple[HostPattern, ...], NoDecode] = setting(
        (),
        "Hosts that links may point to, separated by commas: `example.org` is that host alone, `*.example.org` every "
        "host below it. Empty allows any public host.",
        shown="any public host",
        by_default="By default any public host is allowed",
        allowed="host names such as example.org or *.example.org, separated by commas",
    )
    allow_private_cidrs: Annotated[tuple[IpNetwork, ...], NoDecode] = setting(
        (),
        "Networks that links may point to although they are not public, such as `10.0.0.0/8`, separated by commas.",
        shown="none",
        by_default="By default there are none",
        allowed="networks such as 10.0.0.0/8, separated by commas",
    )
    shutdown_timeout_s: float = setting(30, "Seconds that open requests get at a shutdown.", ge=0, server_only=True)
    salad_machine_id: str = setting(
        "", "Returned in the header `X-Salad-Machine-ID`; SaladCloud sets it.", shown="empty", server_only=True
    )
    salad_container_group_id: str = setting(
        "", "Returned in the header `X-Salad-Container-Group-ID`; SaladCloud sets it.", shown="empty", server_only=True
    )
    log_level: LogLevel = setting("info", "Level of the log on stderr.", allowed="debug, info, warning or error")

    # The names that the rest of the package uses, where they differ from the variable's.

    @property
    def n_slots(self) -> int:
        return self.batch_size

    @property
    def window_s(self) -> float:
        return self.chunk_length_s

    @property
    def stride_s(self) -> float:
        return self.stride_length_s

    @property
    def max_media_bytes(self) -> int:
        return self.max_upload_mb * MIB

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: dict[str, object]) -> dict[str, object]:
        """An empty variable, as compose files set it, counts as not set, except where empty has a meaning."""
        return {name: value for name, value in values.items() if value != "" or name == "allowed_local_media_path"}

    @field_validator("allowed_media_domains", "allow_private_cidrs", "model_aliases", mode="before")
    @classmethod
    def _split(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts:  # commas alone must not allow every host
            raise ValueError
        if info.field_name == "allow_private_cidrs":
            return [ipaddress.ip_network(part, strict=False) for part in parts]
        return parts

    @field_validator("model_id")
    @classmethod
    def _full_model_id(cls, value: str) -> str:
        return value if find_folder(value) else full_model_id(value)

    @field_validator("default_language")
    @classmethod
    def _is_language(cls, value: str | None) -> str | None:
        try:
            return language_or_auto(value) if value else None
        except InvalidParameter:
            raise ValueError from None

    @field_validator("allowed_local_media_path")
    @classmethod
    def _is_folder(cls, value: str | None) -> str | None:
        if value and not Path(value).is_dir():
            raise ValueError
        return value

    @model_validator(mode="after")
    def _stride_fits(self) -> Settings:
        if self.stride_s >= self.chunk_length_s / 2:
            raise ValueError(
                f"STRIDE_LENGTH_S is '{self.stride_s:g}'; it must be less than half of CHUNK_LENGTH_S, "
                f"{self.chunk_length_s / 2:g} s. The default is 0.4 × CHUNK_LENGTH_S."
            )
        return self


def read_settings(flags: Mapping[str, str]) -> Settings:
    """Settings from the environment; flags of a command line (field name → text) take precedence.

    Raises SettingsError with one sentence for every bad value.
    """
    try:
        return Settings(**dict[str, Any](flags))
    except ValidationError as error:
        # A default that depends on a bad value has an error of its own, which adds nothing.
        errors = [detail for detail in error.errors() if detail["type"] != "default_factory_not_called"]
        raise SettingsError(" ".join(map(_sentence, errors))) from None


def settings_table() -> str:
    """The README's table of settings, in markdown."""
    rows = ["| Variable | Flag | Default | Meaning |", "|---|---|---|---|"]
    rows += [table_row(name, field) for name, field in Settings.model_fields.items()]
    return "\n".join(rows)


def _sentence(error: ErrorDetails) -> str:
    if not error["loc"]:
        return error["msg"].removeprefix("Value error, ")
    name = str(error["loc"][0])
    return bad_value_error(name, Settings.model_fields[name], error["input"])
