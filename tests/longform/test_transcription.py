"""Long-form transcription: language vote, previous-text conditioning, continuations, silence."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import pytest

from asr_api.audio import vad
from asr_api.errors import RequestCrashedWorker
from asr_api.events import FinalSegments
from asr_api.longform.previous_text import MAX_CHARS
from asr_api.options import DecodeOptions, TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.request import RequestScope
from asr_api.transcript import LanguageGuess, Quality, Transcript
from tests.engines.scripted import LanguageRule, Script, number_pcm, read_numbers
from tests.service import FakeSource, ServiceHarness
from tests.test_transcriber import text_of

pytestmark = pytest.mark.anyio

MUSIC = (LanguageGuess("fr", 0.35), LanguageGuess("en", 0.1))
UNSURE = (LanguageGuess("de", 0.6), LanguageGuess("en", 0.3))
GERMAN = (LanguageGuess("de", 0.95), LanguageGuess("en", 0.03))


async def languages_of(script: Script, pcm: Pcm, options: TranscribeOptions | None = None) -> list[str | None]:
    """Of each window; no word may be lost on the way."""
    service = ServiceHarness(script)
    finals: list[FinalSegments] = []

    async def collect() -> Transcript:
        finals.extend([event async for event in service.events(pcm, options) if isinstance(event, FinalSegments)])
        return Transcript((), 0)

    await service.finish(asyncio.create_task(collect()))
    texts = [segment.text for event in finals for segment in event.segments]
    assert texts == [segment.text for segment in read_numbers(pcm)]
    return [event.language for event in finals[:-1]]


# -- language --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2, 4])
async def test_an_unsure_window_is_decoded_again_in_the_language_of_the_others(slots: int) -> None:
    script = Script(n_slots=slots, language_rules=(LanguageRule(1, 1, MUSIC), LanguageRule(50, 70, UNSURE)))
    languages = await languages_of(script, number_pcm(range(1, 151)))
    assert len(languages) >= 5
    assert set(languages) == {"en"}


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


async def test_each_file_is_conditioned_on_its_own_text() -> None:
    service = ServiceHarness(Script(n_slots=4))
    options = TranscribeOptions(DecodeOptions(prompt="Numbers:", hotwords="seven"), condition_on_previous_text=True)
    sources = [FakeSource(number_pcm(range(first, first + 90))) for first in (1, 101)]
    requests = [service.start(source, options) for source in sources]
    await service.settle()
    assert all(source.num_read_samples > 60 * SAMPLE_RATE_HZ for source in sources), "decoding did not wait"
    for _ in range(2):
        assert len(service.in_process.inside) == 2, "one window of each file"
        service.in_process.step()
        await service.settle()
    transcripts = [await service.finish(request) for request in requests]
    assert [transcript.text for transcript in transcripts] == [text_of(range(1, 91)), text_of(range(101, 191))]
    jobs = service.in_process.jobs
    for transcript, begin in zip(transcripts, ("1", "101"), strict=True):
        texts = [(job.options.previous_text, read_numbers(job.pcm)[0].text.strip()) for job in jobs]
        previous = [text for text, first_word in texts if first_word == begin or begin in text.split()]
        assert previous[0] == ""
        assert all(transcript.text.startswith(text) for text in previous[1:])
        assert [len(text) for text in previous[1:]] == sorted({len(text) for text in previous[1:]})
    assert {(job.options.prompt, job.options.hotwords) for job in jobs} == {("Numbers:", "seven")}


async def test_doubtful_text_is_dropped_and_the_text_is_bounded() -> None:
    service = ServiceHarness(Script(doubtful=(35,)))
    options = TranscribeOptions(DecodeOptions(prompt="Numbers:"), condition_on_previous_text=True)
    await service.run(number_pcm(range(1, 121)), options)
    previous = [job.options.previous_text for job in service.in_process.jobs]
    assert previous[1].startswith(" 1 2")
    assert previous[2] == "", "the window before it had doubts"
    assert previous[3].split()[0] != "1"
    await service.run(np.tile(number_pcm(range(101, 131)), 15), options)
    last = service.in_process.jobs[-1].options.previous_text
    assert MAX_CHARS - 5 < len(last) <= MAX_CHARS
    assert all(len(word) == 3 for word in last.split()), "cut between words"


async def test_text_of_the_overlap_is_not_previous_text() -> None:
    service = ServiceHarness()
    pcm = number_pcm(range(1, 121), word_s=0.44, pause_s=0.06)  # nowhere a pause to cut at
    transcript = await service.run(pcm, TranscribeOptions(condition_on_previous_text=True))
    assert transcript.text == text_of(range(1, 121))
    for job in service.in_process.jobs[1:]:
        texts = {segment.text.strip() for segment in read_numbers(job.pcm)[1:]}
        assert texts.isdisjoint(job.options.previous_text.split())


async def test_with_conditioning_the_earlier_windows_decide_on_the_language() -> None:
    script = Script(language_rules=(LanguageRule(1, 1, MUSIC), LanguageRule(50, 70, UNSURE)))
    options = TranscribeOptions(condition_on_previous_text=True)
    languages = await languages_of(script, number_pcm(range(1, 101)), options)
    assert languages == ["fr", *["en"] * (len(languages) - 1)]


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


async def test_leading_silence_is_cut_off() -> None:
    service = ServiceHarness()
    transcript = await service.run(np.concatenate((np.zeros(9 * SAMPLE_RATE_HZ, np.int16), number_pcm([7]))))
    assert [(segment.text, segment.start_ms) for segment in transcript.segments] == [(" 7", 9000)]
    assert len(service.in_process.jobs[0].pcm) == 1.2 * SAMPLE_RATE_HZ
    assert transcript.audio_ms == 10_000


async def test_a_continuation_after_a_long_silence_begins_with_its_sound() -> None:
    service = ServiceHarness(Script(max_words=1, stops_silently=True))
    pause = np.zeros(10 * SAMPLE_RATE_HZ, np.int16)
    transcript = await service.run(np.concatenate((number_pcm([7], word_s=1), pause, number_pcm([8], word_s=1))))
    assert [(segment.text, segment.start_ms) for segment in transcript.segments] == [(" 7", 0), (" 8", 11_500)]
    # Half a second of silence, the word, its pause.
    assert len(service.in_process.jobs[1].pcm) == 2 * SAMPLE_RATE_HZ


async def test_voice_activity_detection_mutes_and_keeps_times(monkeypatch: pytest.MonkeyPatch) -> None:
    def loudness(chunk: bytes) -> float:
        return float(np.abs(np.frombuffer(chunk, np.int16)).max() >= 650)

    monkeypatch.setattr(vad, "open_detector", lambda: loudness)
    jingle, speech = number_pcm([1] * 50), number_pcm(range(7, 17))
    service = ServiceHarness()
    pcm = np.concatenate((jingle, speech, jingle))
    request = service.start(pcm, TranscribeOptions(vad=True))
    while not request.done():
        await asyncio.sleep(0.002)
        service.in_process.step()
    transcript = await request
    assert transcript.audio_ms == len(pcm) * 1000 // SAMPLE_RATE_HZ
    spoken = [segment for segment in transcript.segments if segment.text != " 1"]
    assert "".join(segment.text for segment in spoken) == text_of(range(7, 17))
    assert [segment.start_ms for segment in spoken] == [50_000 + 1000 * n for n in range(10)]
    assert len(service.in_process.jobs) <= 2
    assert not any((np.abs(job.pcm) == 100).any() for job in service.in_process.jobs), "no sample of a jingle is left"
