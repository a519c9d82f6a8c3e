"""benchmarks/gpu.py runs from end to end on a CPU, so that its errors are found before it runs on a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed"),
]


def test_every_stage_runs_on_a_small_model() -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ["PATH"]}
    command = [sys.executable, "benchmarks/gpu.py", "--shapes", "small"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])["small"]
    assert 60 < report["tokens a window"] < 96
    assert report["one file RTFx"] > 0
    assert report["transformers one file RTFx"] > 0
