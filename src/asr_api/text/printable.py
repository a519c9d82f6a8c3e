"""Printable text: what a client wrote, so that it can stand in a line of a log or of an error."""

from __future__ import annotations


def printable(text: str, max_chars: int) -> str:
    """The text with an escape for every character that breaks a line, controls a terminal, is invisible or turns the
    direction of writing; cut after `max_chars` characters of the text.
    """
    shown = text[:max_chars]
    if not shown.isprintable():
        shown = "".join(map(_escaped, shown))
    return f"{shown}…" if len(text) > max_chars else shown


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
