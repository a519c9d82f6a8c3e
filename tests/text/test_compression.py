from __future__ import annotations

import zlib

from asr_api.text.compression import compression_ratio


def test_compression_ratio() -> None:
    assert compression_ratio("") == 0
    assert compression_ratio("a") == 1 / 9
    text = " I think so."
    assert compression_ratio(30 * text) == 30 * len(text) / len(zlib.compress((30 * text).encode()))
    assert compression_ratio("é") == 2 / 10
