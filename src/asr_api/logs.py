"""Logging of every process: each record becomes a line of text, or with `LOG_FORMAT=json` one JSON object.

Whatever a record holds may come from a client, so all of it is made printable here and cut, and links lose their query,
which may be a secret.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from datetime import datetime
from types import TracebackType
from typing import Any, Literal

from asr_api.text.printable import printable

LogFormat = Literal["text", "json"]
logger = logging.getLogger(__name__)

VERBOSE_LIBRARIES = ("httpx", "httpcore", "huggingface_hub", "urllib3", "uvicorn")
MAX_CHARS = 2000  # of a message, and of a line of a traceback
MAX_TRACEBACK_CHARS = 20_000
QUERY_OF_LINK = re.compile(r"(://[^\s?]*)\?\S*")


def configure_logging(level: str | int, log_format: LogFormat, process: str = "") -> None:
    """Sends the records of this process to stderr in this format, and the error that ends it as well.

    With "json" also Python's warnings, and errors that end a thread or are raised where none can be caught. Handlers
    that logging has already stay the only ones, with their level.

    log_format: that of `LOG_FORMAT`; `current_log_format` tells it. process: named in every record; empty in the main
    process
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.name = log_format
    handler.setFormatter(_json_formatter(process) if log_format == "json" else TextFormatter(process))
    logging.basicConfig(level=level, handlers=[handler])
    for library in VERBOSE_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    sys.excepthook = _log_uncaught
    if log_format == "json":  # also what Python would print on several lines
        logging.captureWarnings(capture=True)
        threading.excepthook = sys.unraisablehook = _log_ignored


def current_log_format() -> LogFormat:
    """Of this process, for another one that it starts."""
    return "json" if any(handler.name == "json" for handler in logging.getLogger().handlers) else "text"


class TextFormatter(logging.Formatter):
    """The lines of a traceback are indented, so that none of them can pass for a record."""

    def __init__(self, process: str = "") -> None:
        super().__init__(f"%(asctime)s %(levelname)s {process and f'{process}: '}%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name is logging's
        record.message = _clean(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "    " + _clean_traceback(super().formatException(ei)).replace("\n", "\n    ")


def _json_formatter(process: str) -> logging.Formatter:
    from pythonjsonlogger.core import RESERVED_ATTRS
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        ("levelname", "name", "message"),
        timestamp="time",
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "traceback"},
        static_fields={"process": process} if process else {},
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's, the message once more
        json_serializer=_as_json,
    )


def _as_json(fields: dict[str, Any], **_: object) -> str:
    created: datetime = fields.pop("time")
    time = created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": time} | {name: _field(name, value) for name, value in fields.items()})


def _field(name: str, value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    return _clean_traceback(str(value)) if name in {"traceback", "stack_info"} else _clean(str(value))


def _clean(text: str) -> str:
    shown = printable(text, MAX_CHARS)
    return QUERY_OF_LINK.sub(r"\1?…", shown) if "?" in shown else shown


def _clean_traceback(text: str) -> str:
    return "\n".join(map(_clean, text[:MAX_TRACEBACK_CHARS].split("\n")))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("the process ends with an error", exc_info=(kind, error, trace))


def _log_ignored(ignored: threading.ExceptHookArgs | sys.UnraisableHookArgs) -> None:
    error = ignored.exc_value or ignored.exc_type()
    logger.error("an error ended a thread, or was raised where none can be caught", exc_info=error)
