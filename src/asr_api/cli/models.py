"""`asr-api models`: lists the models that need no download, and the short names with what is known of each."""

from __future__ import annotations

from collections.abc import Iterable

from asr_api.cli.exit_codes import ExitCode
from asr_api.cli.output import print_out
from asr_api.engines.checkpoints.catalogue import KNOWN_MODELS, KnownModel
from asr_api.engines.checkpoints.resolve import list_cached
from asr_api.errors import SettingsError
from asr_api.settings.folders import find_cache_folder
from asr_api.settings.settings import Settings
from asr_api.text.printable import printable

HERE = "Models that need no download:"
SHORT_NAMES = "Short names for MODEL_ID; * needs no download:"
LEGEND = (
    "memory: of the whole server, at most. speed: seconds of audio a second. Both with a file of five minutes on two\n"
    "cores of an AMD EPYC. errors: in 100 words of English. -: not measured (docs/measurements.md)."
)
HEADER = ("name", "MODEL_ID", "languages", "parameters", "memory", "speed", "errors")
NOT_MEASURED = "-"


def list_models(settings: Settings) -> int:
    """The exit code. Raises SettingsError when the cache is not a readable folder."""
    folder = find_cache_folder(settings).path
    try:
        cached = list_cached(folder)
    except (OSError, ValueError):
        raise SettingsError(f"CACHE_DIR is '{folder}', which is not a readable folder; name another one.") from None
    here = {model.model_id for model in cached}
    local = [(model.model_id, f"{model.size_bytes / 1e6:.1f} MB", str(model.path)) for model in cached]
    known = [HEADER, *(_row(model, is_here=model.model_id in here) for model in KNOWN_MODELS)]
    print_out("\n".join([HERE, *_aligned(local), "", SHORT_NAMES, *_aligned(known), "", LEGEND, ""]))
    return ExitCode.OK


def _row(model: KnownModel, *, is_here: bool) -> tuple[str, ...]:
    return (
        f"{model.name} *" if is_here else model.name,
        model.model_id,
        model.languages,
        f"{model.parameters_m} M",
        NOT_MEASURED if model.memory_mb is None else f"{model.memory_mb / 1000:.1f} GB",
        NOT_MEASURED if model.speed is None else f"{model.speed} x",
        NOT_MEASURED if model.word_errors is None else f"{model.word_errors}",
    )


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
