"""Every kernel compiles for common GPUs; the interpreter accepts code that the compiler rejects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
# Shared memory of one program, by compute capability.
SHARED_BYTES = {80: 163 * 1024, 89: 99 * 1024, 90: 227 * 1024, 120: 99 * 1024}

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("capability", SHARED_BYTES)
def test_every_kernel_compiles(capability: int, tmp_path: Path) -> None:
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    environment = path | {"TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.engines.cuda.kernels.compiling", str(capability)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    kernels = {"_attend_single", "_attend_grouped", "_combine", "_self_attention", "_add_layer_norm", "_sample"}
    assert {launch["name"] for launch in report} == kernels
    for launch in report:
        assert launch["shared_bytes"] <= SHARED_BYTES[capability]
        assert launch["is_on_tensor_cores"] == (launch["name"] == "_attend_grouped")
