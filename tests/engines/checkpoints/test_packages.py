"""Weights in installed packages: found without an import, checked by hash once, and refused when they were changed."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from asr_api.engines.checkpoints import packages, resolve
from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.packages import PACKAGED, VERIFIED_FILE, PackagedCheckpoint, packages_of
from asr_api.engines.checkpoints.resolve import list_cached, resolve_checkpoint
from asr_api.errors import CheckpointError
from tests.engines.ctranslate2_files import write_ctranslate2
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint

MODEL_ID = "some/whisper"


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages with a checkpoint of ours in parts, whose code must never run."""
    root, folder = tmp_path / "site-packages", tmp_path / "checkpoint"
    write_ctranslate2(write_checkpoint(tmp_path / "source", SMALL), folder)
    data = (folder / "model.bin").read_bytes()
    for name, part in (("weights_one", data[:9999]), ("weights_two", data[9999:])):
        (root / name / "data").mkdir(parents=True)
        (root / name / "__init__.py").write_text("raise AssertionError('it was imported')")
        (root / name / "data" / "part").write_bytes(part)
        information = root / f"{name}-1.0.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0.0\n"
        )
    for name in ("config.json", "tokenizer.json"):
        (root / "weights_one" / "data" / name).write_bytes((folder / name).read_bytes())
    packaged = PackagedCheckpoint(
        (MODEL_ID, "other/whisper"),
        extra="some-extra",
        version="1.0.0",
        folder=("weights-one", "weights_one/data"),
        weights=(("weights-one", "weights_one/data/part"), ("weights-two", "weights_two/data/part")),
        model_sha256=hashlib.sha256(data).hexdigest(),
        config_sha256=hashlib.sha256((folder / "config.json").read_bytes()).hexdigest(),
        tokenizer_sha256=hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest(),
    )
    monkeypatch.setattr(packages, "PACKAGED", (packaged,))
    monkeypatch.setattr(resolve, "PACKAGED", (packaged,))
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])
    monkeypatch.setattr(resolve, "download_snapshot", _refuse)
    return root


def _refuse(*_: object, **__: object) -> Path:
    raise ConnectionError("there is no hub")


def resolved(cache: Path) -> resolve.CheckpointFiles:
    return resolve_checkpoint(MODEL_ID, revision=None, cache_dir=cache)


@pytest.mark.parametrize("model_id", [MODEL_ID, "other/whisper"])
def test_an_installed_package_is_found_and_read(site_packages: Path, tmp_path: Path, model_id: str) -> None:
    files = resolve_checkpoint(model_id, revision=None, cache_dir=tmp_path / "cache")
    assert files.folder == site_packages / "weights_one" / "data"
    checkpoint = open_checkpoint(files.folder, files.weight_files)
    assert checkpoint.config["vocab_size"] == SMALL.n_vocab
    assert checkpoint.tensors.numbers("decoder.embed_tokens.weight", (SMALL.n_vocab, SMALL.n_state)).any()
    assert "weights_one" not in sys.modules


def test_the_hash_is_computed_once(site_packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    first = resolved(cache)
    monkeypatch.setattr(packages, "_sha256", lambda _: pytest.fail("it was computed again"))
    assert resolved(cache) == first
    (cache / VERIFIED_FILE).write_text("[[")  # what cannot be read is computed again
    with pytest.raises(pytest.fail.Exception):
        resolved(cache)


def test_a_cache_that_cannot_be_written_is_no_obstacle(site_packages: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert resolved(tmp_path / "file" / "cache").weight_files


@pytest.mark.parametrize("name", ["part", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("is_verified", [False, True])
def test_a_changed_file_is_refused(site_packages: Path, tmp_path: Path, name: str, is_verified: bool) -> None:
    if is_verified:
        resolved(tmp_path)
    path = site_packages / "weights_one" / "data" / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, (1, 1))
    file = "model.bin" if name == "part" else name
    with pytest.raises(
        CheckpointError, match=rf"The {file} of weights-one and weights-two has been changed.*reinstall"
    ):
        resolved(tmp_path)


@pytest.mark.parametrize("gone", ["weights_two-1.0.0.dist-info/METADATA", "weights_two/data/part"])
def test_half_a_checkpoint_is_told_with_the_command_that_repairs_it(
    site_packages: Path, tmp_path: Path, gone: str
) -> None:
    (site_packages / gone).unlink()
    if gone.endswith("METADATA"):
        (site_packages / gone).parent.rmdir()
    command = (
        r"installed in part; reinstall it with .*--force-reinstall --no-deps weights-one==1\.0\.0 weights-two==1\.0\.0"
    )
    with pytest.raises(CheckpointError, match=rf"no connection.*{command}"):
        resolved(tmp_path)


def test_a_package_that_is_not_installed_is_told(site_packages: Path, tmp_path: Path) -> None:
    for path in site_packages.glob("*.dist-info/METADATA"):
        path.unlink()
        path.parent.rmdir()
    with pytest.raises(CheckpointError, match=r"no connection.*\[some-extra\].* gets these weights without the hub"):
        resolved(tmp_path)


def test_a_revision_is_one_of_the_hub(site_packages: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"at revision v1 could not be downloaded.*serves it without MODEL_REVISION"
    ):
        resolve_checkpoint(MODEL_ID, revision="v1", cache_dir=tmp_path)


def test_an_installed_package_is_listed(site_packages: Path, tmp_path: Path) -> None:
    (listed,) = (cached for cached in list_cached(tmp_path) if cached.model_id == MODEL_ID)
    files = [path for path in site_packages.rglob("data/*") if path.is_file()]
    assert (listed.path, listed.size_bytes) == (
        files[0].parents[2] / "weights_one/data",
        sum(f.stat().st_size for f in files),
    )


def test_the_packages_are_pinned_by_the_extras() -> None:
    pyproject = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    for packaged in PACKAGED:
        assert f"{packaged.extra} = [" in pyproject
        assert all(
            len(value) == 64 for value in (packaged.model_sha256, packaged.config_sha256, packaged.tokenizer_sha256)
        )
    first = {packaged.extra: packaged for packaged in reversed(PACKAGED)}
    for extra, packaged in first.items():
        line = next(line for line in pyproject.splitlines() if line.startswith(f"{extra} = ["))
        assert all(f'"{package}=={packaged.version}"' in line for package in packaged.packages)


def test_one_checkpoint_may_come_from_several_publishers() -> None:
    assert [packaged.extra for packaged in packages_of("openai/whisper-base")] == ["whisper-base"] * 2
    assert packages_of("openai/whisper-large-v3") == []
    assert len({packaged.model_sha256 for packaged in PACKAGED}) == len(PACKAGED)


def test_an_installed_package_is_the_way_out(site_packages: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"MODEL_ID={MODEL_ID} starts without any download"):
        resolve_checkpoint("nonsense", revision=None, cache_dir=tmp_path)
