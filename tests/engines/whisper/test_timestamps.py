from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.engines.whisper.timestamps import ClosedPart, closed_part, next_window, segments_of

BEGIN = 300  # ids below are bytes, from here on timestamps
TIMESTAMPS = range(BEGIN, BEGIN + 1501)
ADDED = TIMESTAMPS.stop + 65  # a text token behind the timestamps


def decode(tokens: Sequence[int]) -> str:
    return bytes(token % TIMESTAMPS.stop for token in tokens).decode(errors="replace")


def timestamp(seconds: float) -> int:
    return BEGIN + round(seconds * 50)


def ids(*parts: str | float) -> list[int]:
    """Text and timestamps in seconds, as a window's tokens."""
    tokens: list[int] = []
    for part in parts:
        tokens += part.encode() if isinstance(part, str) else [timestamp(part)]
    return tokens


def read(tokens: list[int], audio_ms: int = 30_000) -> list[tuple[int, int, str]]:
    segments = segments_of(tokens, [0.0] * len(tokens), timestamps=TIMESTAMPS, audio_ms=audio_ms, decode=decode)
    return [(segment.start_ms, segment.end_ms, segment.text) for segment in segments]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], []),
        (ids(0.0, "a", 2.0, 2.0, "b", 4.5), [(0, 2000, "a"), (2000, 4500, "b")]),  # pairs, and a single ending
        (ids(0.0, "a", 2.0, 2.5, "b", 4.5, 4.5), [(0, 2000, "a"), (2500, 4500, "b")]),  # a gap, and a double ending
        (ids(1.0, "a", 2.0, 2.0, "b"), [(1000, 2000, "a"), (2000, 30_000, "b")]),  # left open
        (ids(0.5, "ab"), [(500, 30_000, "ab")]),
        (ids("ab"), [(0, 30_000, "ab")]),  # no timestamp at all
        (ids(0.0, "  ", 1.0, 1.0, "b", 2.0), [(1000, 2000, "b")]),  # nothing but blanks
        (ids(0.0, "a", 1.0, "b", 2.0), [(0, 1000, "a"), (1000, 2000, "b")]),  # one timestamp of a pair is missing
        (ids(0.0, "€", 1.0), [(0, 1000, "€")]),  # a character of several tokens
        (ids(0.0), []),
        (ids(0.0, "a", 30.0, 30.0), [(0, 30_000, "a")]),
        ([*ids(1.0, "a"), ADDED, *ids(2.0, 2.5), ADDED], [(1000, 2000, "aA"), (2500, 30_000, "A")]),
    ],
)
def test_segments(tokens: list[int], expected: list[tuple[int, int, str]]) -> None:
    assert read(tokens) == expected


def opened_and_closed(tokens: list[int]) -> list[tuple[int | None, int | None]]:
    segments = segments_of(tokens, [0.0] * len(tokens), timestamps=TIMESTAMPS, audio_ms=30_000, decode=decode)
    return [(segment.start_token, segment.end_token) for segment in segments]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (ids(0.0, "ab", 2.0, 2.5, "c", 4.5), [(timestamp(0), timestamp(2)), (timestamp(2.5), timestamp(4.5))]),
        (ids(0.0, "a", 2.0, 2.0, "b"), [(timestamp(0), timestamp(2)), (timestamp(2), None)]),  # left open
        (ids("ab", 1.0), [(None, timestamp(1))]),
        (ids("ab"), [(None, None)]),
        (ids(0.0, "a", 1.0, "b", 2.0), [(timestamp(0), timestamp(1)), (timestamp(1), timestamp(2))]),  # a single one
        (ids(0.0, "  ", 1.0, 1.5, "b", 2.0), [(timestamp(1.5), timestamp(2))]),
    ],
)
def test_segments_know_the_timestamps_that_opened_and_closed_them(
    tokens: list[int], expected: list[tuple[int | None, int | None]]
) -> None:
    assert opened_and_closed(tokens) == expected


def test_no_time_is_after_the_audio() -> None:
    segments = read(ids(0.0, "a", 4.0, 4.0, "b", 9.0, 9.5, "c"), audio_ms=5010)
    assert segments == [(0, 4000, "a"), (4000, 5010, "b"), (5010, 5010, "c")]


def test_all_1501_timestamps_are_exact_milliseconds() -> None:
    for step in range(1501):
        assert read([BEGIN, 65, BEGIN + step])[0][1] == step * 20


@given(st.lists(st.one_of(st.integers(33, 92), st.integers(BEGIN, BEGIN + 1500)), max_size=40), st.integers(0, 30_000))
def test_segments_keep_all_text_inside_the_audio(tokens: list[int], audio_ms: int) -> None:
    latest = BEGIN
    for index, token in enumerate(tokens):  # as after the logit filters, timestamps never decrease
        if token >= BEGIN:
            latest = tokens[index] = max(latest, token)
    logprobs = [-float(index) for index in range(len(tokens))]
    segments = segments_of(tokens, logprobs, timestamps=TIMESTAMPS, audio_ms=audio_ms, decode=decode)
    indices = [index for index, token in enumerate(tokens) if token < BEGIN]
    assert [-logprob for segment in segments for logprob in segment.logprobs] == indices
    assert [token for segment in segments for token in segment.tokens] == [tokens[index] for index in indices]
    assert "".join(segment.text for segment in segments) == decode([tokens[index] for index in indices])
    assert all(segment.end_ms <= audio_ms for segment in segments)
    assert all(left.end_ms <= right.start_ms for left, right in pairwise(segments))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (ids(0.0, "a"), None),
        (ids(0.0), None),
        ([], None),
        (ids(0.0, "a", 2.0), ClosedPart(3, 2000)),
        (ids(0.0, "a", 2.0, 2.0), ClosedPart(3, 2000)),
        (ids(0.0, "a", 2.0, 2.0, "bc"), ClosedPart(3, 2000)),
        (ids(0.0, "a", 2.0, 2.0, "bc", 3.0, 4.0, "d"), ClosedPart(7, 3000)),
        ([*ids(0.0), ADDED, *ids(2.0), ADDED], ClosedPart(3, 2000)),
        ([*ids(0.0), ADDED, ADDED], None),
    ],
)
def test_closed_part(tokens: list[int], expected: ClosedPart | None) -> None:
    assert closed_part(tokens, TIMESTAMPS) == expected


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], None),
        (ids(0.0), None),
        (ids(0.0, "a"), None),  # no pair
        (ids(0.0, "a", 2.0, "b"), None),
        (ids(0.0, "a", 2.0), None),  # a single timestamp at the end: nothing follows
        (ids(0.0, "a", 2.0, 2.0, "b", 4.0), None),
        (ids(0.0, "a", 2.0, 2.0), ClosedPart(3, 2000)),
        (ids(0.0, "a", 2.0, 2.5), ClosedPart(3, 2000)),  # at the end of the text, not at the next beginning
        (ids(0.0, "a", 2.0, 2.0, "b"), ClosedPart(3, 2000)),
        (ids(0.0, "a", 2.0, 2.5, "b", 4.0, 5.0, "cd"), ClosedPart(6, 4000)),
        (ids(0.0, "a", 2.0, 2.5, "b", 4.0, "c"), ClosedPart(3, 2000)),
        (ids(0.0, "a", 30.0, 30.0), ClosedPart(3, 30_000)),
        ([*ids(0.0), ADDED, *ids(2.0, 2.0), ADDED], ClosedPart(3, 2000)),  # text behind the timestamps is text
        ([*ids(0.0), ADDED, *ids(2.0, 2.0), ADDED, *ids(3.0)], None),
        ([*ids(0.0), ADDED, ADDED, *ids(2.0)], None),
    ],
)
def test_next_window(tokens: list[int], expected: ClosedPart | None) -> None:
    assert next_window(tokens, TIMESTAMPS) == expected


@given(st.lists(st.one_of(st.just(65), st.integers(BEGIN, BEGIN + 9)), max_size=12))
def test_next_window_is_that_of_openai(tokens: list[int]) -> None:
    """By the variables of whisper/transcribe.py."""
    is_timestamp = [token >= BEGIN for token in tokens]
    single_timestamp_ending = is_timestamp[-2:] == [False, True]
    slices = [index + 1 for index, pair in enumerate(pairwise(is_timestamp)) if all(pair)]
    if not slices or single_timestamp_ending:
        assert next_window(tokens, TIMESTAMPS) is None
    else:
        assert next_window(tokens, TIMESTAMPS) == ClosedPart(slices[-1], (tokens[slices[-1] - 1] - BEGIN) * 20)
