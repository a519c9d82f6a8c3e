from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.engines.whisper.timestamps import ClosedPart, closed_part, segments_of, spans_of

BEGIN = 100  # ids below are letters, from here on stamps


def decode(tokens: Sequence[int]) -> str:
    return "".join(chr(token + 32) for token in tokens)


def stamp(seconds: float) -> int:
    return BEGIN + round(seconds * 50)


def ids(*parts: str | float) -> list[int]:
    """Letters and stamps in seconds, as a window's tokens."""
    tokens: list[int] = []
    for part in parts:
        tokens += [ord(letter) - 32 for letter in part] if isinstance(part, str) else [stamp(part)]
    return tokens


def read(tokens: list[int], audio_ms: int = 30_000) -> list[tuple[int, int, str]]:
    segments = segments_of(spans_of(tokens, [0.0] * len(tokens), BEGIN, audio_ms), decode)
    return [(segment.start_ms, segment.end_ms, segment.text) for segment in segments]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], []),
        (ids(0.0, "a", 2.0, 2.0, "b", 4.5), [(0, 2000, "a"), (2000, 4500, "b")]),  # pairs, and a single ending
        (ids(0.0, "a", 2.0, 2.5, "b", 4.5, 4.5), [(0, 2000, "a"), (2500, 4500, "b")]),  # a gap, and a double ending
        (ids(1.0, "a", 2.0, 2.0, "b"), [(1000, 2000, "a"), (2000, 30_000, "b")]),  # left open
        (ids(0.5, "ab"), [(500, 30_000, "ab")]),
        (ids("ab"), [(0, 30_000, "ab")]),  # no stamp at all
        (ids(0.0, "  ", 1.0, 1.0, "b", 2.0), [(1000, 2000, "b")]),  # nothing but blanks
        (ids(0.0, "a", 1.0, "b", 2.0), [(0, 1000, "a"), (1000, 2000, "b")]),  # the second stamp of a pair is missing
        (ids(0.0), []),
        (ids(0.0, "a", 30.0, 30.0), [(0, 30_000, "a")]),
    ],
)
def test_stamps_cut_the_text_into_segments(tokens: list[int], expected: list[tuple[int, int, str]]) -> None:
    assert read(tokens) == expected


def test_times_end_where_the_audio_ends_and_not_the_padded_window() -> None:
    assert read(ids(0.0, "a", 4.0, 4.0, "b", 9.0, 9.5, "c"), audio_ms=5010) == [
        (0, 4000, "a"),
        (4000, 5010, "b"),
        (5010, 5010, "c"),
    ]


def test_all_1501_stamps_are_exact_milliseconds() -> None:
    for step in range(1501):
        assert read([BEGIN, 65, BEGIN + step])[0][1] == step * 20


def test_letters_cut_in_two_by_a_token_edge_come_out_whole() -> None:
    bytes_of = {1: b" \xe2", 2: b"\x82", 3: b"\xac", 4: b"\xff"}
    segments = segments_of(
        spans_of([BEGIN, 1, 2, 3, 4, BEGIN + 50], [0.0] * 6, BEGIN, 30_000),
        lambda tokens: b"".join(bytes_of[token] for token in tokens).decode("utf-8", "replace"),
    )
    assert segments[0].text == " €�"


@given(st.lists(st.one_of(st.integers(1, 60), st.integers(BEGIN, BEGIN + 1500)), max_size=40), st.integers(0, 30_000))
def test_no_text_is_lost_and_no_time_leaves_the_audio(tokens: list[int], audio_ms: int) -> None:
    latest = BEGIN
    for index, token in enumerate(tokens):  # as the rules have it, stamps never go back
        if token >= BEGIN:
            latest = tokens[index] = max(latest, token)
    logprobs = [-float(index) for index in range(len(tokens))]
    spans = spans_of(tokens, logprobs, BEGIN, audio_ms)
    assert [-logprob for span in spans for logprob in span.logprobs] == [
        index for index, token in enumerate(tokens) if token < BEGIN
    ]
    segments = segments_of(spans, decode)
    assert "".join(segment.text for segment in segments) == decode([token for token in tokens if token < BEGIN])
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
    ],
)
def test_an_unfinished_window_is_final_up_to_its_last_closing_stamp(
    tokens: list[int], expected: ClosedPart | None
) -> None:
    assert closed_part(tokens, BEGIN) == expected
