"""Finds the folder of a checkpoint for a MODEL_ID: `builtin`, a local folder, the cache of the hub, or the hub itself.

No request is sent when the cache has all files.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_api.engines.checkpoints.completeness import check_complete, missing_files
from asr_api.engines.checkpoints.download_failures import explain_download_failure
from asr_api.engines.checkpoints.hub import download_snapshot, find_snapshot, is_hub_id, list_snapshots
from asr_api.errors import CheckpointError

BUILTIN = "builtin"
BUILTIN_FOLDER = Path(__file__).parents[2] / "models" / "tiny-en"
TRY_BUILTIN = "MODEL_ID=builtin starts without any download"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CachedCheckpoint:
    """A checkpoint that can be started without a download."""

    model_id: str
    path: Path
    size_bytes: int


def resolve_checkpoint(model_id: str, *, revision: str | None, cache_dir: Path) -> Path:
    """The folder of a complete checkpoint, downloaded with a progress bar on stderr if it has to be.

    model_id: "builtin", a folder, or a hub id such as "openai/whisper-tiny"
    revision: branch, tag or commit of a hub id; None means the default branch
    Raises CheckpointError when there is none, or when it is incomplete.
    """
    if model_id == BUILTIN:
        return check_complete(BUILTIN_FOLDER, model_id)
    if folder := find_folder(model_id):
        return check_complete(folder.resolve(), model_id)
    if model_id.startswith((".", "/", "~")) or not is_hub_id(model_id):
        raise CheckpointError(
            f"MODEL_ID={model_id} is neither a folder that exists nor a hub id like openai/whisper-tiny; {TRY_BUILTIN}."
        )
    return find_snapshot(model_id, revision, cache_dir) or _download(model_id, revision, cache_dir)


def find_folder(model_id: str) -> Path | None:
    """The folder that `model_id` names; None if it does not name one."""
    try:
        folder = Path(model_id).expanduser()
        return folder if model_id and folder.is_dir() else None
    except (OSError, RuntimeError):  # a name longer than the system allows; the home of an unknown user
        return None


def list_cached(cache_dir: Path) -> list[CachedCheckpoint]:
    """The built-in checkpoint and every complete one below `cache_dir`."""
    return [
        CachedCheckpoint(model_id, path, sum(file.stat().st_size for file in path.iterdir() if file.is_file()))
        for model_id, path in [(BUILTIN, BUILTIN_FOLDER), *list_snapshots(cache_dir)]
        if not missing_files(path)
    ]


def _download(model_id: str, revision: str | None, cache_dir: Path) -> Path:
    try:
        folder = download_snapshot(model_id, revision, cache_dir)
    except Exception as error:  # the errors of the hub's HTTP library are its own
        logger.debug("The download failed.", exc_info=True)
        at = f" at revision {revision}" if revision else ""
        reason = explain_download_failure(error, cache_dir)
        raise CheckpointError(f"MODEL_ID={model_id}{at} {reason}; {TRY_BUILTIN}.") from error
    return check_complete(folder, model_id)
