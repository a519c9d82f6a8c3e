"""Loads ONNX Runtime without its telemetry, which reports to its maker and keeps an identifier in the home folder."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any


def load_onnx_runtime() -> Any:  # a module
    """ONNX Runtime reads the variable when it is loaded."""
    os.putenv("ORT_DISABLE_TELEMETRY", "1")
    return import_module("onnxruntime")
