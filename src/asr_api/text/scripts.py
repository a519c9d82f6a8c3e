"""Writing systems of languages, to notice text in a script that is not that of its language."""

from __future__ import annotations

import unicodedata
from collections import Counter

# First words of the Unicode names of letters, by the language that is written with them. All others use LATIN.
SCRIPTS = {
    "ar": {"ARABIC"}, "fa": {"ARABIC"}, "ps": {"ARABIC"}, "sd": {"ARABIC"}, "ur": {"ARABIC"},
    "be": {"CYRILLIC"}, "bg": {"CYRILLIC"}, "ru": {"CYRILLIC"}, "uk": {"CYRILLIC"}, "mk": {"CYRILLIC"},
    "ba": {"CYRILLIC"}, "tt": {"CYRILLIC"}, "kk": {"CYRILLIC", "LATIN"}, "mn": {"CYRILLIC"}, "tg": {"CYRILLIC"},
    "sr": {"CYRILLIC", "LATIN"}, "bs": {"CYRILLIC", "LATIN"}, "uz": {"CYRILLIC", "LATIN"},
    "az": {"CYRILLIC", "LATIN"}, "tk": {"CYRILLIC", "LATIN"},
    "el": {"GREEK"}, "hy": {"ARMENIAN"}, "ka": {"GEORGIAN"}, "he": {"HEBREW"}, "yi": {"HEBREW"}, "am": {"ETHIOPIC"},
    "hi": {"DEVANAGARI"}, "mr": {"DEVANAGARI"}, "ne": {"DEVANAGARI"}, "sa": {"DEVANAGARI"},
    "bn": {"BENGALI"}, "as": {"BENGALI"}, "gu": {"GUJARATI"}, "pa": {"GURMUKHI", "ARABIC"}, "kn": {"KANNADA"},
    "ml": {"MALAYALAM"}, "ta": {"TAMIL"}, "te": {"TELUGU"}, "si": {"SINHALA"},
    "th": {"THAI"}, "lo": {"LAO"}, "km": {"KHMER"}, "my": {"MYANMAR"}, "bo": {"TIBETAN"},
    "zh": {"CJK"}, "yue": {"CJK"}, "ja": {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}, "ko": {"HANGUL", "CJK"},
}  # fmt: skip
MIN_SHARE = 0.5  # of the letters, which are of another script


def is_other_script(text: str, language: str | None) -> bool:
    """Whether most letters are of a script in which the language is not written. Latin letters may be in any text."""
    characters = unicodedata.normalize("NFKC", text)  # no letters of half or full width, or above the line
    letters = Counter(_script(character) for character in characters if character.isalpha())
    if language is None or not letters:
        return False
    own = SCRIPTS.get(language, set()) | {"LATIN"}
    return sum(count for script, count in letters.items() if script not in own) > MIN_SHARE * letters.total()


def _script(letter: str) -> str:
    """The first word of its name; the marks that stand for Chinese characters are such characters, too."""
    script = unicodedata.name(letter, "").split(" ", 1)[0]
    return "CJK" if script == "IDEOGRAPHIC" else script
