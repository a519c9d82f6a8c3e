"""Splits the tokens of a segment into words, each with the range of tokens that holds its letters.

Words are separated by spaces; in scripts without spaces each token of whole characters is a word. Punctuation belongs
to the text of its word but not to its token range. Together the words are exactly the segment's text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

# Thai, Lao, Burmese, Khmer, kana and CJK. OpenAI decides by the language instead; the script also covers names in
# another script and misidentified languages.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
# OpenAI's punctuation, with the brackets and marks of other scripts.
OPENING = frozenset("\"'“‘«¿¡([{-–—「『（《〈【")
CLOSING = frozenset("\"'”’»)]}.。,，、!！?？:：;；…」』）》〉】")
SENTENCE_ENDS = frozenset(".。!！?？")
BROKEN = "\ufffd"
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True)
class SplitWord:
    """text: with its space and punctuation; first_token … last_token: the tokens of its letters"""

    text: str
    first_token: int
    last_token: int

    @property
    def ends_sentence(self) -> bool:
        return self.text.rstrip()[-1:] in SENTENCE_ENDS


def split_words(tokens: Sequence[int], decode: Decode) -> tuple[SplitWord, ...]:
    """The words in order; none where there is no text.

    decode: text tokens to text; results of tokens cut between two characters join to the text of the whole
    """
    words: list[SplitWord] = []
    carried = ""  # opening punctuation and blanks that stand alone are prepended to the next word, or end the last
    for group in _groups(_pieces(tokens, decode)):
        text = "".join(piece.text for piece in group)
        is_punctuation = _is_only(OPENING | CLOSING, text)
        if _is_opening(text) or (is_punctuation and not words):
            carried += text
        elif is_punctuation:
            words[-1] = replace(words[-1], text=words[-1].text + carried + text)
            carried = ""
        else:
            words.append(_word(carried + text, group))
            carried = ""
    if carried and words:
        words[-1] = replace(words[-1], text=words[-1].text + carried)
    elif carried:
        words.append(SplitWord(carried, 0, len(tokens) - 1))
    return tuple(words)


def _pieces(tokens: Sequence[int], decode: Decode) -> list[SplitWord]:
    """The shortest runs of tokens that decode to whole characters: one token, or several that share a character."""
    whole = decode(tokens)
    pieces: list[SplitWord] = []
    first = position = 0
    for index in range(len(tokens)):
        text = decode(tokens[first : index + 1])
        if not whole.startswith(text, position):
            continue  # its last character continues in the next token
        if BROKEN in text and text + decode(tokens[index + 1 :]) != whole[position:]:
            continue  # it decodes to U+FFFD as the text does here, but is only a part of that character
        pieces.append(SplitWord(text, first, index))
        first, position = index + 1, position + len(text)
    return pieces if whole else []


def _groups(pieces: Sequence[SplitWord]) -> list[list[SplitWord]]:
    """The pieces of each word."""
    groups: list[list[SplitWord]] = []
    letter = ""  # the last one so far
    for piece in pieces:
        head = piece.text[:1]
        is_mark = bool(head) and unicodedata.category(head).startswith("M")  # a vowel sign, say
        starts_word = head.isspace() or (bool(_IS_UNSPACED.match(letter) or _IS_UNSPACED.match(head)) and not is_mark)
        if starts_word or not groups:
            groups.append([piece])
        else:
            groups[-1].append(piece)
        letter = next(filter(str.isalnum, reversed(piece.text)), letter)
    return groups


def _word(text: str, group: Sequence[SplitWord]) -> SplitWord:
    """A word whose token range excludes the punctuation at either end, which often has the time of a pause."""
    first, last = 0, len(group) - 1
    while first < last and _is_only(OPENING, group[first].text):
        first += 1
    while last > first and _is_only(CLOSING, group[last].text):
        last -= 1
    return SplitWord(text, group[first].first_token, group[last].last_token)


def _is_only(marks: frozenset[str], text: str) -> bool:
    return not text.isspace() and marks.issuperset("".join(text.split()))


def _is_opening(text: str) -> bool:
    """True for blanks, too. A straight quote opens after a blank and closes after a letter."""
    return not text.strip() or (_is_only(OPENING, text) and (text[0].isspace() or not _is_only(CLOSING, text)))
