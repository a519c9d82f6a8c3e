"""Text from outside made safe for one line of a terminal or a log: what breaks a line, controls or hides is escaped.

Escape sequences could rewrite what the terminal shows or holds, line ends forge a line, marks of direction swap what is
read, and names that look the same may differ in letters that nothing shows. Source: Unicode Technical Report 36, 2.
"""

from __future__ import annotations

import re
import unicodedata

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # but for the tab and the line feed
# Controls, formats, surrogates, unassigned and private ones, ends of lines and paragraphs.
ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})
JOINERS = "\u200c\u200d"  # emoji and several scripts are written with them
BLANK_LETTERS = "\u115f\u1160\u3164\uffa0"  # of Hangul


def printable(line: str, max_chars: int | None = None) -> str:
    r"""In the form of Python's literals, such as \x1b; a byte that is no UTF-8, in a file name, as \xe9.

    max_chars: of the text, after which it is cut
    """
    text = line[:max_chars]
    is_plain = text.isascii() and text.isprintable()
    shown = text if is_plain else "".join(char if _is_shown(char) else _escaped(char) for char in text)
    return shown if max_chars is None or len(line) <= max_chars else f"{shown}…"


def printable_lines(text: str) -> str:
    """The same for text that has tabs, lines and marks of direction of its own, such as a transcript."""
    return CONTROL.sub(lambda match: _escaped(match[0]), text)


def _is_shown(char: str) -> bool:
    if char in BLANK_LETTERS:
        return False
    return char in JOINERS or unicodedata.category(char) not in ESCAPED_CATEGORIES


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(char)[1:-1]
