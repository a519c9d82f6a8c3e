"""Phrases of the page: every language has those of English, with the same values in them, and each one is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import asr_api

FOLDER = Path(asr_api.__file__).parent / "page"
SAME_AS_IN_ENGLISH = {"API", "Text (.txt)", "Format", "Pause", "Name", "Position", "Options", "Grace Hopper, COBOL"}
PHRASE = re.compile(r'^  (\w+):\s+"(.*)",$', re.MULTILINE)


def phrases(code: str) -> dict[str, str]:
    return dict(PHRASE.findall((FOLDER / f"phrases/{code}.js").read_text(encoding="utf-8")))


ENGLISH = phrases("en")
OTHERS = sorted({path.stem for path in (FOLDER / "phrases").glob("*.js")} - {"en"})


def sources() -> str:
    files = [FOLDER / "index.html", *FOLDER.glob("*.js")]
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(files))


def test_the_page_offers_every_language_that_it_has() -> None:
    listed = re.search(r"LANGUAGES = \[(.*)\]", (FOLDER / "interface_language.js").read_text(encoding="utf-8"))
    assert listed
    assert sorted(re.findall(r"\w+", listed[1])) == sorted([*OTHERS, "en"])
    assert len(OTHERS) >= 3


@pytest.mark.parametrize("code", OTHERS)
def test_a_language_has_every_phrase_in_words_of_its_own(code: str) -> None:
    own = phrases(code)
    assert [*own] == [*ENGLISH]
    for key, phrase in own.items():
        assert phrase.strip(), key
        assert set(re.findall(r"\{\w+\}", phrase)) == set(re.findall(r"\{\w+\}", ENGLISH[key])), key
        assert phrase != ENGLISH[key] or phrase in SAME_AS_IN_ENGLISH, key


def test_every_phrase_is_used_and_every_one_that_is_used_exists() -> None:
    text = sources()
    used = set(re.findall(r'data-t(?:-\w+)?="(\w+)"', text))
    used |= {
        key for call in re.findall(r"\bt\(([^;]*)", text) for key in re.findall(r'"(\w+)"', call) if key in ENGLISH
    }
    direct = set(re.findall(r'\bt\("(\w+)"', text))
    prefixes = set(re.findall(r"\bt\(`(\w+_)\$", text))
    listed = re.search(r"HELP_TEXTS = \[(.*?)\]", text, re.DOTALL)
    assert listed
    used |= direct | set(re.findall(r'"(\w+)"', listed[1]))
    used |= {key for key in ENGLISH if any(key.startswith(prefix) for prefix in prefixes)}
    assert used == set(ENGLISH)
    actions = set(re.findall(r'action: "(\w+)"', text))
    assert {f"key_{action}" for action in actions} == {key for key in ENGLISH if key.startswith("key_")}
