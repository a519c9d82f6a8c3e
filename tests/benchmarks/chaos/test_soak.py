"""benchmarks/chaos as its user starts it: a minute of load with every kind of fault ends without a complaint."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.running import environment

pytestmark = pytest.mark.soak
ROOT = Path(__file__).parents[3]
LAST_LINE = re.compile(r"([\d,]+) requests, \1 accounted for, 0 wrong, 0 hung, 0 leaked")


def test_a_minute_of_chaos_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("locust", reason="the load needs the extra `chaos`")
    line = [sys.executable, "-m", "benchmarks.chaos", "--minutes", "1", "--seed", "1"]
    variables = environment(tmp_path) | {"MODEL_ID": "builtin", "PATH": os.environ["PATH"]}  # which has mount
    ended = subprocess.run(line, check=False, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-2000:]
    assert LAST_LINE.fullmatch(ended.stdout.splitlines()[-1])
