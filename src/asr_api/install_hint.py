"""`install_command`: the command that adds an extra to the installation that is running, for errors and notes."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]  # of a checkout; an installed package has no pyproject.toml there


def install_command(extra: str, *options: str) -> str:
    """A line for a shell that works in the current folder. options: of `pip install`"""
    python, target = sys.executable, [f"asr-api[{extra}]"]
    if (ROOT / "pyproject.toml").is_file():
        is_here = os.path.samefile(ROOT, ".")  # noqa: PTH121  # also where the current folder was deleted
        python = python.removeprefix(f"{ROOT}/") if is_here else python
        target = ["-e", f"{'.' if is_here else ROOT}[{extra}]"]
    return shlex.join([python, "-m", "pip", "install", *options, *target])
