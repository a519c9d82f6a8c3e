"""Lines break between words, and between characters in scripts without spaces, and width is counted in columns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.text.line_breaks import num_columns, unbreakable_parts


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.one_of(st.text(), st.text(alphabet="aé 今天ทำกั。“「!(-🎉\n", max_size=30)))
def test_parts_join_to_the_text(text: str) -> None:
    parts = unbreakable_parts(text)
    assert "".join(parts) == text
    assert all(part.strip() or part == text for part in parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (" Hello, big-eyed  world. ", [" Hello,", " big-eyed", "  world. "]),
        ("我说：「好！」你呢？", ["我", "说：", "「好！」", "你", "呢？"]),
        ("好。Hello there", ["好。", "Hello", " there"]),
        ("ちょっとコーヒー", ["ちょっ", "と", "コー", "ヒー"]),
        ("เด็กทำ", ["เด็", "ก", "ทำ"]),
        ("안녕 하세요", ["안녕", " 하세요"]),
        ("", []),
    ],
)
def test_a_line_breaks_where_readers_expect_it(text: str, parts: list[str]) -> None:
    assert unbreakable_parts(text) == parts


@pytest.mark.parametrize(("text", "columns"), [("abc ", 4), ("é", 1), ("e\u0301", 1), ("天。", 4), ("안", 2), ("กั", 1)])
def test_wide_characters_take_two_columns_and_marks_none(text: str, columns: int) -> None:
    assert num_columns(text) == columns
