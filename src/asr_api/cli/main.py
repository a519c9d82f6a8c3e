"""`asr-api serve`, `asr-api transcribe`, `asr-api bench` and `asr-api models`.

In: a command line. Out: transcripts on stdout or in files, everything else on stderr, and an exit code for scripts:
0 all is well, 1 a source failed, 2 it could not start, 3 a source broke off or is damaged, and only what is good of it
was transcribed, 130 interrupted. Every setting is a flag, too, and so is every parameter of a request.
Heavy libraries are imported when a command needs them, so that --help is quick.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from asr_api import __version__
from asr_api.cli.files import Output, print_out
from asr_api.errors import AsrError, InvalidParameter, SettingsError, StartupError
from asr_api.formats import FORMATS
from asr_api.parameters import PARAMETERS, RawParameter
from asr_api.settings.declaration import flag_of, is_server_only
from asr_api.settings.settings import Settings, check_spool_folder, find_cache_folder, read_settings

OK, SOURCE_FAILED, NOT_STARTED, INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = """exit codes: 0 all is well; 1 a source failed; 2 it could not start; 3 a source broke off or is damaged,
and only what is good of it was transcribed; 130 interrupted"""
BENCH_EXIT_CODES = "exit codes: 0 all is well; 1 the recording failed; 2 it could not start; 130 interrupted"
MIN_BENCH_S, MAX_BENCH_S = 1, 3600
MAX_AT_ONCE = 256  # clients and slots of a benchmark
WISH = "parameter_"  # tells apart --vad of one run from the setting VAD


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments)
    except BrokenPipeError:  # `asr-api transcribe … | head`: the reader has what it wanted
        return SOURCE_FAILED
    except StartupError as error:
        _complain(error)
        return NOT_STARTED
    except AsrError as error:
        _complain(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        _forget_unwritten()
    return SOURCE_FAILED


def _run(arguments: argparse.Namespace) -> int:
    given = vars(arguments)
    flags = {name: given[name] for name in Settings.model_fields if given.get(name) is not None}
    settings = read_settings(flags)
    if arguments.command == "models":
        return _list_models(settings)
    check_spool_folder()
    _configure_logging(settings, is_server=arguments.command == "serve")
    if arguments.command == "serve":
        from asr_api.server.serve import serve

        return asyncio.run(serve(settings))
    try:
        if arguments.command == "bench":
            from asr_api.cli.bench import Wanted, bench

            wanted = Wanted(arguments.recording, arguments.seconds, arguments.clients, arguments.slots, arguments.quick)
            return asyncio.run(bench(settings, wanted, _wishes(given)))
        from asr_api.cli.transcribe import transcribe

        output = Output(FORMATS[arguments.format], arguments.output_dir)
        return asyncio.run(transcribe(settings, arguments.sources, _wishes(given), output))
    except InvalidParameter as error:  # of all sources; what is wrong with one of them is told where it happens
        raise SettingsError(str(error)) from None


# -- the command line --------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(NOT_STARTED, f"{self.prog}: {message}; {self.prog} --help lists what there is.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("asr-api", description="Any audio in, text out.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"asr-api {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="serve | transcribe | bench | models")

    serve = commands.add_parser("serve", help="answer HTTP requests", allow_abbrev=False)
    _add_settings(serve, tuple(Settings.model_fields))

    transcribe = commands.add_parser(
        "transcribe", help="transcribe files, links and folders", epilog=EXIT_CODES, allow_abbrev=False
    )
    sources = "a DIR stands for the audio files in it; - is stdin"
    transcribe.add_argument("sources", nargs="+", metavar="FILE|URL|DIR|-", help=sources)
    transcribe.add_argument("--format", choices=tuple(FORMATS), default="text", help="of the output; default: text")
    transcribe.add_argument("--output-dir", type=Path, metavar="DIR", help="write one file for each source into DIR")

    bench = commands.add_parser(
        "bench",
        help="measure how fast this machine is",
        description="A table on stderr; all its figures as one line of JSON on stdout.",
        epilog=BENCH_EXIT_CODES,
        allow_abbrev=False,
    )
    bench.add_argument("recording", nargs="?", metavar="FILE|URL", help="to be heard; default: a minute of English")
    bench.add_argument("--seconds", type=_seconds, default=60.0, help="for all of it, roughly; default: 60")
    bench.add_argument("--clients", type=_numbers, metavar="N,…", help="how many at once; default: 1,8,32")
    bench.add_argument("--slots", type=_numbers, metavar="N,…", help="values of BATCH_SIZE to try; default: 4,8,16,32")
    bench.add_argument("--quick", action="store_true", help="a third of the time, and no other BATCH_SIZE is tried")
    for command in (transcribe, bench):
        wishes = _add_parameters(command)
        fields = Settings.model_fields.items()
        shared = tuple(name for name, field in fields if not is_server_only(field) and name not in wishes)
        _add_settings(command, shared)

    models = commands.add_parser("models", help="list the models that start without a download", allow_abbrev=False)
    _add_settings(models, ("cache_dir",))
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() and 1 <= int(part) <= MAX_AT_ONCE for part in parts):
        raise argparse.ArgumentTypeError(f"{text} is not numbers from 1 to {MAX_AT_ONCE} with commas between them")
    return tuple(dict.fromkeys(map(int, parts)))


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if MIN_BENCH_S <= (seconds := float(text)) <= MAX_BENCH_S:
            return seconds
    raise argparse.ArgumentTypeError(f"{text} is no number from {MIN_BENCH_S} to {MAX_BENCH_S}")


def _add_parameters(parser: argparse.ArgumentParser) -> frozenset[str]:
    """A flag for each parameter of a request; returns their names."""
    for parameter in PARAMETERS:
        flag, help_text = flag_of(parameter.name), parameter.description
        if parameter.kind == "boolean":
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, dest=WISH + parameter.name, action=action, default=None, help=help_text)
        else:
            metavar = "|".join(parameter.choices) or parameter.kind.upper()
            parser.add_argument(flag, dest=WISH + parameter.name, metavar=metavar, help=help_text)
    return frozenset(parameter.name for parameter in PARAMETERS)


def _wishes(given: Mapping[str, object]) -> tuple[RawParameter, ...]:
    """What the command line asks for; True and False are written as a client would."""
    values = {parameter.name: given[WISH + parameter.name] for parameter in PARAMETERS}
    return tuple(
        RawParameter(name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in values.items()
        if value is not None
    )


def _add_settings(parser: argparse.ArgumentParser, names: tuple[str, ...]) -> None:
    group = parser.add_argument_group("settings", "Each is also an environment variable: --batch-size is BATCH_SIZE.")
    for name in names:
        text = (Settings.model_fields[name].description or "").replace("%", "%%").replace("`", "")
        group.add_argument(flag_of(name), dest=name, metavar="VALUE", help=text)


def _configure_logging(settings: Settings, *, is_server: bool) -> None:
    level = settings.log_level if is_server or "log_level" in settings.model_fields_set else "warning"
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "httpcore", "huggingface_hub", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _forget_unwritten() -> None:
    """What stdout did not take was told, and Python's last flush would fail over it again."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: AsrError) -> None:
    sys.stderr.write(f"asr-api: {error}\n")


def _list_models(settings: Settings) -> int:
    from asr_api.engines.checkpoints.resolve import list_cached

    cache = find_cache_folder(settings).path
    try:
        found = list_cached(cache)
    except (OSError, ValueError):
        raise SettingsError(f"CACHE_DIR is '{cache}', which is no folder that can be read; name another one.") from None
    width = max((len(checkpoint.model_id) for checkpoint in found), default=0)
    lines = (f"{each.model_id:<{width}}  {each.size_bytes / 1e6:>8.1f} MB  {each.path}\n" for each in found)
    print_out("".join(lines))
    if not found:
        sys.stderr.write(f"asr-api: {cache} holds no model yet.\n")
    return OK
