"""From a MODEL_ID to a folder with a complete checkpoint: `builtin`, a local folder, or a hub id.

A checkpoint is config.json, tokenizer files and safetensors, and nothing else is ever fetched: no pickles, no code.
When the files are already in the cache nothing is contacted. Knows nothing about what the tensors mean.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from asr_api.engines.checkpoints.adapters import ADAPTER_NAMES, adapter_file
from asr_api.errors import CheckpointError

BUILTIN = "builtin"
BUILTIN_FOLDER = Path(__file__).parents[2] / "models" / "tiny-en"

INDEX = "model.safetensors.index.json"
# One set of weights: the names are exact, because repositories also carry fp32, flax and pickled twins.
WANTED_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "normalizer.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    INDEX,
    # What models other than Whisper also need; alphabet.json only tells that there is a language model.
    "processor_config.json",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "vocab.txt",
    "alphabet.json",
    *map(adapter_file, ADAPTER_NAMES.values()),
)
# Models other than Whisper keep their vocabulary in one of these.
VOCABULARIES = ("tokenizer.json", "vocab.json", "tokenizer.model", "vocab.txt")
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
        return _checked(BUILTIN_FOLDER, model_id)
    if folder := find_folder(model_id):
        return _checked(folder.resolve(), model_id)
    _keep_quiet()
    if model_id.startswith((".", "/", "~")) or not _is_hub_id(model_id):
        raise CheckpointError(
            f"MODEL_ID={model_id} is neither a folder that exists nor a hub id like openai/whisper-tiny; {TRY_BUILTIN}."
        )
    return _cached(model_id, revision, cache_dir) or _download(model_id, revision, cache_dir)


def _keep_quiet() -> None:
    """The hub's library would tell the hub what else is installed and which tool started it."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


def _is_hub_id(model_id: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not for mypy

    try:
        validate_repo_id(model_id)
    except HFValidationError:
        return False
    return True


def find_folder(model_id: str) -> Path | None:
    """The folder that it names, if it names one."""
    try:
        folder = Path(model_id).expanduser()
        return folder if model_id and folder.is_dir() else None
    except (OSError, RuntimeError):  # longer than any name; the home of nobody
        return None


def list_cached(cache_dir: Path) -> list[CachedCheckpoint]:
    """The built-in checkpoint and every complete one below `cache_dir`."""
    _keep_quiet()
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    found = [(BUILTIN, BUILTIN_FOLDER)]
    try:
        repos = sorted(scan_cache_dir(cache_dir).repos, key=lambda repo: repo.repo_id)
    except CacheNotFound:
        repos = []
    for repo in repos:
        revisions = sorted(repo.revisions, key=lambda revision: revision.last_modified, reverse=True)
        found += [(repo.repo_id, revision.snapshot_path) for revision in revisions[:1]]
    return [
        CachedCheckpoint(model_id, path, sum(file.stat().st_size for file in path.iterdir() if file.is_file()))
        for model_id, path in found
        if not missing_files(path)
    ]


def missing_files(folder: Path) -> list[str]:
    """Names of the files without which `folder` is not a checkpoint; empty when it is complete."""
    try:
        return _missing_files(folder)
    except (ValueError, AttributeError):  # no JSON, or another one
        return [f"a readable config.json or {INDEX}"]


def _missing_files(folder: Path) -> list[str]:
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not _has_tokenizer(folder, is_whisper=not missing and _is_whisper(folder)):
        missing.append("tokenizer.json")
    shards = ["model.safetensors"]
    if (folder / INDEX).is_file():
        weight_map = json.loads((folder / INDEX).read_text(encoding="utf-8")).get("weight_map", {})
        shards = sorted({str(Path(shard).name) for shard in weight_map.values()}) or shards
    return missing + [shard for shard in shards if not (folder / shard).is_file()]


def _is_whisper(folder: Path) -> bool:
    return bool(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type") == "whisper")


def _has_tokenizer(folder: Path, *, is_whisper: bool) -> bool:
    if is_whisper and not (folder / "tokenizer.json").is_file():
        return (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    return any((folder / name).is_file() for name in VOCABULARIES)


def _checked(folder: Path, model_id: str) -> Path:
    if not (missing := missing_files(folder)):
        return folder
    remedy = "fetch it again, whole"
    if missing[-1].endswith(".safetensors"):
        remedy += "; pickled weights are refused because loading them can run code: convert them to safetensors"
    raise CheckpointError(f"The checkpoint of MODEL_ID={model_id} lacks {', '.join(missing)}; {remedy}.")


def _cached(model_id: str, revision: str | None, cache_dir: Path) -> Path | None:
    """The snapshot in the cache if it is complete; contacts nothing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=list(WANTED_FILES),
                local_files_only=True,
            )
        )
    except LocalEntryNotFoundError:
        return None
    return None if missing_files(folder) else folder


def _download(model_id: str, revision: str | None, cache_dir: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    at = f" at revision {revision}" if revision else ""
    try:
        folder = snapshot_download(model_id, revision=revision, cache_dir=cache_dir, allow_patterns=list(WANTED_FILES))
    except GatedRepoError:
        reason = "is gated: accept its terms on the hub and set HF_TOKEN"
    except RepositoryNotFoundError:
        reason = "is not on the hub, or is private: check the spelling or set HF_TOKEN"
    except RevisionNotFoundError:
        reason = "is on the hub, but has no such revision: check MODEL_REVISION"
    except HfHubHTTPError as error:
        reason = f"was refused by the hub with status {error.response.status_code}: try again later"
    except Exception:  # no network, no room, HF_HUB_OFFLINE; the errors of the hub's HTTP library are its own
        logger.debug("The download failed.", exc_info=True)
        reason = f"is not complete in {cache_dir} and could not be downloaded: check the network and the disk"
    else:
        return _checked(Path(folder), model_id)
    raise CheckpointError(f"MODEL_ID={model_id}{at} {reason}; {TRY_BUILTIN}.")
