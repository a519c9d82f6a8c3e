"""Scripts: text in letters that its language is not written with is noticed, and Latin letters are none."""

from __future__ import annotations

import pytest

from asr_api.text.languages import LANGUAGES
from asr_api.text.scripts import SCRIPTS, is_other_script

OWN = [
    ("en", " Hello."), ("nn", " Kva heiter du? Æ, ø og å."), ("vi", " Xin chào thế giới"), ("ru", " Привет, мир"),
    ("uk", " Привіт, світе"), ("sr", " Здраво"), ("sr", " Zdravo"), ("kk", " Сәлем"), ("el", " Γειά σου"),
    ("he", " שלום עולם"), ("ar", " مرحبا بالعالم"), ("fa", " سلام دنیا"), ("ur", " ہیلو"), ("hi", " नमस्ते दुनिया"),
    ("bn", " ওহে বিশ্ব"), ("pa", " ਸਤਿ ਸ੍ਰੀ ਅਕਾਲ"), ("pa", " سلام"), ("gu", " નમસ્તે"), ("ta", " வணக்கம்"), ("te", " హలో"),
    ("kn", " ನಮಸ್ಕಾರ"), ("ml", " ഹലോ"), ("si", " ආයුබෝවන්"), ("th", "สวัสดี"), ("lo", "ສະບາຍດີ"), ("km", "សួស្តី"),
    ("my", "မင်္ဂလာပါ"), ("bo", "བཀྲ་ཤིས"), ("am", " ሰላም"), ("hy", " Բարեւ"), ("ka", " გამარჯობა"), ("yi", " שלום"),
    ("zh", "你好,世界"), ("yue", "你好世界"), ("ja", "こんにちは、世界。コーヒー"), ("ja", "時々、人々"),
    ("ja", "コーヒー"), ("ko", " 안녕하세요"), ("ko", "大韓民國"), ("es", " 1.º y 2.ª"), ("ja", "OKです"),
]  # fmt: skip
OTHER = [
    ("nn", "ご視聴ありがとうございました"), ("en", " Субтитры"), ("ru", "字幕"), ("zh", "ありがとう"), ("hi", " سلام"),
    ("he", " Привет"), ("ko", "ありがとう"), ("en", " ok 你好世界"), ("el", " Привет"), ("en", "コーヒー"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text"), OWN)
def test_a_language_in_its_own_script(language: str, text: str) -> None:
    assert not is_other_script(text, language)


@pytest.mark.parametrize(("language", "text"), OTHER)
def test_a_language_in_another_script(language: str, text: str) -> None:
    assert is_other_script(text, language)


def test_latin_letters_may_be_in_any_text() -> None:
    assert not any(is_other_script(" Wi-Fi, OpenAI", language) for language in LANGUAGES)


@pytest.mark.parametrize("text", ["", " ", " 42 %!", "♪♪", " ١٢٣", " 🎉"])
def test_text_without_letters_has_no_script(text: str) -> None:
    assert not is_other_script(text, "en")


def test_a_few_foreign_letters_are_a_quotation() -> None:
    assert not is_other_script(" He said Привет", "en")  # half of the letters
    assert is_other_script(" He said Приветы", "en")


def test_nothing_is_known_without_a_language() -> None:
    assert not is_other_script("こんにちは", None)


def test_only_languages_of_whisper_have_scripts() -> None:
    assert set(SCRIPTS) <= set(LANGUAGES)
