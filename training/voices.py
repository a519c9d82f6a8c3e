"""Who speaks: the voices of each synthesiser, which of them are held out, and how often each is used.

Out come `Voice`s to synthesise with. Extend the lists here to teach the model more voices.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.domain import listed

RELIABLE = ("en-us", "en")
"""Plain espeak-ng voices (`en` is British English) that get an extra share of the data, so that samples and
long tests can rely on them."""
RELIABLE_SHARE = 0.25
FREQUENT_WINDOW_SHARE = 0.5
"""Share of the windows of one voice that are spoken by one of the plan's frequent voices, usually a reliable one."""

ACCENTS = (
    "en-us",
    "en-us",
    "en-us",
    "en",
    "en",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
)
VARIANTS = listed(
    "Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen "
    "adam anika announcer antonio aunty belinda benjamin boris caleb david ed edward edward2 f1 f2 f3 f4 f5 grandma "
    "grandpa gustave iven iven2 iven3 john klatt klatt2 klatt3 klatt5 linda m1 m2 m3 m4 m5 m6 m7 m8 marcelo michel "
    "miguel norbert pablo paul pedro quincy rob robert sandro shelby travis victor zac"
)
HELD_OUT_VARIANTS = ("steph", "max", "klatt4", "kaukovalta")

FLITE_VOICES = ("slt", "awb", "kal16")
HELD_OUT_FLITE_VOICE = "rms"

DIGIT_SPEAKERS = ("jackson", "nicolas", "yweweler")
HELD_OUT_DIGIT_SPEAKER = "lucas"


@dataclass(frozen=True, slots=True)
class Voice:
    """How to say something; rate in words a minute (espeak-ng) or stretch in percent (flite), pitch in percent."""

    synthesiser: str
    name: str
    rate: int
    pitch: int


def plain_espeak(name: str, rate: int = 160) -> Voice:
    """A voice of espeak-ng at its own pitch."""
    return Voice("espeak", name, rate, 50)


def reliable_espeak(rng: random.Random) -> Voice:
    """A plain voice at an ordinary speed."""
    return plain_espeak(rng.choice(RELIABLE), rng.choice((150, 160, 170)))


def any_espeak(rng: random.Random) -> Voice:
    """Any accent with any variant, speed and pitch; now and then a plain reliable voice."""
    if rng.random() < RELIABLE_SHARE:
        return plain_espeak(rng.choice(RELIABLE), rng.randint(140, 185))
    return _varied(rng, ("", "", *VARIANTS))


def held_out_espeak(rng: random.Random) -> Voice:
    """Any accent with a variant that is never trained on."""
    return _varied(rng, HELD_OUT_VARIANTS)


def _varied(rng: random.Random, variants: tuple[str, ...]) -> Voice:
    accent, variant = rng.choice(ACCENTS), rng.choice(variants)
    name = f"{accent}+{variant}" if variant else accent
    return Voice("espeak", name, rng.randint(125, 215), rng.randint(25, 75))


def any_flite(rng: random.Random, held_out: bool = False) -> Voice:
    """Any flite voice at different speeds and pitches."""
    if held_out:
        return Voice("flite", HELD_OUT_FLITE_VOICE, 100, 100)
    return Voice("flite", rng.choice(FLITE_VOICES), rng.randint(75, 130), rng.randint(75, 130))
