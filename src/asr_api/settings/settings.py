"""`Settings`: every option, declared once; each is an environment variable, a CLI flag and a row of the README.

`read_settings` gives checked, frozen settings, or a SettingsError that names the option, the value, what is allowed and
the default. Only this package reads the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ValidationError, model_validator
from pydantic_core import ErrorDetails

from asr_api.errors import SettingsError
from asr_api.logs import LogFormat
from asr_api.settings.access_settings import AccessSettings
from asr_api.settings.declaration import bad_value_error, setting, table_row
from asr_api.settings.limit_settings import MIB, LimitSettings
from asr_api.settings.model_settings import ModelSettings

LogFormatName = Annotated[LogFormat, BeforeValidator(str.lower)]
KEPT_EMPTY = frozenset({"api_keys", "api_keys_file", "allowed_local_media_path"})
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)]


class Settings(AccessSettings, LimitSettings, ModelSettings):
    """Every option; the README's table has those of the model first. An empty variable counts as not set, except where
    noted.
    """

    host: str = setting("*", "Address or name to listen on; `*` is all of them, IPv4 and IPv6.", server_only=True)
    port: int = setting(8000, "Port to listen on; 0 takes a free one and prints it.", ge=0, le=65535, server_only=True)
    page: bool = setting(
        True,
        "`0` switches the page at `/` off, on which people transcribe, correct and download in a browser.",
        shown="`1`",
        allowed="1 or 0",
        server_only=True,
    )
    shutdown_timeout_s: float = setting(30, "Seconds that open requests get at a shutdown.", ge=0, server_only=True)
    salad_machine_id: str = setting(
        "", "Returned in the header `X-Salad-Machine-ID`; SaladCloud sets it.", shown="empty", server_only=True
    )
    salad_container_group_id: str = setting(
        "", "Returned in the header `X-Salad-Container-Group-ID`; SaladCloud sets it.", shown="empty", server_only=True
    )
    log_level: LogLevel = setting("info", "Level of the log on stderr.", allowed="debug, info, warning or error")
    log_format: LogFormatName = setting(
        "text", "`text` for people, or `json` with one object a line for programs.", allowed="text or json"
    )
    otel: bool = setting(
        False,
        "`1` sends traces to a collector by OTLP over HTTP, needs the extra `otel` and heeds OpenTelemetry's own "
        "variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`. With `0` they have no effect.",
        shown="`0`",
        allowed="1 or 0",
        server_only=True,
    )

    # The names that the rest of the package uses, where they differ from the variable's.

    @property
    def n_slots(self) -> int:
        return self.batch_size

    @property
    def max_media_bytes(self) -> int:
        return self.max_upload_mb * MIB

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: dict[str, object]) -> dict[str, object]:
        """An empty variable, as compose files set it, counts as not set, except where that would open the server."""
        return {name: value for name, value in values.items() if value != "" or name in KEPT_EMPTY}

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        if self.metrics_port == self.port:
            raise ValueError(
                f"METRICS_PORT is '{self.metrics_port}'; it must be another port than PORT, {self.port}. "
                "By default metrics are on the main port."
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
