"""Kernels are launched on a GPU if there is one, else in Triton's interpreter.

Collects no tests without torch or Triton, which the default tests do not need.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import pytest

if find_spec("torch") is None or find_spec("triton") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined, on import of its module
        from triton.runtime import interpreter

        patch_tensor = interpreter._patch_lang_tensor

        def patch_index(tensor: type, scope: Any) -> None:
            """Triton 3.6 calls int() on an array of one element for the bounds of a loop; numpy 2.4 raises."""
            patch_tensor(tensor, scope)
            scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

        @pytest.fixture(autouse=True)
        def _interpret(_clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
            monkeypatch.setenv("TRITON_INTERPRET", "1")  # and when it is launched
            monkeypatch.setattr(interpreter, "_patch_lang_tensor", patch_index)
