from __future__ import annotations

import pytest

from asr_api.errors import InvalidParameter
from asr_api.text.languages import ALIASES, LANGUAGES, language_code


def test_every_code_name_and_alias_leads_to_a_code() -> None:
    for code, name in LANGUAGES.items():
        assert language_code(code) == language_code(name) == language_code(f" {name.upper()} ") == code
    for alias, code in ALIASES.items():
        assert language_code(alias) == code
        assert code in LANGUAGES


def test_there_are_the_hundred_languages_of_large_v3_in_token_order() -> None:
    assert len(LANGUAGES) == len(set(LANGUAGES.values())) == 100
    assert list(LANGUAGES)[:3] == ["en", "zh", "de"]
    assert list(LANGUAGES)[-2:] == ["su", "yue"]


@pytest.mark.parametrize(
    ("wish", "code"), [("en-US", "en"), ("pt_BR", "pt"), ("zh-Hant", "zh"), ("Haitian Creole", "ht"), ("yue", "yue")]
)
def test_regions_and_scripts_are_dropped(wish: str, code: str) -> None:
    assert language_code(wish) == code


@pytest.mark.parametrize("wish", ["", "klingon", "e", "x" * 1000, "<|en|>"])
def test_an_unknown_language_is_named_briefly_in_the_error(wish: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        language_code(wish)
    assert len(str(caught.value)) < 200
    assert wish[:40] in str(caught.value)
