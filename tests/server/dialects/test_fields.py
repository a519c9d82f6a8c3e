"""Fields of the dialects: one value of a name, numbers in their limits, and errors that name the field."""

from __future__ import annotations

import pytest

from asr_api.errors import InvalidParameter
from asr_api.parameters import RawParameter
from asr_api.server.dialects.fields import field_text, field_texts, number_from

FIELDS = [RawParameter("tag", "a"), RawParameter("tag", ""), RawParameter("tag", "b"), RawParameter("model", "base")]


def test_an_empty_value_counts_as_not_given() -> None:
    assert field_texts(FIELDS, "tag") == ["a", "b"]
    assert (field_text(FIELDS, "model"), field_text(FIELDS, "language")) == ("base", "")


def test_two_values_where_one_is_expected_are_an_error() -> None:
    with pytest.raises(InvalidParameter, match="tag has more than one value") as raised:
        field_text(FIELDS, "tag")
    assert raised.value.parameter == "tag"


@pytest.mark.parametrize("text", ["x", "-0.1", "1.01", "nan", "9" * 5_000])
def test_a_number_outside_its_limits_is_an_error(text: str) -> None:
    assert number_from("threshold", "0.5", float, (0.0, 1.0), "from 0 to 1") == 0.5
    with pytest.raises(InvalidParameter, match="it must be from 0 to 1") as raised:
        number_from("threshold", text, float, (0.0, 1.0), "from 0 to 1")
    assert raised.value.parameter == "threshold"
    assert len(str(raised.value)) < 100
