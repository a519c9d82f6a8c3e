"""The command line of `asr-api`: its parser, and the settings and request parameters that were given on it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from asr_api import __version__
from asr_api.cli.exit_codes import BENCH_HELP, TRANSCRIBE_HELP, ExitCode
from asr_api.formats import FORMATS
from asr_api.install_hint import install_command
from asr_api.parameters import OUTPUT_PARAMETERS, PARAMETERS, TIMEOUT, Parameter, RawParameter
from asr_api.settings.declaration import flag_of, is_server_only
from asr_api.settings.settings import Settings
from asr_api.text.printable import printable

BENCH_ABOUT = "A table on stderr, the figures as a line of JSON on stdout; needs the extra bench: {}"
MIN_BENCH_S, MAX_BENCH_S = 1, 3600
MAX_BENCH_NUMBER = 256  # of clients, and of slots
PARAMETER_PREFIX = "parameter_"  # of attributes: the parameter vad and the setting VAD have the same flag


def open_parser() -> argparse.ArgumentParser:
    parser = _Parser("asr-api", description="Transcribe any audio with Whisper models.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"asr-api {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="serve | transcribe | bench | models | download"
    )
    serve = commands.add_parser("serve", help="answer HTTP requests", allow_abbrev=False)
    _add_settings(serve, Settings.model_fields)
    about = "transcribe files, links and folders"
    transcribe = commands.add_parser("transcribe", help=about, epilog=TRANSCRIBE_HELP, allow_abbrev=False)
    _add_transcribe_arguments(transcribe)
    about = "measure how fast this machine is"
    description = BENCH_ABOUT.format(install_command("bench"))
    bench = commands.add_parser("bench", help=about, description=description, epilog=BENCH_HELP, allow_abbrev=False)
    _add_bench_arguments(bench)
    hidden = {parameter.name for parameter in PARAMETERS}  # a parameter takes the flag of the setting with its name
    hidden |= {name for name, field in Settings.model_fields.items() if is_server_only(field)}
    for command, without in ((transcribe, {TIMEOUT, "output"}), (bench, {TIMEOUT, *OUTPUT_PARAMETERS})):
        _add_parameters(command, [parameter for parameter in PARAMETERS if parameter.name not in without])
        _add_settings(command, [name for name in Settings.model_fields if name not in hidden])
    models = commands.add_parser("models", help="list the models that need no download", allow_abbrev=False)
    _add_settings(models, ("cache_dir",))
    about = "put a model into the cache, so that a start needs no network"
    download = commands.add_parser("download", help=about, allow_abbrev=False)
    _add_settings(download, ("model_id", "model_revision", "cache_dir"))
    return parser


def given_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """Field of `Settings` → text, for the flags that were given."""
    given = vars(arguments)
    return {name: given[name] for name in Settings.model_fields if given.get(name) is not None}


def given_parameters(arguments: argparse.Namespace) -> tuple[RawParameter, ...]:
    """The parameters of a request that were given; booleans are written as a client writes them."""
    given = vars(arguments)
    values = {parameter.name: given.get(PARAMETER_PREFIX + parameter.name) for parameter in PARAMETERS}
    return tuple(
        RawParameter(name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in values.items()
        if value is not None
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.NOT_STARTED, f"{self.prog}: {printable(message)}; see {self.prog} --help.\n")


def _add_transcribe_arguments(parser: argparse.ArgumentParser) -> None:
    sources = "a DIR stands for the audio files in it; - is stdin"
    parser.add_argument("sources", nargs="+", metavar="FILE|URL|DIR|-", help=sources)
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="of the output; default: text")
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="write one file for each source into DIR")


def _add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recording", nargs="?", metavar="FILE|URL", help="default: a minute of English")
    parser.add_argument("--seconds", type=_seconds, default=60.0, help="duration of the benchmark, about; default: 60")
    for flag, numbers, about in (
        ("--clients", "1,8,32", "clients at once"),
        ("--slots", "4,8,16,32", "values of BATCH_SIZE to compare"),
    ):
        help_ = f"{about}; default: {numbers}"
        parser.add_argument(flag, type=_numbers, default=numbers, metavar="N,…", help=help_)
    parser.add_argument("--quick", action="store_true", help="a third of the time, and no other BATCH_SIZE")


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() and 1 <= int(part) <= MAX_BENCH_NUMBER for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} must be integers from 1 to {MAX_BENCH_NUMBER}, separated by commas")
    return tuple(dict.fromkeys(map(int, parts)))


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if MIN_BENCH_S <= (seconds := float(text)) <= MAX_BENCH_S:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} must be a number from {MIN_BENCH_S} to {MAX_BENCH_S}")


def _add_parameters(parser: argparse.ArgumentParser, parameters: Iterable[Parameter]) -> None:
    """A flag for each of the parameters of a request."""
    for parameter in parameters:
        flag, dest = flag_of(parameter.name), PARAMETER_PREFIX + parameter.name
        if parameter.kind == "boolean":
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, dest=dest, action=action, default=None, help=parameter.description)
        else:
            metavar = "|".join(parameter.choices) or parameter.kind.upper()
            parser.add_argument(flag, dest=dest, metavar=metavar, help=parameter.description)


def _add_settings(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    group = parser.add_argument_group("settings", "Each is also an environment variable: --batch-size is BATCH_SIZE.")
    for name in names:
        text = (Settings.model_fields[name].description or "").replace("%", "%%").replace("`", "")
        group.add_argument(flag_of(name), dest=name, metavar="VALUE", help=text)
