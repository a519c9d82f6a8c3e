"""Text from outside made safe for one line of a terminal or a log: what breaks a line, controls or hides is escaped.

Escape sequences could rewrite what the terminal shows or holds, line ends forge a line, and marks of direction swap
what is read. Source of the marks: Unicode Technical Report 36, 2.
"""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # but for the tab and the line feed
UNPRINTABLE = re.compile(CONTROL.pattern[:-1] + r"\t\n\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def printable(line: str, max_chars: int | None = None) -> str:
    r"""In the form of Python's literals, such as \x1b; a byte that is no UTF-8, in a file name, as \xe9.

    max_chars: of the text, after which it is cut
    """
    shown = UNPRINTABLE.sub(_escape, line[:max_chars])
    return shown if max_chars is None or len(line) <= max_chars else f"{shown}…"


def printable_lines(text: str) -> str:
    """The same for text that has tabs, lines and marks of direction of its own, such as a transcript."""
    return CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(match[0])[1:-1]
