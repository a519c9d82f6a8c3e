"""The plan of the load: what the request of each number sends, by which API, and how its client behaves.

A plan depends on the seed and the number alone, so that a run can be repeated whatever its clients do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from benchmarks.chaos.bad_requests import BAD_REQUESTS
from benchmarks.chaos.recordings import HOUR, TEN_MINUTES, clip_names, sample_names

HOUR_EVERY, TEN_MINUTES_EVERY = 1000, 200  # requests
BAD_SHARE, LEAVING_SHARE, SLOW_SHARE, TOO_SLOW_SHARE, SAMPLE_SHARE = 0.05, 0.05, 0.02, 0.01, 0.15
UNIQUE_SHARE = 0.8


class Route(StrEnum):
    ASR = "asr"
    ASR_STREAM = "asr stream"
    LINK = "link"
    OPENAI = "openai"
    OPENAI_STREAM = "openai stream"


class Manner(StrEnum):
    """How a client behaves."""

    PLAIN = "plain"
    SLOW = "slow"  # but faster than the server's least rate
    TOO_SLOW = "too slow"
    LEAVES_IN_HEADERS = "leaves in headers"
    LEAVES_IN_UPLOAD = "leaves in upload"
    LEAVES_QUEUED = "leaves queued"
    LEAVES_DECODING = "leaves decoding"
    LEAVES_IN_REPLY = "leaves in reply"


LEAVING = (
    Manner.LEAVES_IN_HEADERS,
    Manner.LEAVES_IN_UPLOAD,
    Manner.LEAVES_QUEUED,
    Manner.LEAVES_DECODING,
    Manner.LEAVES_IN_REPLY,
)
UPLOADS = (Route.ASR, Route.ASR_STREAM, Route.OPENAI, Route.OPENAI_STREAM)


class Mix(StrEnum):
    EVERYTHING = "everything"
    CLIPS = "clips"  # each unique, to /asr, by plain clients


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """content: name of a recording or of one of BAD_REQUESTS"""

    number: int
    content: str
    route: Route
    manner: Manner = Manner.PLAIN
    is_unique: bool = True
    is_bad: bool = False


def plan_request(seed: int, number: int, mix: Mix = Mix.EVERYTHING) -> PlannedRequest:
    rng = Random(f"{seed}/{number}")  # noqa: S311 – it has to be repeatable
    if mix is Mix.CLIPS:
        return PlannedRequest(number, rng.choice(clip_names()), Route.ASR)
    if number % HOUR_EVERY == HOUR_EVERY // 20:
        return PlannedRequest(number, HOUR, rng.choice((Route.ASR, Route.LINK)))
    if number % TEN_MINUTES_EVERY == TEN_MINUTES_EVERY // 2:
        return PlannedRequest(number, TEN_MINUTES, rng.choice(tuple(Route)))
    return plan_everything(number, rng)


def plan_everything(number: int, rng: Random) -> PlannedRequest:
    share = rng.random()
    if share < BAD_SHARE:
        return PlannedRequest(number, rng.choice(sorted(BAD_REQUESTS)), Route.ASR, is_bad=True)
    share -= BAD_SHARE
    if share < LEAVING_SHARE:
        return leaving_request(number, rng.choice(LEAVING), rng)
    share -= LEAVING_SHARE
    if share < SLOW_SHARE + TOO_SLOW_SHARE:
        manner = Manner.SLOW if share < SLOW_SHARE else Manner.TOO_SLOW
        return PlannedRequest(number, rng.choice(clip_names()), rng.choice(UPLOADS), manner)
    return plain_request(number, rng)


def plain_request(number: int, rng: Random) -> PlannedRequest:
    names = sample_names() if rng.random() < SAMPLE_SHARE else clip_names()
    is_unique = rng.random() < UNIQUE_SHARE
    return PlannedRequest(number, rng.choice(names), rng.choice(tuple(Route)), is_unique=is_unique)


def leaving_request(number: int, manner: Manner, rng: Random) -> PlannedRequest:
    """A long file where its client leaves during decoding or the reply, so that there is something to leave."""
    if manner is Manner.LEAVES_IN_REPLY:
        return PlannedRequest(number, TEN_MINUTES, Route.ASR_STREAM, manner)
    if manner is Manner.LEAVES_DECODING:
        return PlannedRequest(number, TEN_MINUTES, rng.choice(tuple(Route)), manner)
    return PlannedRequest(number, rng.choice(clip_names()), rng.choice(UPLOADS), manner)
