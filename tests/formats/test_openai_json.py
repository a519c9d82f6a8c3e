"""OpenAI's JSON: every figure is the decoder's, and what was not asked for is absent."""

from __future__ import annotations

import json

from asr_api.formats.openai_json import VerboseParts, logprobs_of, token_usage, transcription_json, verbose_json
from asr_api.transcript import Quality, Segment, Transcript, Word

SEGMENT = Segment(
    30_120,
    31_500,
    " Héllo.",
    words=(Word(30_120, 31_500, " Héllo."),),
    quality=Quality(0.2, -0.25, 1.125, 0.0625),
    tokens=(634, 6151),
    logprobs=(-0.5, -0.25),
    token_bytes=(b" H\xc3", b"\xa9llo."),
    seek_ms=30_000,
    start_token=50_370,
    end_token=50_439,
)
SPOKEN = Transcript((SEGMENT,), 31_750, "de")
SILENCE = Transcript((), 2_000)


def test_json_has_text_languages_and_usage() -> None:
    expected = {"text": "Héllo.", "languages": [{"code": "de"}], "usage": {"type": "duration", "seconds": 31.75}}
    assert json.loads(transcription_json(SPOKEN)) == expected
    silence = {"text": "", "languages": [], "usage": {"type": "duration", "seconds": 2.0}}
    assert json.loads(transcription_json(SILENCE)) == silence


def test_log_probabilities_have_the_bytes_of_their_tokens() -> None:
    logprobs = json.loads(transcription_json(SPOKEN, has_logprobs=True))["logprobs"]
    assert logprobs == list(logprobs_of([SEGMENT]))
    assert bytes(byte for item in logprobs for byte in item["bytes"]).decode() == " Héllo."
    assert [item["logprob"] for item in logprobs] == [-0.5, -0.25]
    assert logprobs[0]["token"] == " H\ufffd"


def test_a_verbose_segment_has_ten_figures_of_the_decoder() -> None:
    body = json.loads(verbose_json(SPOKEN, "transcribe", VerboseParts()))
    assert body == {
        "task": "transcribe",
        "language": "german",
        "language_code": "de",
        "duration": 31.75,
        "text": "Héllo.",
        "segments": [
            {
                "id": 0,
                "seek": 3_000,
                "start": 30.12,
                "end": 31.5,
                "text": " Héllo.",
                "tokens": [50_370, 634, 6151, 50_439],
                "temperature": 0.2,
                "avg_logprob": -0.25,
                "compression_ratio": 1.125,
                "no_speech_prob": 0.0625,
            }
        ],
        "usage": {"type": "duration", "seconds": 31.75},
    }


def test_words_are_beside_the_segments_or_instead_of_them() -> None:
    words = [{"word": "Héllo.", "start": 30.12, "end": 31.5}]
    both = json.loads(verbose_json(SPOKEN, "transcribe", VerboseParts(has_words=True)))
    assert both["words"] == words
    assert len(both["segments"]) == 1
    alone = json.loads(verbose_json(SPOKEN, "transcribe", VerboseParts(has_segments=False, has_words=True)))
    assert alone["words"] == words
    assert "segments" not in alone
    assert json.loads(verbose_json(SILENCE, "transcribe", VerboseParts(has_words=True)))["words"] == []


def test_a_translation_is_english() -> None:
    assert json.loads(verbose_json(SPOKEN, "translate", VerboseParts()))["language"] == "english"


def test_figures_that_a_model_does_not_give_are_numbers() -> None:
    plain = Transcript((Segment(0, 1_000, " Hi."),), 1_000)
    (segment,) = json.loads(verbose_json(plain, "transcribe", VerboseParts()))["segments"]
    assert (segment["avg_logprob"], segment["no_speech_prob"], segment["tokens"]) == (0.0, 0.0, [])


def test_usage_counts_fifty_audio_tokens_a_second() -> None:
    usage = token_usage(1_010, 7)
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (51, 7, 58)
