"""Transcripts for the tests of the formats."""

from __future__ import annotations

from asr_api.transcript import Segment, Transcript, Word


def transcript(*segments: Segment) -> Transcript:
    return Transcript(segments, audio_ms=segments[-1].end_ms if segments else 0)


def timed(*words: tuple[int, int, str], speaker: str | None = None) -> Segment:
    """A segment of words with their times; each has a blank before it."""
    spoken = tuple(Word(start_ms, end_ms, f" {text}") for start_ms, end_ms, text in words)
    return Segment(words[0][0], words[-1][1], "".join(word.text for word in spoken), spoken, speaker=speaker)


def evenly_timed(text: str, word_ms: int = 300) -> Segment:
    """A segment of words that follow each other without pauses and last equally long."""
    words = text.split()
    starts_ms = [number * word_ms for number in range(len(words))]
    return timed(*((start, start + word_ms, word) for start, word in zip(starts_ms, words, strict=True)))
