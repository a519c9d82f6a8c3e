"""`asr-api`: runs the command that a command line names, and turns errors into one line on stderr and an exit code.

Libraries are imported when a command needs them, so that --help is fast.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from asr_api.cli.exit_codes import ExitCode
from asr_api.cli.output import print_error
from asr_api.cli.parser import given_parameters, given_settings, open_parser
from asr_api.errors import AsrError, InvalidParameter, SettingsError, StartupError
from asr_api.logs import configure_logging, current_log_format
from asr_api.settings.folders import check_spool_folder
from asr_api.settings.propagators import use_w3c_propagators
from asr_api.settings.settings import Settings, read_settings

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = open_parser().parse_args(argv)
    try:
        return _run(arguments)
    except BrokenPipeError:  # `asr-api transcribe … | head`: the reader of stdout has left
        return ExitCode.SOURCE_FAILED
    except AsrError as error:
        _report(error)
        return ExitCode.NOT_STARTED if isinstance(error, StartupError) else ExitCode.SOURCE_FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    finally:
        _discard_unwritten()


def _run(arguments: argparse.Namespace) -> int:
    settings = read_settings(given_settings(arguments))
    if arguments.command == "models":
        from asr_api.cli.models import list_models

        return list_models(settings)
    if arguments.command == "download":
        _configure_logging(settings, is_server=False)
        from asr_api.cli.download import download_model

        return download_model(settings)
    check_spool_folder()
    _configure_logging(settings, is_server=arguments.command == "serve")
    if arguments.command == "serve":
        use_w3c_propagators()
        from asr_api.server.serve import serve

        return asyncio.run(serve(settings))
    if arguments.command == "bench":
        from asr_api.cli.bench import bench as run
    else:
        from asr_api.cli.transcribe import transcribe as run
    try:
        return asyncio.run(run(settings, arguments, given_parameters(arguments)))
    except InvalidParameter as error:  # it concerns every source, so none was started
        raise SettingsError(str(error)) from None


def _configure_logging(settings: Settings, *, is_server: bool) -> None:
    level = settings.log_level if is_server or "log_level" in settings.model_fields_set else "warning"
    configure_logging(level.upper(), settings.log_format)


def _report(error: AsrError) -> None:
    if current_log_format() == "json":
        logger.critical("%s", error)
    else:
        print_error(str(error))


def _discard_unwritten() -> None:
    """The error of an unwritable stdout was reported; Python's flush at exit must not fail with it again."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
