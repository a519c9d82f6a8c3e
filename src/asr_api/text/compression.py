"""Compression ratio: a text that repeats itself has a high one."""

from __future__ import annotations

import zlib


def compression_ratio(text: str) -> float:
    """Bytes of the text per byte of its zlib compression; 0 for no text."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))
