"""The languages of Whisper: codes, English names, other common names, the code for any of them, and `auto`."""

from __future__ import annotations

from asr_api.errors import InvalidParameter

# In the order of Whisper's language tokens; "yue" came with large-v3. Codes are ISO 639-1 where there is one.
LANGUAGES = {
    "en": "english", "zh": "chinese", "de": "german", "es": "spanish", "ru": "russian", "ko": "korean",
    "fr": "french", "ja": "japanese", "pt": "portuguese", "tr": "turkish", "pl": "polish", "ca": "catalan",
    "nl": "dutch", "ar": "arabic", "sv": "swedish", "it": "italian", "id": "indonesian", "hi": "hindi",
    "fi": "finnish", "vi": "vietnamese", "he": "hebrew", "uk": "ukrainian", "el": "greek", "ms": "malay",
    "cs": "czech", "ro": "romanian", "da": "danish", "hu": "hungarian", "ta": "tamil", "no": "norwegian",
    "th": "thai", "ur": "urdu", "hr": "croatian", "bg": "bulgarian", "lt": "lithuanian", "la": "latin",
    "mi": "maori", "ml": "malayalam", "cy": "welsh", "sk": "slovak", "te": "telugu", "fa": "persian",
    "lv": "latvian", "bn": "bengali", "sr": "serbian", "az": "azerbaijani", "sl": "slovenian", "kn": "kannada",
    "et": "estonian", "mk": "macedonian", "br": "breton", "eu": "basque", "is": "icelandic", "hy": "armenian",
    "ne": "nepali", "mn": "mongolian", "bs": "bosnian", "kk": "kazakh", "sq": "albanian", "sw": "swahili",
    "gl": "galician", "mr": "marathi", "pa": "punjabi", "si": "sinhala", "km": "khmer", "sn": "shona",
    "yo": "yoruba", "so": "somali", "af": "afrikaans", "oc": "occitan", "ka": "georgian", "be": "belarusian",
    "tg": "tajik", "sd": "sindhi", "gu": "gujarati", "am": "amharic", "yi": "yiddish", "lo": "lao",
    "uz": "uzbek", "fo": "faroese", "ht": "haitian creole", "ps": "pashto", "tk": "turkmen", "nn": "nynorsk",
    "mt": "maltese", "sa": "sanskrit", "lb": "luxembourgish", "my": "myanmar", "bo": "tibetan", "tl": "tagalog",
    "mg": "malagasy", "as": "assamese", "tt": "tatar", "haw": "hawaiian", "ln": "lingala", "ha": "hausa",
    "ba": "bashkir", "jw": "javanese", "su": "sundanese", "yue": "cantonese",
}  # fmt: skip
ALIASES = {
    "burmese": "my", "valencian": "ca", "flemish": "nl", "haitian": "ht", "letzeburgesch": "lb", "pushto": "ps",
    "panjabi": "pa", "moldavian": "ro", "moldovan": "ro", "sinhalese": "si", "castilian": "es", "mandarin": "zh",
    "farsi": "fa", "filipino": "tl", "jv": "jw", "iw": "he", "nb": "no", "bokmal": "no",
}  # fmt: skip

AUTO = "auto"  # as clients of other servers ask for detection

_CODES = ALIASES | {name: code for code, name in LANGUAGES.items()} | {code: code for code in LANGUAGES}


def language_code(name: str, parameter: str = "language") -> str:
    """The code of "en", "EN", "en-US" or "English". Raises InvalidParameter, which names `parameter`."""
    normalized = name.strip().lower().replace("_", "-")
    for candidate in (normalized, normalized.partition("-")[0]):
        if candidate in _CODES:
            return _CODES[candidate]
    raise InvalidParameter(
        f"{parameter} is {name.strip()[:40]!r}, an unknown language; use a code such as en, or an English name."
    )


def language_or_auto(name: str) -> str | None:
    """As `language_code`; None for "auto", "Auto" or "auto-detect": the language is to be detected."""
    is_auto = name.strip().lower().replace("_", "-").partition("-")[0] == AUTO
    return None if is_auto else language_code(name)
