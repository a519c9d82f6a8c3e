from __future__ import annotations

import pytest

from asr_api.errors import InvalidParameter
from asr_api.text.languages import ALIASES, LANGUAGES, language_code, language_or_auto


def test_codes_names_and_aliases() -> None:
    for code, name in LANGUAGES.items():
        assert language_code(code) == language_code(name) == language_code(f" {name.upper()} ") == code
    for alias, code in ALIASES.items():
        assert language_code(alias) == code
        assert code in LANGUAGES


def test_languages_of_large_v3_in_token_order() -> None:
    assert len(LANGUAGES) == len(set(LANGUAGES.values())) == 100
    assert list(LANGUAGES)[:3] == ["en", "zh", "de"]
    assert list(LANGUAGES)[-2:] == ["su", "yue"]


@pytest.mark.parametrize(
    ("text", "code"), [("en-US", "en"), ("pt_BR", "pt"), ("zh-Hant", "zh"), ("Haitian Creole", "ht"), ("yue", "yue")]
)
def test_regions_and_scripts_are_dropped(text: str, code: str) -> None:
    assert language_code(text) == code


@pytest.mark.parametrize("text", ["", "klingon", "e", "x" * 1000, "<|en|>"])
def test_unknown_language_is_named_briefly(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        language_code(text)
    assert len(str(caught.value)) < 200
    assert text[:40] in str(caught.value)


@pytest.mark.parametrize("text", ["auto", "Auto", " AUTO ", "auto-detect", "auto_detect"])
def test_auto_stands_for_detection(text: str) -> None:
    assert language_or_auto(text) is None
    with pytest.raises(InvalidParameter):
        language_code(text)


def test_a_language_is_no_auto() -> None:
    assert (language_or_auto("German"), language_or_auto("en-US")) == ("de", "en")
    with pytest.raises(InvalidParameter, match="language is 'automatic', an unknown language"):
        language_or_auto("automatic")
