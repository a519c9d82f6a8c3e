"""Text from outside made safe for one line of a terminal or a log: controls and marks of direction are escaped.

Escape sequences could rewrite what the terminal shows or holds, line ends forge a line, and marks of direction swap
what is read. Source of the marks: Unicode Technical Report 36, 2.
"""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # but for the tab and the line feed
UNPRINTABLE = re.compile(CONTROL.pattern[:-1] + r"\t\n\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(line: str) -> str:
    r"""In the form of Python's literals, such as \x1b; a byte that is no UTF-8, in a file name, as \xe9."""
    return UNPRINTABLE.sub(_escape, line)


def printable_lines(text: str) -> str:
    """The same for text that has tabs, lines and marks of direction of its own, such as a transcript."""
    return CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(match[0])[1:-1]
