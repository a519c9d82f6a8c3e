"""What a terminal would obey, or a log take for another line, is escaped; other text stays."""

from __future__ import annotations

import unicodedata

import pytest

from asr_api.text.printable import printable, printable_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2Ja.wav", "\\x1b[2Ja.wav"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a.wav\r\nb.wav: forged", "a.wav\\r\\nb.wav: forged"),
        ("a\u202egpj.wav", "a\\u202egpj.wav"),
        ("a\u2028b\u2066c\u200e", "a\\u2028b\\u2066c\\u200e"),
        ("a\u3164b\u00adc\u180ed\ufff9e\U000e0041", "a\\u3164b\\xadc\\u180ed\\ufff9e\\U000e0041"),
        ("caf\udce9\ud800", "caf\\xe9\\ud800"),
        ("Büro 日本語 שלום 👩\u200d💻 a\u202fb \\n", "Büro 日本語 שלום 👩\u200d💻 a\u202fb \\n"),
    ],
)
def test_a_line(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_a_long_text_is_cut() -> None:
    assert (printable("x" * 10, 10), printable("x" * 11, 10)) == ("x" * 10, "x" * 10 + "…")


def test_no_control_is_left() -> None:
    escaped = printable("".join(map(chr, range(0x11_0000))))
    assert not {"Cc", "Zl", "Zp", "Cs"} & {unicodedata.category(character) for character in escaped}
    assert not [c for c in escaped if unicodedata.bidirectional(c) in {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI"}]


def test_a_transcript_keeps_its_lines_and_its_direction() -> None:
    assert printable_lines("1\tone\n\u200fשלום\x1b[2J\r") == "1\tone\n\u200fשלום\\x1b[2J\\r"
