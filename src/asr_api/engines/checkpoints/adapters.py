"""Names of the adapter files of a checkpoint that has one for each language, as facebook/mms-1b-all does.

ADAPTER_NAMES: language code → the name in `adapter.<name>.safetensors`: ISO 639-3, with the script where a language has
several. Only adapters of languages that the server has a code for are downloaded.
"""

from __future__ import annotations

from pathlib import Path

ADAPTER_NAMES = {
    "en": "eng", "zh": "cmn-script_simplified", "de": "deu", "es": "spa", "ru": "rus", "ko": "kor", "fr": "fra",
    "ja": "jpn", "pt": "por", "tr": "tur", "pl": "pol", "ca": "cat", "nl": "nld", "ar": "ara", "sv": "swe",
    "it": "ita", "id": "ind", "hi": "hin", "fi": "fin", "vi": "vie", "he": "heb", "uk": "ukr", "el": "ell",
    "ms": "zlm", "cs": "ces", "ro": "ron", "da": "dan", "hu": "hun", "ta": "tam", "no": "nob", "th": "tha",
    "ur": "urd-script_arabic", "hr": "hrv", "bg": "bul", "lt": "lit", "la": "lat", "mi": "mri", "ml": "mal",
    "cy": "cym", "sk": "slk", "te": "tel", "fa": "fas", "lv": "lav", "bn": "ben", "sr": "srp-script_latin",
    "az": "azj-script_latin", "sl": "slv", "kn": "kan", "et": "est", "mk": "mkd", "br": "bre", "eu": "eus",
    "is": "isl", "hy": "hye", "ne": "npi", "mn": "mon", "bs": "bos", "kk": "kaz", "sq": "sqi", "sw": "swh",
    "gl": "glg", "mr": "mar", "pa": "pan", "si": "sin", "km": "khm", "sn": "sna", "yo": "yor", "so": "som",
    "af": "afr", "oc": "oci", "ka": "kat", "be": "bel", "tg": "tgk", "sd": "snd", "gu": "guj", "am": "amh",
    "yi": "yid", "lo": "lao", "uz": "uzb-script_latin", "fo": "fao", "ht": "hat", "ps": "pus",
    "tk": "tuk-script_latin", "nn": "nno", "mt": "mlt", "sa": "san", "lb": "ltz", "my": "mya", "bo": "bod",
    "tl": "tgl", "mg": "mlg", "as": "asm", "tt": "tat", "haw": "haw", "ln": "lin", "ha": "hau", "ba": "bak",
    "jw": "jav", "su": "sun", "yue": "yue-script_traditional",
}  # fmt: skip


def adapter_file(name: str) -> str:
    return f"adapter.{name}.safetensors"


def find_adapters(folder: Path) -> dict[str, str]:
    """Language code → adapter name, for the adapters that the folder of a checkpoint has."""
    return {code: name for code, name in ADAPTER_NAMES.items() if (folder / adapter_file(name)).is_file()}
