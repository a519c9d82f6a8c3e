"""`asr-api models`: lists the models in the cache folder and in the package, with their sizes and paths."""

from __future__ import annotations

import sys

from asr_api.cli.exit_codes import ExitCode
from asr_api.cli.output import print_out
from asr_api.engines.checkpoints.resolve import list_cached
from asr_api.errors import SettingsError
from asr_api.settings.folders import find_cache_folder
from asr_api.settings.settings import Settings


def list_models(settings: Settings) -> int:
    """The exit code. Raises SettingsError when the cache is not a readable folder."""
    folder = find_cache_folder(settings).path
    try:
        models = list_cached(folder)
    except (OSError, ValueError):
        raise SettingsError(f"CACHE_DIR is '{folder}', which is not a readable folder; name another one.") from None
    width = max((len(model.model_id) for model in models), default=0)
    lines = (f"{model.model_id:<{width}}  {model.size_bytes / 1e6:>8.1f} MB  {model.path}\n" for model in models)
    print_out("".join(lines))
    if not models:
        sys.stderr.write(f"asr-api: {folder} contains no model yet.\n")
    return ExitCode.OK
