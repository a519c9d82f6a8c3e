"""Skips these tests without torch and transformers: the default tests need neither."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("torch") is None or find_spec("transformers") is None:
    collect_ignore_glob = ["test_*.py"]
