"""Runs the JavaScript files beside this one, with the packages of a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent


def run_node(folder: Path, script: str, *arguments: str, timeout_s: float = 60) -> Any:
    """The JSON that the script prints. folder: in which its packages are installed; modules are looked up beside it"""
    copied = shutil.copy(SCRIPTS / script, folder)
    command = ["node", str(copied), *arguments]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout_s)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
