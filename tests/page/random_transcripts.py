"""Random transcripts for the page's formats: mixed scripts, punctuation, blanks, times, speakers and layouts."""

from __future__ import annotations

import random
from collections.abc import Iterator

from asr_api.options import SubtitleOptions
from asr_api.transcript import Segment, Transcript, Word

SPACED = (
    "abcdefghijklmnopqrstuvwxyz", "ABCÄÖÜßéèçñœ’-", "абвгдежзиЙКЛ", "αβγδΕΖΗς", "אבגדה", "ابتثجحخ\u064e\u0651",
    "कखगघचछ\u093f\u094d\u0902", "가각간한국어", "0123456789٣४Ⅷ²", "ｱｲｳABＡＢ",
    "👍🏽👩\u200d💻🎉🇩🇪❤\ufe0f", "e\u0301o\u0302n\u0303\u20dd",
)  # fmt: skip
UNSPACED = (
    "我今天早上去了商店买苹果", "ぁあいっゃカキャーヵ々ゝ", "กขคะาำเแโใไๅๆฯ\u0e34\u0e48", "ກຂຄະາເແໆຯ\u0eb4",
    "ကခဂ\u102d\u103a", "កខគ\u17b6\u17d2", "𠀀𠀁〇〆",
)  # fmt: skip
BEFORE = (*"\"'“‘«¿([{-–—「《（", "...", "¡", "„", "")
AFTER = (
    *".。!！?？…‥．｡؟۔।॥։።,，、､;；:：—–،؛၊፣\"'”’»)]}」』）》〉】",
    *(".)", ".’", "?!", "...", "!”", ".»", " –", "。」", "-->", "&<>", ""),
)
SHORT = (
    "Mr.", "Mrs.", "Dr.", "(Prof.", "St.", "J.", "e.g.", "z.B.", "А.", "你.", "1.", "a.m.", 'x."', "_.", "²a.", "Hr.",
    "a.².", "a.1.", "_J.", "(Ⅷ.b.",
)  # fmt: skip
BLANKS = (*" " * 12, "  ", "\u3000", "\n", "\xa0", "\u2009", "\x1c", "\x85", "\ufeff", "\u200b", "\t")
WORD_MS = (0, 0, 1, 20, 240, 240, 400, 900, 2500, 9000)
PAUSE_MS = (0, 0, 0, 0, 0, 1, 90, 199, 200, 201, 499, 500, 501, 1999, 2000, 2001, 8000, -300, -5000)
SPEAKERS = (None, None, "Anna", " Bob  B.", "王", "", " ", "The Right Honourable Member for Aberavon")
WIDTHS, COUNTS, WORDS_PER_LINE = (
    (1, 2, 10, 16, 20, 32, 42, 42, 42, 80, 1000),
    (1, 1, 2, 2, 3, 10),
    (None, None, 1, 2, 5, 100),
)


def random_cases(seed: int, num_cases: int) -> Iterator[tuple[Transcript, SubtitleOptions]]:
    """The same ones for the same seed."""
    numbers = random.Random(seed)
    for _ in range(num_cases):
        options = SubtitleOptions(numbers.choice(WIDTHS), numbers.choice(COUNTS), numbers.choice(WORDS_PER_LINE))
        yield _transcript(numbers), options


def _transcript(numbers: random.Random) -> Transcript:
    alphabets = numbers.sample(SPACED, 2) + numbers.sample(UNSPACED, numbers.randint(0, 2))
    segments: list[Segment] = []
    end_ms = numbers.choice((0, 0, 340, 3_599_000))
    for _ in range(numbers.randint(1, 7)):
        words: list[Word] = []
        for _ in range(numbers.choice((1, 3, 12, 30))):
            start_ms = max(0, end_ms + numbers.choice(PAUSE_MS))
            end_ms = start_ms + numbers.choice(WORD_MS)
            words.append(Word(start_ms, end_ms, _word(numbers, alphabets)))
        kept = tuple(words) if numbers.random() < 0.6 else ()
        last_ms = max(words[0].start_ms, end_ms)
        content = "".join(word.text for word in words)
        segments.append(Segment(words[0].start_ms, last_ms, content, kept, speaker=numbers.choice(SPEAKERS)))
    return Transcript(tuple(segments), max(0, end_ms + numbers.choice((-2000, 0, 0, 700, 60_000))), None)


def _word(numbers: random.Random, alphabets: list[str]) -> str:
    """Never empty."""
    kind = numbers.random()
    if kind < 0.03:
        return numbers.choice(BLANKS) * numbers.randint(1, 2)
    alphabet = numbers.choice(alphabets)
    length = numbers.choice((1, 2, 3, 5, 8, 12, 60)) if numbers.random() < 0.98 else 90
    content = numbers.choice(SHORT) if kind < 0.1 else "".join(numbers.choices(alphabet, k=length))
    if numbers.random() < 0.1:
        content = numbers.choice(BEFORE) + content
    if numbers.random() < 0.25:
        content += numbers.choice(AFTER)
    has_blank = numbers.random() < (0.1 if alphabet in UNSPACED else 0.93)
    end = numbers.choice(BLANKS) if numbers.random() < 0.04 else ""
    return (numbers.choice(BLANKS) if has_blank else "") + content + end
