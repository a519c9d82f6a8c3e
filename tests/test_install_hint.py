"""Hints to install an extra: they work where they are shown, and there is one place that makes them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from asr_api import install_hint
from asr_api.install_hint import ROOT, install_command
from tests.test_docs import PAGES


@pytest.mark.parametrize("is_in_the_checkout", [True, False])
def test_in_a_checkout_it_installs_the_sources(monkeypatch: pytest.MonkeyPatch, is_in_the_checkout: bool) -> None:
    if is_in_the_checkout:
        monkeypatch.chdir(ROOT)
    *pip, option, target = shlex.split(install_command("hf"))
    assert option == "-e"
    assert target == ("." if is_in_the_checkout else str(ROOT)) + "[hf]"
    assert (Path(target.removesuffix("[hf]")) / "pyproject.toml").is_file()
    assert Path(pip[0]).absolute() == Path(sys.executable)
    assert subprocess.run([*pip, "--help"], check=False, capture_output=True).returncode == 0


def test_elsewhere_it_installs_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install_hint, "ROOT", tmp_path / "with space")
    monkeypatch.setattr(sys, "executable", "/opt/my python/bin/python3")
    assert install_command("hf") == "'/opt/my python/bin/python3' -m pip install 'asr-api[hf]'"
    assert install_command("hf", "--upgrade").endswith(" -m pip install --upgrade 'asr-api[hf]'")
    (tmp_path / "with space").mkdir()
    (tmp_path / "with space" / "pyproject.toml").touch()
    assert install_command("hf").endswith(f" -m pip install -e '{tmp_path}/with space[hf]'")


def test_without_pip_it_is_a_command_of_uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install_hint, "ROOT", tmp_path)
    monkeypatch.setattr(install_hint, "_has_pip", lambda: False)
    monkeypatch.setattr(sys, "executable", "/tools/asr-api/bin/python")
    assert install_command("hf") == "uv pip install --python /tools/asr-api/bin/python 'asr-api[hf]'"


@pytest.mark.parametrize("path", sorted(Path(install_hint.__file__).parent.rglob("*.py")), ids=lambda path: path.name)
def test_no_other_module_writes_such_a_command(path: Path) -> None:
    if path.name != "install_hint.py":
        assert "pip install" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_the_documents_work_in_a_checkout(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for command in re.findall(r"\S* ?\S* ?pip install.{12}", text):
        assert re.search(r"\.venv(-\w+)?/bin/(python -m )?pip install (-e '\.\[|-r )", command), command
