"""Generates vectors for Python's formats and the page's: `python -m tests.formats.subtitle_vectors` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asr_api.formats import text
from asr_api.formats.openai_json import VerboseParts, verbose_json
from asr_api.formats.subtitles import srt, vtt
from asr_api.options import SubtitleOptions, Task
from asr_api.text.languages import LANGUAGES
from asr_api.transcript import Segment, Transcript, Word
from tests.formats.transcripts import evenly_timed, timed, transcript

FILE = Path(__file__).with_name("subtitle_vectors.json")
DEFAULTS = SubtitleOptions()
ALL_PARTS = VerboseParts(has_segments=True, has_words=True)


@dataclass(frozen=True)
class Case:
    """What a vector is made of."""

    name: str
    transcript: Transcript
    options: SubtitleOptions = DEFAULTS
    task: Task = "transcribe"


def page_transcript(spoken: Transcript, task: Task = "transcribe") -> dict[str, Any]:
    """In the shape that the page has."""
    return {
        "audioMs": spoken.audio_ms,
        "task": task,
        "language": spoken.language,
        "languageName": LANGUAGES.get(spoken.language or ""),
        "segments": [
            _timed(segment) | {"words": [*map(_timed, segment.words)], "speaker": segment.speaker}
            for segment in spoken.segments
        ],
    }


def page_options(options: SubtitleOptions) -> dict[str, int | None]:
    return {
        "maxLineWidth": options.max_line_width,
        "maxLineCount": options.max_line_count,
        "maxWordsPerLine": options.max_words_per_line,
    }


def python_transcript(shape: dict[str, Any]) -> Transcript:
    """The reverse of `page_transcript`."""
    segments = (
        Segment(s["startMs"], s["endMs"], s["text"], tuple(map(_word, s["words"])), speaker=s["speaker"])
        for s in shape["segments"]
    )
    return Transcript(tuple(segments), shape["audioMs"], shape["language"])


def python_options(shape: dict[str, Any]) -> SubtitleOptions:
    """The reverse of `page_options`."""
    return SubtitleOptions(shape["maxLineWidth"], shape["maxLineCount"], shape["maxWordsPerLine"])


def formatted(spoken: Transcript, options: SubtitleOptions, task: Task) -> dict[str, Any]:
    """By Python's formats."""
    body = json.loads(verbose_json(spoken, task, ALL_PARTS))
    return {"text": text(spoken), "srt": srt(spoken, options), "vtt": vtt(spoken, options), "verboseJson": body}


def vectors() -> list[dict[str, Any]]:
    return [
        {
            "name": case.name,
            "transcript": page_transcript(case.transcript, case.task),
            "options": page_options(case.options),
            **formatted(case.transcript, case.options, case.task),
        }
        for case in _cases()
    ]


def encoded(found: Sequence[dict[str, Any]]) -> str:
    """One vector on a line."""
    return "[\n" + ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in found) + "\n]\n"


def _timed(timed_text: Segment | Word) -> dict[str, Any]:
    return {"startMs": timed_text.start_ms, "endMs": timed_text.end_ms, "text": timed_text.text}


def _word(shape: dict[str, Any]) -> Word:
    return Word(shape["startMs"], shape["endMs"], shape["text"])


def _glued(*texts: str, start_ms: int = 0, word_ms: int = 250) -> Segment:
    """A segment of words without blanks between them."""
    starts_ms = [start_ms + index * word_ms for index in range(len(texts))]
    words = tuple(Word(begin, begin + word_ms, word) for begin, word in zip(starts_ms, texts, strict=True))
    return Segment(start_ms, start_ms + len(texts) * word_ms, "".join(texts), words)


def _untimed(content: str, start_ms: int = 0, end_ms: int = 9000, speaker: str | None = None) -> Segment:
    return Segment(start_ms, end_ms, content, speaker=speaker)


ENGLISH = (
    "Good morning, everybody. Dr. J. R. Smith said (in a whisper) that the meeting – the third one this week – would "
    'start at 9.30 a.m. and not later; "Is that so?" asked Mrs. Jones. Yes! We went on... and on, until it was over.'
)
GERMAN = (
    "Die Straße ist groß, sagte Hr. Müller. Äpfel, Öl und Übermut – das Wort „Donaudampfschifffahrtsgesellschaft“ "
    "passt kaum in eine Zeile. Weiß man's? ß. Und STRASSE."
)
FRENCH = (
    "Il a dit : « Bonjour\u00a0! » Puis, l’été venu, M. Dupont s’en alla ; « C’est fini\u202f? » demanda-t-elle. Œuvre."
)


def _cases() -> Iterator[Case]:
    yield from _scripts()
    yield from _shapes()
    yield from _times()
    yield from _layouts()


def _scripts() -> Iterator[Case]:
    def case(name: str, code: str | None, *segments: Segment) -> Case:
        return Case(name, Transcript(segments, segments[-1].end_ms + 400, code))

    yield case("Latin", "en", evenly_timed(ENGLISH))
    yield case("German", "de", evenly_timed(GERMAN, word_ms=410))
    yield case("French quotes", "fr", evenly_timed(FRENCH), _untimed(" « Oui. »", 9000, 9800))
    chinese = "我今天早上去了商店，买了一些苹果和香蕉。「你好吗？」他问：“很好！”然后我们走了……《三国》（上）。"
    yield case("Chinese", "zh", _untimed(chinese), _glued("今天", "天气", "很", "好。", start_ms=9100))
    japanese = (
        "きょうはちょっと寒いですね。コーヒーをいっぱい、ジュースを「ください」ッ々と言った。Tokyoへ行っています!"
    )
    yield case("Japanese with small kana", "ja", _untimed(japanese), _glued("キャ", "ッ", "プ", "ー。", start_ms=9000))
    thai = "สวัสดีครับ วันนี้เราจะไปกินข้าวที่ตลาดน้ำ แล้วก็กลับบ้านๆ ไม่ใช่เหรอ ฯลฯ"
    yield case("Thai", "th", _untimed(thai), _glued("ขอ", "บคุณ", "มาก", "ๆ", start_ms=9000))
    yield case("Arabic", "ar", evenly_timed("مرحبا، كيف حالك؟ أنا بخير؛ شكرًا جزيلًا۔ وأنت، يا صديقي العزيز؟ نَعَمْ."))
    yield case("Hindi", "hi", evenly_timed("नमस्ते, आप कैसे हैं? मैं ठीक हूँ। धन्यवाद॥ क्या आप कल बाज़ार जाएँगे। हाँ, ज़रूर।"))
    yield case("Korean and full width", "ko", evenly_timed("안녕하세요, 저는 학생입니다。 ＡＢＣ１２３！ 한국어. ｶﾞｷﾞ"))
    emoji = "Look 👨‍👩‍👧‍👦 here 👍🏽, and 🇩🇪 flags ❤️ too! 🎉🎉🎉 \u200dend ☺ of\u00ad it."
    yield case("emoji with joiners", "en", evenly_timed(emoji), _untimed(" 🎉" * 30, 4000, 9000))
    marks = (
        "Cafe\u0301 re\u0301sume\u0301, n\u0303an\u0303a. Z\u0335\u0321\u0321a\u0353l\u034dg\u034eo"
        " a\u20dd 天\u0301地\u3099人"
    )
    yield case("combining marks", "es", evenly_timed(marks), _untimed(marks, 4000, 8000))
    yield case("Burmese, Khmer and Lao", "my", _untimed("မင်္ဂလာပါ။ နေကောင်းလား။ សួស្តី។ ខ្ញុំសុខសប្បាយ ສະບາຍດີເຈົ້າໄປໃສໆ"))


def _shapes() -> Iterator[Case]:
    yield Case("no segments", Transcript((), 10_000))
    blanks = (Word(0, 500, " one"), Word(500, 500, " \n"), Word(500, 900, "\u3000"), Word(900, 1500, "two"))
    blank_words = Segment(2000, 3500, " one \n\u3000two", blanks)
    blank = (_untimed(" ", 0, 1000), _untimed("\u3000\n", 1000, 2000), blank_words, Segment(3500, 3500, "\t"))
    yield Case("blank segments", Transcript(blank, 9000, "en"))
    odd = "one\x1ctwo\x85three\u2028four\ufefffive\u200bsix\x00 \tseven\v\feight "
    yield Case("rare blanks", transcript(_untimed(odd, 0, 4000)))
    names = (
        timed((0, 900, "Hello."), speaker="Anna"),
        timed((900, 1800, "Hi"), (1800, 2400, "Anna."), speaker=" Bob  B."),
        timed((2400, 3600, "sorry"), speaker=" Bob  B."),
        _untimed(" Gentlemen!", 3600, 5000, "The Right Honourable Member for Aberavon"),
        _untimed("你好。", 5000, 6000, "王"),
        timed((6000, 6900, "(laughter)")),
    )
    yield Case("speakers", Transcript(names, 8000, "en"))
    yield Case(
        "markup", transcript(evenly_timed("a --> b <i>x</i> & &amp; --- > {\\an8} -->--> 00:00:01,000 --> 1\\n"))
    )
    languages = Transcript((evenly_timed("Words of a translation."),), 2000, "de")
    yield Case("translation", languages, task="translate")
    yield Case("segments without words", transcript(_untimed(f" {ENGLISH}"), _untimed(f" {GERMAN}", 9000, 19_000)))
    address = "https://example.com/" + "a" * 70
    long_words = evenly_timed(f"See {address} now, or {'天' * 50} or {'ข้อมูล' * 12} or {'-' * 43}")
    yield Case("words longer than a line", transcript(long_words))
    yield Case(
        "hours", transcript(_untimed(" Late.", 359_999_000, 359_999_999), _untimed(" Later.", 360_000_000, 360_000_001))
    )


def _times() -> Iterator[Case]:
    yield Case("zero-length words", transcript(timed(*((500, 500, f"word{number}") for number in range(25)))))
    yield Case("zero-length segments", transcript(*(Segment(500, 500, f" {'w' * 80}{number}") for number in range(3))))
    overlapping = (
        timed((0, 4000, "We talk"), (1000, 9000, "both at")), timed((3000, 3500, "the same"), (2000, 12_000, "time.")),
        _untimed(" And again before that.", 1500, 2500), timed((13_000, 13_100, "End")),
    )  # fmt: skip
    yield Case("overlapping times", Transcript(overlapping, 13_050))
    words = " goes on like this and then"
    pauses_ms = (0, 199, 200, 500, 2000)
    between: list[Segment] = []
    for pause_ms in pauses_ms:
        start_ms = (between[-1].end_ms if between else 0) + pause_ms
        segment = evenly_timed(f"After {pause_ms} it{words}", word_ms=150).shifted(start_ms)
        between.append(replace(segment, seek_ms=0))
    yield Case("pauses between segments", transcript(*between))
    spoken: list[tuple[int, int, str]] = []
    for pause_ms in (199, 200, 499, 500, 1999, 2000):
        for index, word in enumerate(f"after {pause_ms}{words}".split()):
            start_ms = (spoken[-1][1] if spoken else 0) + (0 if index else pause_ms)
            spoken.append((start_ms, start_ms + 210, word))
    yield Case("pauses between words", Transcript((timed(*spoken),), spoken[-1][1] + 60_000))


def _layouts() -> Iterator[Case]:
    yield Case("a short sentence first", transcript(evenly_timed("No. " + "Abcdefg " * 10, word_ms=1000)))
    abbreviations = "Then _J. Then a.2. Then a.². Then (Ⅷ.b. Then 'x.’ Then St. Then J. Then end.’ "
    yield Case("abbreviations", transcript(evenly_timed(abbreviations * 3, word_ms=350)), SubtitleOptions(16, 1))
    mixed = transcript(evenly_timed(ENGLISH), _untimed(" 我们今天去了商店，买了一些苹果。", 12_000, 16_000))
    limits = ((1, 1, 1), (10, 1, 1), (10, 10, None), (1000, 1, None), (1000, 10, 100), (42, 2, 1), (20, 3, 4))
    for width, count, words in limits:
        yield Case(f"options {width}, {count}, {words}", mixed, SubtitleOptions(width, count, words))


if __name__ == "__main__":
    FILE.write_text(encoded(vectors()), encoding="utf-8")
