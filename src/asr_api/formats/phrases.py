"""Timed words → utterances, which end at pauses, and paragraphs of sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from asr_api.text.sentences import ends_sentence
from asr_api.transcript import Segment, Word

PARAGRAPH_PAUSE_MS = 2000
MAX_SENTENCES = 5  # of a paragraph

Phrase = Sequence[Word]


def timed_words(segments: Iterable[Segment]) -> list[Word]:
    """Of a segment without word timestamps: its whole text as one word."""
    words = [word for segment in segments for word in segment.words or (_whole(segment),)]
    return [word for word in words if not word.text.isspace()]


def utterances(words: Phrase, min_pause_ms: int) -> list[Phrase]:
    return _divided(words, [index for index in range(1, len(words)) if _pause_ms(words, index) >= min_pause_ms])


def sentences(words: Phrase) -> list[Phrase]:
    ends = (index for index, (word, following) in enumerate(pairwise(words), 1) if _is_end(word, following))
    return _divided(words, list(ends))


def paragraphs(words: Phrase) -> Iterator[list[Phrase]]:
    """Sentences up to a long pause, and at most five."""
    paragraph: list[Phrase] = []
    for sentence in sentences(words):
        is_start = paragraph and sentence[0].start_ms - paragraph[-1][-1].end_ms >= PARAGRAPH_PAUSE_MS
        if is_start or len(paragraph) == MAX_SENTENCES:
            yield paragraph
            paragraph = []
        paragraph.append(sentence)
    if paragraph:
        yield paragraph


def phrase_text(words: Iterable[Word]) -> str:
    return "".join(word.text for word in words).strip()


def confidence(words: Phrase) -> float:
    """The mean probability; 0 for no words."""
    return round(sum(word.probability for word in words) / len(words), 4) if words else 0.0


def _whole(segment: Segment) -> Word:
    mean_logprob = segment.quality.mean_logprob if segment.quality else None
    probability = 1.0 if mean_logprob is None else math.exp(min(mean_logprob, 0.0))
    return Word(segment.start_ms, segment.end_ms, segment.text, probability)


def _is_end(word: Word, following: Word) -> bool:
    return ends_sentence(word.text, following.text)


def _pause_ms(words: Phrase, index: int) -> int:
    """Before this word."""
    return words[index].start_ms - words[index - 1].end_ms


def _divided(words: Phrase, starts: list[int]) -> list[Phrase]:
    return [words[start:end] for start, end in pairwise([0, *starts, len(words)]) if start < end]
