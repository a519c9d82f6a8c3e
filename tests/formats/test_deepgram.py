"""Words as Deepgram writes them; whole replies are tested with their route."""

from __future__ import annotations

import pytest

from asr_api.formats.deepgram import bare_word


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Hello,", "hello"), ("«Straße!»", "straße"), ("it's", "it's"), ("50%", "50%"), ("$5.", "$5"), ("C++", "c++"),
        ("—", "—"), ("...", "..."), ("नमस्ते।", "नमस्ते"), ("你好。", "你好"), ("3.14", "3.14"), ("@you:", "@you"),
    ],
)  # fmt: skip
def test_a_bare_word_has_no_punctuation_around_it(text: str, bare: str) -> None:
    assert bare_word(text) == bare
