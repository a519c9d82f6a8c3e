"""ONNX Runtime writes nothing to the home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

COMPUTE = """
import sys
import numpy as np
from asr_api.engines.onnx.graph_builder import GraphBuilder, floats
from asr_api.engines.onnx.session import Session
graph = GraphBuilder(None)
graph.add("Identity", "x", result="y")
x, y = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
Session(graph.build("one", [floats("x", "rows", 1)], [floats("y", "rows", 1)]), 1).call({"x": x}, {"y": y}).run()
sys.exit(int(y[0, 0] != 1))
"""


def test_home_folder_stays_empty(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}"}
    subprocess.run([sys.executable, "-B", "-c", COMPUTE], env=environment, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []
