"""Folders of the settings: the cache folder for models with its fallback, and the check of the folder for uploads."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from asr_api.errors import SettingsError
from asr_api.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class CacheFolder:
    """note: why it is not the default folder; problem: why nothing can be downloaded into it"""

    path: Path
    note: str | None = None
    problem: str | None = None


def find_cache_folder(settings: Settings) -> CacheFolder:
    """The folder for models. It may not exist yet; models in it can be used even when it cannot be written."""
    configured = settings.cache_dir
    if "cache_dir" in settings.model_fields_set:
        if _can_be_created(configured):
            return CacheFolder(configured)
        problem = f"CACHE_DIR is '{configured}', which cannot be written; change its owner or name another."
        return CacheFolder(configured, problem=problem)
    if _is_writable(configured):
        return CacheFolder(configured)
    own = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "asr-api"  # noqa: PTH111  # Path's raises
    if own.is_absolute() and _can_be_created(own):  # `~` stays `~` where there is no home
        note = f"{configured} does not exist or cannot be written; set CACHE_DIR to choose another folder"
        return CacheFolder(own, note)
    problem = f"CACHE_DIR is not set, and neither {configured} nor {own} can be written; set it to a folder that can."
    return CacheFolder(configured, problem=problem)


def check_spool_folder() -> None:
    """Raises SettingsError when uploads cannot be stored where they should; Python ignores a bad TMPDIR silently."""
    named = os.environ.get("TMPDIR") or None
    if _is_writable(named):
        return
    problem = "not set, and no usual folder for temporary files can be written"
    if named is not None:
        problem = f"'{named}', which cannot be written"
    raise SettingsError(f"TMPDIR is {problem}; set it to a folder that can: uploads and downloads are stored there.")


def _can_be_created(folder: Path) -> bool:
    """Whether it can be written, or created by its first use."""
    return _is_writable(next(path for path in (folder, *folder.parents) if os.path.lexists(path)))


def _is_writable(folder: Path | str | None) -> bool:
    """None: where Python puts temporary files."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
