"""Long-form transcription: language vote, previous-text conditioning, continuations, silence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import numpy as np
import pytest

from asr_api.audio.vad.speech_activity import CHUNK_SAMPLES
from asr_api.errors import RequestCrashedWorker
from asr_api.events import FinalSegments, fold
from asr_api.options import DecodeOptions, TranscribeOptions, VadOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.request import RequestScope
from asr_api.transcript import LanguageGuess, Quality, Segment, Transcript
from tests.engines.scripted import FIRST_TIMESTAMP, LanguageRule, Script, number_pcm, read_numbers
from tests.service import ServiceHarness
from tests.test_transcriber import text_of

pytestmark = pytest.mark.anyio

MUSIC = (LanguageGuess("fr", 0.35), LanguageGuess("en", 0.1))
UNSURE = (LanguageGuess("de", 0.6), LanguageGuess("en", 0.3))
GERMAN = (LanguageGuess("de", 0.95), LanguageGuess("en", 0.03))


async def final_segments(
    service: ServiceHarness, pcm: Pcm, options: TranscribeOptions | None = None
) -> list[FinalSegments]:
    finals: list[FinalSegments] = []

    async def collect() -> Transcript:
        finals.extend([event async for event in service.events(pcm, options) if isinstance(event, FinalSegments)])
        return Transcript((), 0)

    await service.finish(asyncio.create_task(collect()))
    return finals


async def languages_of(script: Script, pcm: Pcm, options: TranscribeOptions | None = None) -> list[str | None]:
    """Of each window; no word may be lost on the way."""
    finals = await final_segments(ServiceHarness(script), pcm, options)
    texts = [segment.text for event in finals for segment in event.segments]
    assert texts == [segment.text for segment in read_numbers(pcm)]
    return [event.language for event in finals]


# -- language --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2, 4])
async def test_an_unsure_window_is_decoded_again_in_the_language_of_the_others(slots: int) -> None:
    script = Script(n_slots=slots, language_rules=(LanguageRule(1, 1, MUSIC), LanguageRule(50, 70, UNSURE)))
    languages = await languages_of(script, number_pcm(range(1, 151)))
    assert len(languages) >= 5
    assert set(languages) == {"en"}


async def test_each_piece_tells_the_probability_of_its_language_if_it_was_detected() -> None:
    async def probabilities(options: TranscribeOptions) -> list[float | None]:
        service = ServiceHarness(Script(max_words=10, language_rules=(LanguageRule(1, 1, GERMAN),)))
        return [
            event.language_probability for event in await final_segments(service, number_pcm(range(1, 26)), options)
        ]

    assert await probabilities(TranscribeOptions()) == [0.95]
    assert await probabilities(TranscribeOptions(DecodeOptions(language="de"))) == [None]


async def test_a_confident_window_keeps_its_language_and_most_speech_decides_the_recordings() -> None:
    script = Script(language_rules=(LanguageRule(20, 35, GERMAN),))
    assert (await languages_of(script, number_pcm(range(1, 101))))[:3] == ["en", "de", "en"]
    service = ServiceHarness(script)
    assert (await service.run(number_pcm(range(1, 101)))).language == "en"
    assert all(job.options.language is None for job in service.in_process.jobs), "nothing had to be decoded again"


async def test_a_single_window_decides_for_itself() -> None:
    service = ServiceHarness(Script(language_rules=(LanguageRule(1, 1, MUSIC),)))
    assert (await service.run(number_pcm([1, 2]))).language == "fr"
    assert len(service.in_process.jobs) == 1


@pytest.mark.parametrize(
    ("options", "expected"), [(DecodeOptions(languages=("en", "de")), "en"), (DecodeOptions(language="de"), "de")]
)
async def test_languages_restrict_the_guesses(options: DecodeOptions, expected: str) -> None:
    script = Script(language_rules=(LanguageRule(1, 299, MUSIC),))
    assert set(await languages_of(script, number_pcm(range(1, 80)), TranscribeOptions(options))) == {expected}


async def test_a_continuation_has_the_language_of_its_window() -> None:
    rules = (LanguageRule(1, 1, GERMAN), LanguageRule(2, 99, MUSIC))
    service = ServiceHarness(Script(max_words=10, language_rules=rules))
    assert (await service.run(number_pcm(range(1, 26)))).text == text_of(range(1, 26))
    assert [job.options.language for job in service.in_process.jobs] == [None, "de", "de"]


async def test_a_confident_window_does_not_wait_for_the_vote() -> None:
    service = ServiceHarness(Script(n_slots=1))
    num_jobs: list[int] = []
    request = service.start(number_pcm(range(1, 151)))
    await service.finish(request, lambda: num_jobs.append(len(service.in_process.jobs)))
    assert num_jobs == list(range(1, len(num_jobs) + 1)), "each step brought one window"


async def test_a_failed_window_does_not_block_the_vote() -> None:
    service = ServiceHarness(Script(n_slots=1, language_rules=(LanguageRule(1, 1, MUSIC),)))
    request = service.start(number_pcm(range(1, 40)))
    await service.settle()
    service.in_process.step()
    for _ in range(3):
        await service.settle()
        assert len(service.in_process.inside) == 1
        assert not request.done()
        service.in_process.crash()
        service.in_process.restart()
    with pytest.raises(RequestCrashedWorker):
        await service.finish(request)


async def test_waiting_windows_release_their_permits_to_windows_that_have_to_vote() -> None:
    """The second and third window finish before the first, which is music, and then other requests arrive."""
    unsure = LanguageRule(1, 99, UNSURE)
    service = ServiceHarness(Script(n_slots=4, ignored=tuple(range(100, 130)), language_rules=(unsure,)))
    music, speech = number_pcm(range(100, 130)), number_pcm(range(1, 31))
    request = service.start(np.concatenate([music, speech, speech, *[music] * 12, speech, speech]))
    await service.settle()
    first = service.in_process.engine.running[min(service.in_process.inside)]
    first.steps_left = 2
    with contextlib.ExitStack() as others:
        for _ in range(3):
            others.enter_context(service.scheduler.open_queue(RequestScope()))
        await service.finish(request)


async def test_silence_has_no_vote_and_a_long_silence_does_not_delay_it() -> None:
    silence = np.zeros(400 * SAMPLE_RATE_HZ, np.int16)
    pcm = np.concatenate((number_pcm(range(1, 11)), silence, number_pcm(range(50, 60))))
    assert (await languages_of(Script(language_rules=(LanguageRule(1, 1, MUSIC),)), pcm))[0] == "fr"


# -- previous-text conditioning --------------------------------------------------------------------------------------


def numbers_of(segments: Sequence[Segment]) -> list[int]:
    return [token for segment in segments for token in segment.tokens]


async def test_each_window_is_given_the_text_before_it_in_its_piece() -> None:
    service = ServiceHarness(Script(n_slots=4))
    options = TranscribeOptions(DecodeOptions(prompt="Numbers:", hotwords="seven"), condition_on_previous_text=True)
    requests = [service.start(number_pcm(range(first, first + 90)), options) for first in (1, 101)]
    transcripts = [await service.finish(request) for request in requests]
    assert [transcript.text for transcript in transcripts] == [text_of(range(1, 91)), text_of(range(101, 191))]
    jobs = service.in_process.jobs
    chains = 0
    for job in jobs:
        first, previous = read_numbers(job.pcm)[0].tokens[0], numbers_of(job.options.previous_segments)
        assert previous == list(range(first - len(previous), first))
        chains += not previous
    assert chains < len(jobs), "some windows follow another one"
    assert any(len(job.options.previous_segments) > 20 for job in jobs)
    assert {(job.options.prompt, job.options.hotwords) for job in jobs} == {("Numbers:", "seven")}


async def test_doubtful_text_is_no_previous_text() -> None:
    service = ServiceHarness(Script(doubtful=(20,)))
    await service.run(number_pcm(range(1, 81)), TranscribeOptions(condition_on_previous_text=True))
    previous = [numbers_of(job.options.previous_segments) for job in service.in_process.jobs]
    assert 20 not in {number for numbers in previous for number in numbers}
    assert any(previous)


# -- continuations and silence --------------------------------------------------------------------------------------


async def test_omitted_text_has_its_time() -> None:
    transcript = await ServiceHarness(Script(hallucinated=(45,))).run(number_pcm(range(1, 61)))
    assert [(segment.text, segment.start_ms) for segment in transcript.omitted] == [(" 45", 44_000)]
    assert " 45" not in transcript.text


async def test_a_loud_rest_without_text_is_omitted_with_its_time() -> None:
    pcm = np.concatenate((number_pcm([7, 8]), number_pcm([9], word_s=4)))
    transcript = await ServiceHarness(Script(ignored=(9,))).run(pcm)
    assert transcript.text == " 7 8"
    (omitted,) = transcript.omitted
    assert (omitted.start_ms, omitted.end_ms, omitted.text) == (1500, 6500, "")
    assert omitted.quality == Quality(doubts=("no_speech",))


async def test_segments_of_a_recording_know_where_their_window_begins() -> None:
    """The token of a beginning is relative to the window, in milliseconds."""
    transcript = await ServiceHarness(Script(max_words=10)).run(number_pcm(range(1, 101)))
    assert transcript.text == text_of(range(1, 101))
    for number, segment in enumerate(transcript.segments):
        assert segment.start_token is not None
        assert segment.seek_ms + segment.start_token - FIRST_TIMESTAMP == 1000 * number
    windows = [segment.seek_ms for segment in transcript.segments]
    assert len(set(windows)) >= 10
    assert windows == sorted(windows)


async def test_token_bytes_reach_the_transcript_if_asked_for() -> None:
    options = TranscribeOptions(DecodeOptions(token_texts=True))
    for asked, expected in ((options, [(b" 7",), (b" 8",)]), (TranscribeOptions(), [(), ()])):
        service = ServiceHarness()
        transcript = await service.finish(service.start(number_pcm([7, 8]), asked))
        assert [segment.token_bytes for segment in transcript.segments] == expected
        assert [segment.tokens for segment in transcript.segments] == [(7,), (8,)]


async def test_leading_silence_is_cut_off() -> None:
    service = ServiceHarness()
    transcript = await service.run(np.concatenate((np.zeros(9 * SAMPLE_RATE_HZ, np.int16), number_pcm([7]))))
    assert [(segment.text, segment.start_ms) for segment in transcript.segments] == [(" 7", 9000)]
    assert len(service.in_process.jobs[0].pcm) == SAMPLE_RATE_HZ
    assert transcript.audio_ms == 10_000


async def test_a_continuation_after_a_long_silence_begins_with_its_sound() -> None:
    service = ServiceHarness(Script(max_words=1, stops_silently=True))
    pause = np.zeros(10 * SAMPLE_RATE_HZ, np.int16)
    transcript = await service.run(np.concatenate((number_pcm([7], word_s=1), pause, number_pcm([8], word_s=1))))
    assert [(segment.text, segment.start_ms) for segment in transcript.segments] == [(" 7", 0), (" 8", 11_500)]
    # Half a second of silence, the word, its pause.
    assert len(service.in_process.jobs[1].pcm) == pytest.approx(2 * SAMPLE_RATE_HZ, abs=CHUNK_SAMPLES)


async def test_voice_activity_detection_mutes_and_keeps_times() -> None:
    jingle, speech = number_pcm([1] * 50) // 4, number_pcm(range(7, 17))
    service = ServiceHarness()
    pcm = np.concatenate((jingle, speech, jingle))
    request = service.start(pcm, TranscribeOptions(vad=VadOptions()))
    transcript = await service.finish(request)
    assert transcript.audio_ms == len(pcm) * 1000 // SAMPLE_RATE_HZ
    assert transcript.text == text_of(range(7, 17))
    assert [segment.start_ms for segment in transcript.segments] == [50_000 + 1000 * n for n in range(10)]
    assert len(service.in_process.jobs) <= 2
    assert not any((np.abs(job.pcm) == 25).any() for job in service.in_process.jobs), "no sample of a jingle is left"


# -- streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_the_first_window_of_a_stream_is_transcribed_before_others_come(is_streamed: bool) -> None:
    service = ServiceHarness(Script(n_slots=4))
    pcm = number_pcm(range(1, 151))
    request = asyncio.create_task(fold(service.events(pcm, request=RequestScope(is_streamed=is_streamed))))
    await service.settle()
    assert (len(service.in_process.jobs) == 1) is is_streamed
    transcript = await service.finish(request)
    assert transcript.text == text_of(range(1, 151))


async def test_a_stream_that_begins_with_silence_goes_on() -> None:
    service = ServiceHarness(Script(n_slots=4))
    hum = np.full(60 * SAMPLE_RATE_HZ, 20, np.int16)
    hum[1::2] *= -1
    pcm = np.concatenate((hum, number_pcm(range(1, 11))))
    request = asyncio.create_task(fold(service.events(pcm, request=RequestScope(is_streamed=True))))
    assert (await service.finish(request)).text == text_of(range(1, 11))


@pytest.mark.parametrize("slots", [1, 4])
async def test_a_stream_votes_on_its_language_as_others_do(slots: int) -> None:
    script = Script(n_slots=slots, language_rules=(LanguageRule(1, 1, UNSURE),))
    service = ServiceHarness(script)
    request = asyncio.create_task(
        fold(service.events(number_pcm(range(1, 151)), request=RequestScope(is_streamed=True)))
    )
    assert (await service.finish(request)).language == "en"
