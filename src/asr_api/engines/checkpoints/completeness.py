"""Finds the files that a folder lacks to be a checkpoint: config.json, a tokenizer, every file of the weights."""

from __future__ import annotations

import re
from pathlib import Path

from asr_api.engines.checkpoints.foreign_formats import describe_foreign_format, describe_pointers
from asr_api.engines.checkpoints.json_file import read_json
from asr_api.errors import CheckpointError

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
CTRANSLATE2_FILE = "model.bin"
CTRANSLATE2_SIGNS = (CTRANSLATE2_FILE, "vocabulary.json", "vocabulary.txt")
CTRANSLATE2_VOCABULARIES = ("tokenizer.json", "vocabulary.json", "vocabulary.txt")
SHARD_NAME = re.compile(r"[^\x00-\x1f]{1,200}\.safetensors")
MAX_NAMED = 5  # missing files in one message
# Models other than Whisper keep their vocabulary in one of these.
VOCABULARIES = ("tokenizer.json", "vocab.json", "tokenizer.model", "vocab.txt")


def list_weight_files(folder: Path) -> list[str]:
    """Names of the files of the weights, present or not. Raises CheckpointError for an index that cannot be read."""
    if not (folder / INDEX_FILE).is_file():
        return [CTRANSLATE2_FILE if is_ctranslate2(folder) else SINGLE_FILE]
    weight_map = read_json(folder / INDEX_FILE).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"The checkpoint's {INDEX_FILE} names no files; fetch the checkpoint again.")
    # Only the file name counts: an index never leads out of the folder.
    names = {Path(str(file)).name for file in weight_map.values()}
    if not all(SHARD_NAME.fullmatch(name) for name in names):
        raise CheckpointError(f"The checkpoint's {INDEX_FILE} names files that are no weights; fetch it again.")
    return sorted(names)


def is_ctranslate2(folder: Path) -> bool:
    """Whether the folder holds a checkpoint in CTranslate2's format; safetensors beside it are preferred."""
    has_safetensors = any((folder / name).is_file() for name in (SINGLE_FILE, INDEX_FILE))
    return not has_safetensors and any((folder / name).is_file() for name in CTRANSLATE2_SIGNS)


def missing_files(folder: Path) -> list[str]:
    """Names of the files that `folder` lacks to be a checkpoint; empty when it is complete."""
    try:
        return _missing_files(folder)
    except CheckpointError:
        return [f"a readable config.json or {INDEX_FILE}"]


def check_complete(folder: Path, model_id: str) -> Path:
    """The folder. Raises CheckpointError when it is incomplete, or when a file that tells so cannot be read."""
    try:
        missing = _missing_files(folder)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint of MODEL_ID={model_id} cannot be read ({error.strerror}); check the permissions of its "
            "folder."
        ) from error
    if missing:
        reason = describe_foreign_format(folder) or describe_missing(missing)
        raise CheckpointError(f"The checkpoint of MODEL_ID={model_id} {reason}")
    if pointers := describe_pointers(folder / name for name in list_weight_files(folder)):
        raise CheckpointError(f"The checkpoint of MODEL_ID={model_id} {pointers}")
    return folder


def _missing_files(folder: Path) -> list[str]:
    """Raises CheckpointError when config.json or the index cannot be read."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if is_ctranslate2(folder):
        has_tokenizer = any((folder / name).is_file() for name in CTRANSLATE2_VOCABULARIES)
        return missing if has_tokenizer else [*missing, "tokenizer.json"]
    if not _has_tokenizer(folder, is_whisper=not missing and _is_whisper(folder)):
        missing.append("tokenizer.json")
    return missing + [name for name in list_weight_files(folder) if not (folder / name).is_file()]


def describe_missing(files: list[str]) -> str:
    """The end of an error sentence, with the remedy."""
    remedy = "fetch it again"
    if files[-1].endswith(".safetensors"):
        remedy += "; pickled weights are refused because loading them can run code: convert them to safetensors"
    others = f" and {len(files) - MAX_NAMED} more" if files[MAX_NAMED:] else ""
    return f"lacks {', '.join(files[:MAX_NAMED])}{others}; {remedy}."


def _is_whisper(folder: Path) -> bool:
    return read_json(folder / "config.json").get("model_type") == "whisper"


def _has_tokenizer(folder: Path, *, is_whisper: bool) -> bool:
    if is_whisper and not (folder / "tokenizer.json").is_file():
        return (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    return any((folder / name).is_file() for name in VOCABULARIES)
