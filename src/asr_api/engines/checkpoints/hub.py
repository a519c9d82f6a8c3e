"""Checkpoints of the Hugging Face hub: finding one in the local cache, downloading one, listing the cached ones.

Only config.json, tokenizer files and safetensors, or CTranslate2's model.bin, are downloaded: no pickles, no code.
"""

from __future__ import annotations

from pathlib import Path

from asr_api.engines.checkpoints.adapters import ADAPTER_NAMES, adapter_file
from asr_api.engines.checkpoints.completeness import CTRANSLATE2_FILE, INDEX_FILE, SINGLE_FILE, missing_files
from asr_api.engines.checkpoints.foreign_formats import describe_repository
from asr_api.errors import CheckpointError

# One set of weights. The names are exact because repositories also hold float32, flax and pickled copies.
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
    SINGLE_FILE,
    "model-*-of-*.safetensors",
    INDEX_FILE,
    # For models other than Whisper; alphabet.json is a sign of a language model.
    "processor_config.json",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "vocab.txt",
    "alphabet.json",
    *map(adapter_file, ADAPTER_NAMES.values()),
)
# Of a repository without safetensors.
CTRANSLATE2_FILES = (CTRANSLATE2_FILE, "vocabulary.json", "vocabulary.txt")

ANSWER_TIMEOUT_S = 10.0


def is_hub_id(model_id: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not for mypy

    try:
        validate_repo_id(model_id)
    except HFValidationError:
        return False
    return True


def hub_address() -> str | None:
    """HF_ENDPOINT as the library reads it; None for an address with which it cannot be imported."""
    try:
        from huggingface_hub import constants
    except ValueError:
        return None
    return constants.ENDPOINT


def find_snapshot(model_id: str, revision: str | None, cache_dir: Path) -> Path | None:
    """The folder of the checkpoint in `cache_dir`, or in the usual cache of the hub's library (HF_HOME).

    None unless it is complete there. Sends no request.
    """
    for cache in _caches(cache_dir):
        try:
            folder = _snapshot(model_id, revision, cache, is_local=True)
            if not missing_files(folder):
                return folder
        except (OSError, ValueError):  # not there, or damaged: then the download says what is wrong with it
            continue
    return None


def download_snapshot(
    model_id: str, revision: str | None, cache_dir: Path, *, answer_timeout_s: float = ANSWER_TIMEOUT_S
) -> Path:
    """The folder of the checkpoint, downloaded with a progress bar on stderr. Raises the errors of the hub's library.

    Raises CheckpointError when the repository holds no checkpoint that can be read.
    answer_timeout_s: for the first answer of the hub; a download may take longer
    """
    from huggingface_hub import HfApi

    disable_telemetry()
    # The first request of `snapshot_download` has no timeout, so a hub that never answers would block the start.
    info = HfApi().model_info(model_id, revision=revision, timeout=answer_timeout_s)
    names = [file.rfilename for file in info.siblings or ()]
    if reason := describe_repository(names):
        raise CheckpointError(f"MODEL_ID={model_id} {reason}")
    has_safetensors = SINGLE_FILE in names or INDEX_FILE in names
    wanted = WANTED_FILES if has_safetensors else (*WANTED_FILES, *CTRANSLATE2_FILES)
    return _snapshot(model_id, revision, cache_dir, is_local=False, wanted=wanted)


def list_snapshots(cache_dir: Path) -> list[tuple[str, Path]]:
    """Hub id and folder of the newest snapshot of each model in the caches, complete or not, by hub id."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    newest: dict[str, Path] = {}
    for cache in reversed(_caches(cache_dir)):
        try:
            repos = scan_cache_dir(cache).repos
        except CacheNotFound:
            continue
        for repo in repos:
            revision = max(repo.revisions, key=lambda revision: revision.last_modified, default=None)
            if revision is not None:
                newest[repo.repo_id] = revision.snapshot_path
    return sorted(newest.items())


def disable_telemetry() -> None:
    """Without this, requests to the hub name torch's version and the tool that started the process.

    The library reads this constant from the environment when it is imported and offers no other switch; we set the
    constant because only the settings read the environment, and nothing here changes it.
    """
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


def _caches(cache_dir: Path) -> tuple[Path, ...]:
    from huggingface_hub import constants

    return tuple(dict.fromkeys((cache_dir, Path(constants.HF_HUB_CACHE))))


def _snapshot(
    model_id: str, revision: str | None, cache_dir: Path, *, is_local: bool, wanted: tuple[str, ...] = WANTED_FILES
) -> Path:
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        model_id, revision=revision, cache_dir=cache_dir, allow_patterns=list(wanted), local_files_only=is_local
    )
    return Path(folder)
