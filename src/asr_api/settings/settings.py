"""The settings: each option is declared once and becomes an environment variable, a CLI flag and a row of the README.

In: the environment and the flags of a command line. Out: one checked, frozen `Settings`, or a SettingsError that names
the option, the value, what is allowed and the remedy. The only reader of the environment; knows nothing about the
parts that the settings are for.
"""

from __future__ import annotations

import ipaddress
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from asr_api.errors import InvalidParameter, SettingsError
from asr_api.settings.declaration import complaint, setting, switch, table_row
from asr_api.text.languages import language_code

MODEL_WINDOW_S = 30.0  # every Whisper model sees 30 s
MAX_WINDOW_TOKENS = 444  # Whisper's 448 target positions, less the four tokens that start a transcript
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
LogLevel = Literal["debug", "info", "warning", "error"]


def _host_pattern(entry: str) -> str:
    from asr_api.audio.sources.url import host_pattern  # httpx takes 0.1 s to import, which only those pay who set it

    return host_pattern(entry)


HostPattern = Annotated[str, AfterValidator(_host_pattern)]


class Settings(BaseSettings):
    """Every option, in the order of the README's table. An empty variable counts as not set, except where noted."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", protected_namespaces=(), allow_inf_nan=False)

    host: str = setting("*", "Address or name to listen on; `*` is all of them, IPv4 and IPv6.", server_only=True)
    port: int = setting(8000, "Port to listen on; 0 takes a free one and prints it.", ge=0, le=65535, server_only=True)
    model_id: str = setting(
        "openai/whisper-large-v3",
        "Model: a hub id, a local folder, or `builtin` for the small model inside the package.",
    )
    model_revision: str | None = setting(
        None,
        "Branch, tag or commit of the hub id. Where it has no effect, the start says so.",
        shown="the default branch",
    )
    cache_dir: Path = setting(
        Path("/data"),
        "Where downloaded models are kept; writable when one has to be downloaded. While it is not set and `/data` is "
        "not there or not writable, your own cache folder is used (`~/.cache/asr-api`), and the start says so.",
    )
    batch_size: int = setting(16, "Slots: windows that are decoded at the same time.", ge=1, le=256)
    max_new_tokens: int = setting(
        128,
        "Tokens the model may write in one pass over a window. A window that needs more is continued from its last "
        "timestamp, so no text is ever cut off: less frees slots sooner, more saves second passes over dense speech.",
        ge=1,
        le=MAX_WINDOW_TOKENS,
    )
    chunk_length_s: float = setting(
        MODEL_WINDOW_S,
        "Length of a window in seconds; the model sees at most 30. Less than 10 costs words.",
        ge=1,
        le=MODEL_WINDOW_S,
    )
    stride_length_s: float | None = setting(
        None,
        "Seconds at each seam of two windows in which the cut may move to a pause; where there is none, the windows "
        "overlap by as much. Less than half of `CHUNK_LENGTH_S`.",
        shown="`CHUNK_LENGTH_S` / 6",
        gt=0,
    )
    flash_attention_2: bool | None = setting(
        None, "FlashAttention 2 on a GPU. Where `1` has no effect, the start says so.", shown="`1` where it can",
        allowed="1 or 0",
    )  # fmt: skip
    compute_type: Literal["auto", "float32", "int8", "int8_bfloat16"] = setting(
        "auto",
        "What a CPU computes in: `float32`, `int8` or `int8_bfloat16`; `auto` is the quickest that is there.",
        allowed="auto, float32, int8 or int8_bfloat16",
    )
    beam_size: int = setting(
        1, "Texts kept for a window while it is decoded; 1 is quickest, 5 a little more accurate.", ge=1, le=10
    )
    condition_on_previous_text: bool = switch(
        False,
        "Let each window go on from the text of the one before: names and style stay the same, mistakes too. The "
        "windows of one file are then transcribed one after the other.",
    )
    vad: bool = switch(
        False, "Mute what a voice activity model takes for no speech, by default; needs `pip install 'asr-api[vad]'`."
    )
    default_language: str | None = setting(
        None, "Language of requests that name none, such as `en`.", shown="detected",
        allowed="a language that Whisper knows, such as en", server_only=True,
    )  # fmt: skip
    num_threads: int = setting(
        0, "Threads of the engine on a CPU; 0 lets it choose from the cores it may use.", ge=0, le=1024
    )
    max_requests: int | None = setting(
        None,
        "Requests being worked on or waiting; one more is answered 429 with the time to come back.",
        shown="4 × `BATCH_SIZE`",
        ge=1,
        server_only=True,
    )
    max_upload_mb: int = setting(512, "Largest upload or download, in MiB.", ge=1, le=1024 * 1024)
    max_audio_s: float = setting(14_400, "Longest audio, in seconds.", gt=0)
    allowed_local_media_path: str | None = setting(
        None,
        "Folder below which `POST /asr` may name local files, for any client. Empty switches local paths off. While "
        "it is not set, only clients on the same machine may name them (loopback, no proxy between).",
        shown="clients on this machine",
        allowed="a folder that exists, or empty to switch local paths off",
        server_only=True,
    )
    allowed_media_domains: Annotated[tuple[HostPattern, ...], NoDecode] = setting(
        (),
        "Comma-separated hosts that links may point to: `example.org` is that host alone, `*.example.org` every host "
        "below it. Empty is any public host.",
        shown="any public host",
        allowed="host names such as example.org or *.example.org, separated by commas",
    )
    allow_private_cidrs: Annotated[tuple[IpNetwork, ...], NoDecode] = setting(
        (),
        "Comma-separated networks that links may point to although they are not public, such as `10.0.0.0/8`.",
        shown="none",
        allowed="networks such as 10.0.0.0/8, separated by commas",
    )
    shutdown_timeout_s: float = setting(
        30, "Seconds that running requests get to finish after SIGTERM or SIGINT.", ge=0, server_only=True
    )
    salad_machine_id: str = setting(
        "", "Returned in the header `X-Salad-Machine-ID`; SaladCloud sets it.", shown="empty", server_only=True
    )
    salad_container_group_id: str = setting(
        "", "Returned in the header `X-Salad-Container-Group-ID`; SaladCloud sets it.", shown="empty", server_only=True
    )
    log_level: LogLevel = setting("info", "How much is written to stderr.", allowed="debug, info, warning or error")

    # Below this border a setting has the name that the parts use for it.

    @property
    def n_slots(self) -> int:
        return self.batch_size

    @property
    def window_s(self) -> float:
        return self.chunk_length_s

    @property
    def stride_s(self) -> float:
        return self.chunk_length_s / 6 if self.stride_length_s is None else self.stride_length_s

    @property
    def max_queued_requests(self) -> int:
        return 4 * self.batch_size if self.max_requests is None else self.max_requests

    @property
    def max_media_bytes(self) -> int:
        return self.max_upload_mb * 1024 * 1024

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: dict[str, object]) -> dict[str, object]:
        """Compose files set variables to nothing; only here does nothing mean something."""
        return {name: value for name, value in values.items() if value != "" or name == "allowed_local_media_path"}

    @field_validator("allowed_media_domains", "allow_private_cidrs", mode="before")
    @classmethod
    def _split(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts:  # commas alone must not mean that everything is allowed
            raise ValueError
        if info.field_name == "allowed_media_domains":
            return parts
        return [ipaddress.ip_network(part, strict=False) for part in parts]

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("default_language")
    @classmethod
    def _is_language(cls, value: str | None) -> str | None:
        try:
            return value and language_code(value)
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
                f"STRIDE_LENGTH_S is {self.stride_s:g}; it must be less than half of CHUNK_LENGTH_S, "
                f"{self.chunk_length_s / 2:g} s. Leave it out for a sixth"
            )
        return self


@dataclass(frozen=True, slots=True)
class CacheFolder:
    """note: why it is not the one that the settings name; problem: why nothing can be downloaded into it"""

    path: Path
    note: str | None = None
    problem: str | None = None


def read_settings(flags: Mapping[str, str]) -> Settings:
    """Settings from the environment, with the flags of a command line on top. flags: field name → text."""
    try:
        return Settings(**dict[str, Any](flags))
    except ValidationError as error:
        sentences = [_sentence(part) for part in error.errors()]
        raise SettingsError("; ".join(sentences) + ".") from None


def find_cache_folder(settings: Settings) -> CacheFolder:
    """The folder for models. It need not be there yet; what it holds can be used although it can't be written."""
    wanted = settings.cache_dir
    if "cache_dir" in settings.model_fields_set:
        if _can_be_made(wanted):
            return CacheFolder(wanted)
        problem = f"CACHE_DIR is '{wanted}', which can't be written; change its owner or name another folder."
        return CacheFolder(wanted, problem=problem)
    if _is_writable(wanted):
        return CacheFolder(wanted)
    own = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "asr-api"  # noqa: PTH111  # Path's raises
    if own.is_absolute() and _can_be_made(own):  # where nobody knows a home, `~` stays `~`
        return CacheFolder(own, f"{wanted} is not there or can't be written; set CACHE_DIR to choose another folder")
    problem = f"CACHE_DIR is not set, and neither {wanted} nor {own} can be written; set it to a folder that can."
    return CacheFolder(wanted, problem=problem)


def check_spool_folder() -> None:
    """Raises SettingsError when uploads can't be put where they should; Python passes over a bad TMPDIR in silence."""
    named = os.environ.get("TMPDIR") or None
    if not _is_writable(named):
        what = f"'{named}', which" if named else "not set, and none of the usual folders for temporary files"
        raise SettingsError(
            f"TMPDIR is {what} can't be written; set it to one that can: uploads and downloads go there."
        )


def settings_table() -> str:
    """The README's table of settings, in markdown."""
    rows = ["| Variable | Flag | Default | Meaning |", "|---|---|---|---|"]
    rows += [table_row(name, field) for name, field in Settings.model_fields.items()]
    return "\n".join(rows)


def _sentence(part: ErrorDetails) -> str:
    """One sentence about a bad value, or about values that do not go together."""
    if not part["loc"]:
        return part["msg"].removeprefix("Value error, ")
    name = str(part["loc"][0])
    return complaint(name, Settings.model_fields[name], part["input"])


def _can_be_made(folder: Path) -> bool:
    """Whether it can be written, or made by who writes to it."""
    return _is_writable(next(one for one in (folder, *folder.parents) if os.path.lexists(one)))


def _is_writable(folder: Path | str | None) -> bool:
    """None: where Python puts temporary files."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
