"""Commands that add an extra or a package to the installation that is running, for errors and notes."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]  # of a checkout; an installed package has no pyproject.toml there


def install_command(extra: str, *options: str) -> str:
    """A line for a shell that works in the current folder. options: of `pip install`"""
    target = [f"asr-api[{extra}]"]
    if (ROOT / "pyproject.toml").is_file():
        target = ["-e", f"{'.' if _is_here() else ROOT}[{extra}]"]
    return pip_command(*options, *target)


def pip_command(*arguments: str) -> str:
    """The same for other arguments of `pip install`, such as names of packages."""
    if not _has_pip():  # an environment of uv
        return shlex.join(["uv", "pip", "install", "--python", sys.executable, *arguments])
    is_checkout = (ROOT / "pyproject.toml").is_file()
    python = sys.executable.removeprefix(f"{ROOT}/") if is_checkout and _is_here() else sys.executable
    return shlex.join([python, "-m", "pip", "install", *arguments])


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _is_here() -> bool:
    return os.path.samefile(ROOT, ".")  # noqa: PTH121  # also where the current folder was deleted
