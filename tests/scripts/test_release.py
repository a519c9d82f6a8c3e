"""scripts/release: what it needs of the checkout, each told in one line before anything is built."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server.running import ROOT

VERSION = '__version__ = "1.2.0"\n'


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *author, *arguments], check=True, cwd=folder, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that can be released; its check fails, which ends the release there."""
    (package := tmp_path / "src/asr_api").mkdir(parents=True)
    (package / "__init__.py").write_text(VERSION)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.0] – 2026-12-01\n\n### Added\n- All.\n")
    (scripts := tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/release", scripts)
    (scripts / "check").write_text("#!/bin/sh\necho checked\nexit 7\n")
    (scripts / "check").chmod(0o755)
    git(tmp_path, "init", "--initial-branch", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message", "all")
    return tmp_path


def release(checkout: Path, *arguments: str) -> tuple[int, str, str]:
    command = [str(checkout / "scripts/release"), *arguments]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    return ended.returncode, ended.stdout, ended.stderr.removeprefix("scripts/release: ")


def test_a_checkout_that_has_everything_is_checked(checkout: Path) -> None:
    git(checkout, "tag", "v1.1.10")
    assert release(checkout) == (7, "checked\n", "")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("echo 1 >new", "the work tree has changes; commit them"),
        ("git checkout -q -b other", "the branch is not main"),
        ("git tag v1.2.0", "the tag v1.2.0 exists; raise the version in src/asr_api/__init__.py"),
        ("git tag v1.10.0", "version 1.2.0 is older than the tag v1.10.0"),
        (
            "sed -i s/2026-12-01/unreleased/ CHANGELOG.md && git -c user.name=a -c user.email=a commit -qam a",
            "CHANGELOG.md has no section '## [1.2.0] – YYYY-MM-DD'",
        ),
    ],
)
def test_what_is_missing_is_one_line(checkout: Path, change: str, sentence: str) -> None:
    subprocess.run(change, shell=True, check=True, cwd=checkout)
    assert release(checkout) == (1, "", f"{sentence}\n")
    assert release(checkout, "--dry-run") == (7, "checked\n", f"{sentence}\n")


def test_another_argument_is_an_error(checkout: Path) -> None:
    assert release(checkout, "--force") == (2, "", "the only argument is --dry-run\n")
