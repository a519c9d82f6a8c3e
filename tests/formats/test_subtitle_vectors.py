"""The vectors that the page's JavaScript is tested with are what Python's formats write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.formats.subtitle_vectors import FILE, encoded, formatted, python_options, python_transcript, vectors

VECTORS = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_vector_is_what_the_formats_write(vector: dict[str, Any]) -> None:
    spoken, options = python_transcript(vector["transcript"]), python_options(vector["options"])
    found = formatted(spoken, options, vector["transcript"]["task"])
    assert {name: vector[name] for name in found} == found


def test_the_file_is_what_its_generator_writes() -> None:
    assert FILE.read_text(encoding="utf-8") == encoded(vectors())
