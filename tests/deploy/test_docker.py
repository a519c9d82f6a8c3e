"""The files of the images: the locks against pyproject.toml, the models that are packages, and what `build` calls."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import asr_api
from asr_api.engines.checkpoints.catalogue import full_model_id
from asr_api.engines.checkpoints.packages import PACKAGED
from tests.test_docs import ROOT

DOCKER = ROOT / "deploy/docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKED_EXTRAS = {
    "cpu": ("bench", "otel"),
    "cpu-openvino": ("bench", "otel", "openvino"),
    "cuda": ("bench", "otel", "cuda", "hf"),
    "whisper-base": ("whisper-base",),
    "whisper-tiny-en": ("whisper-tiny-en",),
}
WEIGHTS = ("whisper-base", "whisper-tiny-en")


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name: str) -> dict[str, str]:
    """Name → version. Each version has a hash."""
    text = (DOCKER / f"requirements/{name}.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^([a-z0-9.-]+)==([^ ;]+).*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(entries) == len(re.findall("^[a-z]", text, re.MULTILINE))
    return dict(entries)


@pytest.mark.parametrize("name", LOCKED_EXTRAS)
def test_a_lock_has_every_dependency_in_a_version_that_is_allowed(name: str) -> None:
    own = [] if name in WEIGHTS else PROJECT["dependencies"]
    versions = locked(name)
    for text in [*own, *(text for extra in LOCKED_EXTRAS[name] for text in EXTRAS[extra])]:
        needed = Requirement(text)
        assert needed.specifier.contains(versions[normalized(needed.name)]), text


@pytest.mark.parametrize("name", LOCKED_EXTRAS)
def test_a_lock_names_no_address(name: str) -> None:
    assert "://" not in (DOCKER / f"requirements/{name}.txt").read_text(encoding="utf-8")


def test_the_images_without_a_gpu_have_no_torch() -> None:
    assert "torch" not in locked("cpu").keys() | locked("cpu-openvino").keys()
    assert locked("cuda").items() >= locked("cpu").items()


def test_the_models_of_packages_are_those_that_the_server_finds() -> None:
    named = {
        weights: set(names.split(" | "))
        for names, weights in re.findall(r"^ +(\S.+?)\) weights=(\S+) ;;", DOCKERFILE, re.MULTILINE)
    }
    assert named.keys() == set(WEIGHTS)
    for packaged in PACKAGED:
        assert set(packaged.model_ids) == {full_model_id(name) for name in named[packaged.extra]}


def build(folder: Path, *arguments: str, program: str = "build", **variables: str) -> list[str]:
    """The command lines with which the builder is called."""
    (builder := folder / "docker").write_text(f'#!/bin/sh\necho "$@" >>{folder}/calls\n')
    builder.chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", **variables}
    subprocess.run([DOCKER / program, *arguments], check=True, env=environment, cwd=folder)
    lines = (folder / "calls").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line != "info"]


@pytest.mark.parametrize(
    ("arguments", "suffix"),
    [
        ((), ""),
        (("--flash-attention-2",), "-fa2"),
        (("--model", "openai/whisper-large-v3"), "-openai-whisper-large-v3"),
        (("--flash-attention-2", "--model", "openai/whisper-large-v3"), "-fa2-openai-whisper-large-v3"),
        (("--model", "distil-whisper/distil-large-v2"), "-distil-whisper-distil-large-v2"),
        (("--variant", "cpu", "--model", "Systran/faster-whisper-base"), "-cpu-systran-faster-whisper-base"),
        (("--variant", "cpu-openvino"), "-cpu-openvino"),
    ],
)
def test_an_image_is_named_as_the_original_names_it(tmp_path: Path, arguments: tuple[str, ...], suffix: str) -> None:
    (line,) = build(tmp_path, "--name", "example.org/asr", *arguments)
    tags = re.findall(r"--tag (\S+)", line)
    assert tags == [f"example.org/asr:latest{suffix}", f"example.org/asr:{asr_api.__version__}{suffix}"]
    assert f"VERSION={asr_api.__version__}" in line
    assert ("FLASH_ATTENTION_2=1" in line) == ("-fa2" in suffix)


def test_a_pushed_image_is_pushed_by_both_names(tmp_path: Path) -> None:
    _, *pushed = build(tmp_path, "--push")
    assert pushed == ["push asr-api:latest", f"push asr-api:{asr_api.__version__}"]


def test_files_for_the_build_are_secrets_and_no_arguments(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_secret")
    (line,) = build(tmp_path, HF_TOKEN_FILE=str(tmp_path / "token"))
    assert f"--secret=id=hf-token,src={tmp_path}/token" in line
    assert "hf_secret" not in line


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--variant", "tpu"), "--variant is 'tpu'; it must be cuda, cpu or cpu-openvino"),
        (("--variant", "cpu", "--flash-attention-2"), "--flash-attention-2 is for --variant cuda"),
        (("--model",), "--model needs a value"),
        (("--modle", "base"), "--modle is no argument of it; see --help"),
        (("--builder", "kaniko"), "--builder is 'kaniko'; it must be docker, podman or buildah"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: tuple[str, ...], sentence: str) -> None:
    ended = subprocess.run([DOCKER / "build", *arguments], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (2, f"deploy/docker/build: {sentence}\n")


def test_build_all_makes_every_image_of_the_original_and_those_for_processors(tmp_path: Path) -> None:
    lines = build(tmp_path, program="build-all")
    latest = {tag for line in lines for tag in re.findall(r"asr-api:latest(\S*)", line)}
    models = ("", "-openai-whisper-large-v3", "-distil-whisper-distil-large-v2")
    assert latest == {flash + model for flash in ("", "-fa2") for model in models} | {
        variant + model for variant in ("-cpu", "-cpu-openvino") for model in ("", "-openai-whisper-base")
    }


@pytest.mark.deploy
def test_hadolint_finds_nothing() -> None:
    run_linter("hadolint", "--config", str(DOCKER / ".hadolint.yaml"), str(DOCKER / "Dockerfile"))


@pytest.mark.deploy
def test_shellcheck_finds_nothing() -> None:
    files = [DOCKER / name for name in ("build", "build-all", "lock")]
    run_linter("shellcheck", *map(str, files), str(ROOT / "scripts/images-test"), str(ROOT / "scripts/release"))


def run_linter(name: str, *arguments: str) -> None:
    """The program, which pip has installed beside Python."""
    ended = subprocess.run(
        [Path(sys.executable).parent / name, *arguments], check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (0, "")
