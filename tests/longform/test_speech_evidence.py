"""Speech evidence: text without speech is omitted or doubted, by all that is known about it."""

from __future__ import annotations

import pytest

from asr_api.audio.vad.speech_activity import SpeechActivity
from asr_api.longform.speech_evidence import CLEAR_SPEECH, RULES, WEAK_SPEECH, weigh
from asr_api.transcript import LanguageGuess, Quality, Segment, WindowTranscript
from tests.speech_activities import PAUSE, SPEECH, activity

(NOISE, NOISE_NO_SPEECH, NOISE_LOGPROB), (WEAK, WEAK_NO_SPEECH, WEAK_LOGPROB) = RULES
SURE = Quality(mean_logprob=-0.2, no_speech_probability=0.01)
CLEAR, UNCLEAR = CLEAR_SPEECH + 0.01, CLEAR_SPEECH - 0.01


def quality(no_speech: float, logprob: float) -> Quality:
    return Quality(mean_logprob=logprob, no_speech_probability=no_speech)


def weighed(
    strongest: float, text: str, of: Quality | None = SURE, *, prompt: str = "", language: str | None = "en"
) -> WindowTranscript:
    """Of a window of a second behind a second of clear speech."""
    speech = activity((SPEECH, 0.96), (strongest, 0.96))
    return weigh(speech, 960, WindowTranscript((Segment(0, 960, text, quality=of),), language), prompt)


def doubts(segments: tuple[Segment, ...]) -> list[tuple[str, ...]]:
    return [segment.quality.doubts if segment.quality else () for segment in segments]


def is_kept(transcript: WindowTranscript) -> bool:
    assert len(transcript.segments) + len(transcript.omitted) == 1
    assert doubts(transcript.omitted) in ([], [("no_speech",)])
    return bool(transcript.segments)


@pytest.mark.parametrize("strongest", [NOISE - 0.01, WEAK - 0.01])
def test_a_measure_that_the_model_does_not_give_speaks_for_its_text(strongest: float) -> None:
    for of in (Quality(), Quality(mean_logprob=-0.2), Quality(no_speech_probability=0.01)):
        assert is_kept(weighed(strongest, " Thank you.", of))
    for of in (Quality(mean_logprob=-0.9), Quality(no_speech_probability=0.2)):
        assert not is_kept(weighed(strongest, " Thank you.", of))


@pytest.mark.parametrize("text", [" .", "...", " ♪♪", "。", " - ?", " "])
@pytest.mark.parametrize("of", [SURE, None])
def test_text_without_letters_is_omitted(text: str, of: Quality | None) -> None:
    assert not is_kept(weighed(SPEECH, text, of))


@pytest.mark.parametrize(("strongest", "probability", "expected"), [
    (UNCLEAR, 0.49, ("no_speech",)), (UNCLEAR, 0.51, ()), (CLEAR, 0.2, ()),
])  # fmt: skip
def test_text_in_a_language_that_nobody_is_sure_of_is_doubted_where_speech_is_weak(
    strongest: float, probability: float, expected: tuple[str, ...]
) -> None:
    guesses = (LanguageGuess("nn", probability), LanguageGuess("en", 0.1))
    window = WindowTranscript((Segment(0, 960, " nd", quality=SURE),), "nn", guesses)
    transcript = weigh(activity((SPEECH, 0.96), (strongest, 0.96)), 960, window, "")
    assert doubts(transcript.segments) == [expected]


@pytest.mark.parametrize("text", [" 5", " Ja.", "はい", "ค่ะ", " ١"])
def test_short_text_in_speech_is_kept(text: str) -> None:
    transcript = weighed(SPEECH, text, language=None)
    assert is_kept(transcript)
    assert doubts(transcript.segments) == [()]


@pytest.mark.parametrize(
    ("strongest", "of", "kept"),
    [
        pytest.param(NOISE - 0.01, quality(NOISE_NO_SPEECH - 0.01, NOISE_LOGPROB + 0.01), True, id="noise, very sure"),
        pytest.param(NOISE - 0.01, quality(NOISE_NO_SPEECH + 0.01, -0.01), False, id="noise, the model has a doubt"),
        pytest.param(NOISE - 0.01, quality(0.0, NOISE_LOGPROB - 0.01), False, id="noise, unsure text"),
        pytest.param(NOISE + 0.01, quality(0.12, -0.7), True, id="weak, sure enough"),
        pytest.param(NOISE - 0.01, quality(0.12, -0.7), False, id="noise, not sure enough"),
        pytest.param(WEAK - 0.01, quality(WEAK_NO_SPEECH + 0.01, -0.1), False, id="weak, the model has a doubt"),
        pytest.param(WEAK - 0.01, quality(0.0, WEAK_LOGPROB - 0.01), False, id="weak, unsure text"),
        pytest.param(WEAK + 0.01, quality(0.9, -3.0), True, id="speech, although the model has doubts"),
    ],
)
def test_the_weaker_the_speech_the_surer_the_model_must_be(strongest: float, of: Quality, kept: bool) -> None:
    assert is_kept(weighed(strongest, " Thanks for watching!", of)) == kept


@pytest.mark.parametrize(("strongest", "expected"), [(0.0, ("no_speech",)), (NOISE, ("no_speech",)), (SPEECH, ())])
def test_text_of_models_that_rate_nothing_is_kept(strongest: float, expected: tuple[str, ...]) -> None:
    transcript = weighed(strongest, " hello", None)
    assert is_kept(transcript)
    assert doubts(transcript.segments) == [expected]


@pytest.mark.parametrize(("strongest", "expected"), [(WEAK_SPEECH - 0.01, ("no_speech",)), (WEAK_SPEECH + 0.01, ())])
def test_text_that_is_kept_where_speech_is_weak_has_a_doubt(strongest: float, expected: tuple[str, ...]) -> None:
    assert doubts(weighed(strongest, " one two three").segments) == [expected]


def test_quiet_speech_counts_as_at_a_standard_level() -> None:
    speech = activity((PAUSE, 2.0), amplified=0.8)
    unsure = Segment(0, 2_000, " Hello there.", quality=quality(0.5, -1.0))
    assert is_kept(weigh(speech, 0, WindowTranscript((unsure,)), ""))


@pytest.mark.parametrize("text", [" Welcome to Acme Corp", " acme corp.", " ACME-CORP"])
def test_an_echo_of_the_prompt_is_omitted_without_clear_speech(text: str) -> None:
    prompt = "Welcome to Acme Corp, and its founder Jane Doe."
    assert not is_kept(weighed(UNCLEAR, text, prompt=prompt))
    assert not is_kept(weighed(PAUSE, text, None, prompt=prompt))
    assert is_kept(weighed(CLEAR, text, prompt=prompt))
    assert is_kept(weighed(UNCLEAR, text))


def test_a_word_of_the_prompt_is_no_echo() -> None:
    assert is_kept(weighed(UNCLEAR, " welcome", prompt="Welcome to Acme Corp."))
    assert is_kept(weighed(UNCLEAR, " Acme Corporation", prompt="Welcome to Acme Corp."))


def test_text_in_another_script_is_doubted_without_clear_speech() -> None:
    japanese = "ご視聴ありがとうございました"
    assert doubts(weighed(UNCLEAR, japanese, language="nn").segments) == [("no_speech",)]
    assert doubts(weighed(UNCLEAR, japanese, None, language="nn").segments) == [("no_speech",)]
    assert doubts(weighed(CLEAR, japanese, language="nn").segments) == [()]
    assert doubts(weighed(UNCLEAR, japanese, language="ja").segments) == [()]
    assert doubts(weighed(UNCLEAR, japanese, language=None).segments) == [()]


def test_doubts_are_added_to_those_of_the_model_once() -> None:
    of = Quality(doubts=("repetition",), no_speech_probability=0.9)
    assert doubts(weighed(0.0, " la la", of).omitted) == [("repetition", "no_speech")]
    of = Quality(doubts=("no_speech",), no_speech_probability=0.9)
    assert doubts(weighed(0.0, " la la", of).omitted) == [("no_speech",)]


def test_omitted_text_is_in_order_with_that_of_the_model() -> None:
    first, last = Segment(0, 900, " One."), Segment(1_000, 1_800, " ...")
    model = Segment(500, 700, " so", quality=Quality(doubts=("no_speech",)))
    late = Segment(1_900, 2_000, " la", quality=Quality(doubts=("no_speech",)))
    transcript = weigh(activity((SPEECH, 2.0)), 0, WindowTranscript((first, last), omitted=(late, model)), "")
    assert transcript.segments == (first,)
    assert transcript.omitted == (model, last, late)


@pytest.mark.parametrize(("start_ms", "end_ms"), [(0, 0), (960, 960), (1_920, 1_920), (940, 960), (2_000, 2_000)])
def test_a_segment_that_is_shorter_than_a_word_has_the_speech_around_it(start_ms: int, end_ms: int) -> None:
    unsure = WindowTranscript((Segment(start_ms, end_ms, " Yes.", quality=quality(0.5, -2.0)),))
    assert is_kept(weigh(activity((SPEECH, 1.92)), 0, unsure, ""))
    assert not is_kept(weigh(activity((PAUSE, 1.92)), 0, unsure, ""))


def test_nothing_stays_nothing() -> None:
    silence: SpeechActivity = activity((PAUSE, 1.0))
    empty = WindowTranscript((), "en", num_tokens=3, resume_ms=500)
    assert weigh(silence, 0, empty, "a prompt") == empty
