"""The closed domain as a small grammar: in goes a seeded random generator, out come English sentences.

Numbers are written out in words, sentences begin with a capital and end with a full stop or a question mark.
A held-out split is decided by a hash of the sentence alone, so it never depends on the seed or on the order.
Templates and words are in `training.domain`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable

from training.domain import RULES, listed

UNITS = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
TENS = listed("twenty thirty forty fifty sixty seventy eighty ninety")
ORDINALS = listed(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
)
TENTHS = ("twentieth", "thirtieth")

HELD_OUT_SHARE = 20
"""One sentence in this many is held out."""
HELD_OUT_MIN_WORDS = 4
"""Shorter sentences are so few that all of them are trained on."""


def number_words(number: int) -> str:
    """English words of 0 ≤ number < 1,000,000, without hyphens: 423 → 'four hundred and twenty three'."""
    if number < 20:
        return UNITS[number]
    if number < 100:
        rest = f" {UNITS[number % 10]}" if number % 10 else ""
        return TENS[number // 10 - 2] + rest
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            head, rest_number = f"{number_words(number // size)} {name}", number % size
            if not rest_number:
                return head
            link = " and " if rest_number < 100 else " "
            return head + link + number_words(rest_number)
    raise AssertionError("unreachable")


def ordinal_words(number: int) -> str:
    """English ordinal of 1 ≤ number ≤ 31: 23 → 'twenty third'."""
    if number < 20:
        return ORDINALS[number - 1]
    if number % 10 == 0:
        return TENTHS[number // 10 - 2]
    return f"{TENS[number // 10 - 2]} {ORDINALS[number % 10 - 1]}"


def _number(rng: random.Random) -> str:
    top = rng.choice((20, 100, 100, 1000, 1000, 10000, 100000))
    number = rng.randrange(top)
    if top > 1000 and rng.random() < 0.5:
        number = number // 100 * 100
    return number_words(number)


def _clock(rng: random.Random) -> str:
    hour, minute = rng.randint(1, 12), rng.randint(1, 59)
    half_day = rng.choice(("", "", "", " in the morning", " in the evening", " at night", " a m", " p m"))
    plain = f"{number_words(hour)} {'oh ' if minute < 10 else ''}{number_words(minute)}"
    forms = (
        f"{number_words(hour)} o'clock",
        f"half past {number_words(hour)}",
        f"quarter past {number_words(hour)}",
        f"quarter to {number_words(hour)}",
        f"{number_words(5 * rng.randint(1, 5))} past {number_words(hour)}",
        f"{number_words(5 * rng.randint(1, 5))} to {number_words(hour)}",
        plain + half_day,
        plain,
        "noon",
        "midnight",
    )
    return rng.choices(forms, weights=(3, 2, 1, 1, 1, 1, 3, 3, 0.4, 0.4))[0]


def _duration(rng: random.Random) -> str:
    number = 1 if rng.random() < 0.1 else rng.randint(2, 59)
    unit = rng.choice(("second", "minute", "minute", "hour", "day", "week", "month", "year"))
    text = f"{number_words(number)} {unit}{'' if number == 1 else 's'}"
    return text + " and a half" if rng.random() < 0.08 else text


def _date(rng: random.Random) -> str:
    month, day = rng.choice(RULES["month"]), ordinal_words(rng.randint(1, 31))
    weekday = f"{rng.choice(RULES['weekday'])} " if rng.random() < 0.3 else ""
    return f"{weekday}{month} {day}" if rng.random() < 0.5 else f"{weekday}the {day} of {month}"


def _year(rng: random.Random) -> str:
    year = rng.randint(1900, 2039)
    if 2000 <= year < 2010:
        return number_words(year)
    tail = year % 100
    spoken_tail = ("oh " if tail < 10 else "") + number_words(tail) if tail else "hundred"
    return f"{number_words(year // 100)} {spoken_tail}"


def _money(rng: random.Random) -> str:
    dollars, cents = rng.choice((rng.randint(1, 99), rng.randint(1, 999))), rng.randint(2, 99)
    forms = (
        f"{number_words(dollars)} dollar{'' if dollars == 1 else 's'}",
        f"{number_words(cents)} cents",
        f"{number_words(dollars)} pound{'' if dollars == 1 else 's'}",
        f"{number_words(dollars)} euros",
        f"{number_words(dollars)} dollar{'' if dollars == 1 else 's'} and {number_words(cents)} cents",
    )
    return rng.choices(forms, weights=(3, 1, 1, 1, 3))[0]


NUMBER_SLOTS: dict[str, Callable[[random.Random], str]] = {
    "number": _number,
    "small": lambda rng: number_words(rng.randint(2, 20)),
    "age": lambda rng: number_words(rng.randint(2, 99)),
    "digit": lambda rng: UNITS[rng.randrange(10)],
    "digits": lambda rng: " ".join(UNITS[rng.randrange(10)] for _ in range(rng.randint(2, 9))),
    "percent": lambda rng: f"{number_words(rng.randint(1, 100))} percent",
    "temperature": lambda rng: ("minus " if rng.random() < 0.15 else "") + number_words(rng.randint(1, 40)),
    "ordinal": lambda rng: ordinal_words(rng.randint(1, 31)),
    "clock": _clock,
    "duration": _duration,
    "date": _date,
    "year": _year,
    "money": _money,
}

SLOT = re.compile(r"\{(\w+)\}")


def expand(template: str, rng: random.Random) -> str:
    """Fill every `{slot}` of a template, recursively."""

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in NUMBER_SLOTS:
            return NUMBER_SLOTS[name](rng)
        return expand(rng.choice(RULES[name]), rng)

    return SLOT.sub(fill, template)


def sentence(rng: random.Random) -> str:
    """One sentence: capital first, full stop or question mark last."""
    text = expand("{sentence}", rng)
    text = text[0].upper() + text[1:]
    return text if text.endswith("?") else text + "."


def is_held_out(text: str) -> bool:
    """True for the sentences never trained on, whatever the seed."""
    digest = hashlib.sha256(text.encode()).digest()
    return len(text.split()) >= HELD_OUT_MIN_WORDS and digest[0] % HELD_OUT_SHARE == 0


def sentences(seed: int, count: int, held_out: bool = False, max_words: int = 16) -> list[str]:
    """`count` sentences of one side of the split, in a fixed order for a given seed; repeats can occur."""
    rng = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        text = sentence(rng)
        if is_held_out(text) == held_out and len(text.split()) <= max_words:
            found.append(text)
    return found
