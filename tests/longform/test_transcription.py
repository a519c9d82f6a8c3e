"""A recording is more than its windows: its language, the text that windows go on from, the silence it begins with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import numpy as np
import pytest

from asr_api.audio import vad
from asr_api.engines.protocol import WindowJob
from asr_api.errors import RequestCrashedWorker
from asr_api.longform.transcription import MAX_CONTEXT_CHARS
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.scheduler import Scheduler
from asr_api.transcriber import collect
from asr_api.transcript import LanguageGuess, Quality, Transcript, TranscriptPart
from tests.engines.scripted import LanguageRule, Script, number_pcm, read_numbers
from tests.service import FakeDecoder, FakeSpool, InProcessEngine, transcribed, transcriber_of
from tests.test_transcriber import text_of

pytestmark = pytest.mark.anyio

MUSIC = (LanguageGuess("fr", 0.35), LanguageGuess("en", 0.1))
UNSURE = (LanguageGuess("de", 0.6), LanguageGuess("en", 0.3))
GERMAN = (LanguageGuess("de", 0.95), LanguageGuess("en", 0.03))


class Bench:
    """A transcriber whose engine works only when it is told to."""

    def __init__(self, script: Script | None = None) -> None:
        self.engine, self.metrics = InProcessEngine(script), Metrics()
        self.decoder = FakeDecoder()
        self.scheduler = Scheduler(self.engine, metrics=self.metrics)
        self.transcriber = transcriber_of(self.engine, self.scheduler, self.decoder, self.metrics)
        self.parts: list[TranscriptPart] = []

    @property
    def jobs(self) -> list[WindowJob]:
        return [job for jobs in self.engine.admissions for job in jobs]

    def start(self, source: FakeSpool | Pcm, options: TranscribeOptions | None = None) -> asyncio.Task[Transcript]:
        return asyncio.create_task(collect(transcribed(self.transcriber, source, options)))

    async def finish(self, request: asyncio.Task[Transcript], check: Callable[[], object] = lambda: None) -> Transcript:
        """Steps until the request is done, and checks before each step."""
        for _ in range(500):
            await settle()
            if request.done():
                return request.result()
            check()
            self.engine.step()
        raise AssertionError("the request hangs")


async def settle() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


async def languages_of(script: Script, pcm: Pcm, options: TranscribeOptions | None = None) -> list[str | None]:
    """Of each window; no word may be lost on the way."""
    bench = Bench(script)
    parts = [TranscriptPart((), 0)]

    async def listen() -> Transcript:
        parts.extend([part async for part in transcribed(bench.transcriber, pcm, options)])
        return Transcript((), 0)

    await bench.finish(asyncio.create_task(listen()))
    segments = [segment for part in parts for segment in part.segments]
    assert [segment.text for segment in segments] == [segment.text for segment in read_numbers(pcm)]
    return [part.language for part in parts[1:-1]]


# -- language --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2, 4])
async def test_a_window_that_doubts_is_heard_again_in_the_language_of_the_others(slots: int) -> None:
    script = Script(n_slots=slots, language_rules=(LanguageRule(1, 1, MUSIC), LanguageRule(50, 70, UNSURE)))
    languages = await languages_of(script, number_pcm(range(1, 151)))
    assert len(languages) >= 5
    assert set(languages) == {"en"}


async def test_a_window_that_is_sure_keeps_its_language_and_most_speech_names_the_recordings() -> None:
    script = Script(language_rules=(LanguageRule(20, 35, GERMAN),))
    assert (await languages_of(script, number_pcm(range(1, 101))))[:3] == ["en", "de", "en"]
    bench = Bench(script)
    assert (await bench.finish(bench.start(number_pcm(range(1, 101))))).language == "en"
    assert all(job.options.language is None for job in bench.jobs), "nothing had to be heard again"


async def test_a_single_window_decides_for_itself() -> None:
    bench = Bench(Script(language_rules=(LanguageRule(1, 1, MUSIC),)))
    assert (await bench.finish(bench.start(number_pcm([1, 2])))).language == "fr"
    assert len(bench.jobs) == 1


async def test_a_wish_for_languages_restricts_the_guesses() -> None:
    script = Script(language_rules=(LanguageRule(1, 299, MUSIC),))
    assert set(await languages_of(script, number_pcm(range(1, 80)), TranscribeOptions(languages=("en", "de")))) == {
        "en"
    }
    assert set(await languages_of(script, number_pcm(range(1, 80)), TranscribeOptions(language="de"))) == {"de"}


async def test_the_rest_of_a_window_is_heard_in_the_language_of_its_beginning() -> None:
    bench = Bench(Script(max_words=10, language_rules=(LanguageRule(1, 1, GERMAN), LanguageRule(2, 99, MUSIC))))
    assert (await bench.finish(bench.start(number_pcm(range(1, 26))))).text == text_of(range(1, 26))
    assert [job.options.language for job in bench.jobs] == [None, "de", "de"]


async def test_who_is_sure_waits_for_nobody() -> None:
    bench = Bench(Script(n_slots=1))
    request = bench.start(number_pcm(range(1, 151)))
    spoken: list[int] = []

    def check() -> None:
        spoken.append(len(bench.jobs))

    await bench.finish(request, check)
    assert spoken == list(range(1, len(spoken) + 1)), "each step brought one window"


async def test_a_voter_that_fails_leaves_nobody_waiting() -> None:
    bench = Bench(Script(n_slots=1, language_rules=(LanguageRule(1, 1, MUSIC),)))
    request = bench.start(number_pcm(range(1, 40)))
    await settle()
    bench.engine.step()
    for _ in range(3):
        await settle()
        assert len(bench.engine.inside) == 1
        assert not request.done()
        bench.engine.die()
        bench.engine.come_back()
    with pytest.raises(RequestCrashedWorker):
        await bench.finish(request)


async def test_voters_leave_room_for_those_who_have_yet_to_vote() -> None:
    """The second and third window are heard before the first, which is music, and then others come."""
    unsure = LanguageRule(1, 99, UNSURE)
    bench = Bench(Script(n_slots=4, ignored=tuple(range(100, 130)), language_rules=(unsure,)))
    music, speech = number_pcm(range(100, 130)), number_pcm(range(1, 31))
    request = bench.start(np.concatenate([music, speech, speech, *[music] * 12, speech, speech]))
    await settle()
    first = bench.engine.engine.running[min(bench.engine.inside)]
    first.steps_left = 2
    with contextlib.ExitStack() as others:
        for _ in range(3):
            others.enter_context(bench.scheduler.open_queue())
        await bench.finish(request)


async def test_silence_has_no_vote_and_long_silence_is_not_waited_for() -> None:
    pcm = np.concatenate(
        (number_pcm(range(1, 11)), np.zeros(400 * SAMPLE_RATE_HZ, np.int16), number_pcm(range(50, 60)))
    )
    assert (await languages_of(Script(language_rules=(LanguageRule(1, 1, MUSIC),)), pcm))[0] == "fr"


# -- going on from the text before -----------------------------------------------------------------------------------


async def test_a_file_goes_on_from_its_own_text_window_by_window_beside_other_files() -> None:
    bench = Bench(Script(n_slots=4))
    options = TranscribeOptions(prompt="Numbers:", hotwords="seven", condition_on_previous_text=True)
    spools = [FakeSpool(number_pcm(range(first, first + 90))) for first in (1, 101)]
    first, second = (bench.start(spool, options) for spool in spools)

    def check() -> None:
        assert len(bench.engine.inside) == 2, "one window of each file"

    await settle()
    assert all(spool.num_read_samples > 60 * SAMPLE_RATE_HZ for spool in spools), "decoding did not wait"
    for _ in range(2):
        check()
        bench.engine.step()
        await settle()
    transcripts = [await bench.finish(request) for request in (first, second)]
    assert [transcript.text for transcript in transcripts] == [text_of(range(1, 91)), text_of(range(101, 191))]
    for transcript, begin in zip(transcripts, ("1", "101"), strict=True):
        jobs = [
            job
            for job in bench.jobs
            if read_numbers(job.pcm)[0].text.strip() == begin or begin in job.options.prompt.split()
        ]
        prompts = [job.options.prompt for job in jobs]
        assert prompts[0] == "Numbers:"
        assert all(transcript.text.startswith(prompt) for prompt in prompts[1:])
        assert [len(prompt) for prompt in prompts[1:]] == sorted({len(prompt) for prompt in prompts[1:]})
    assert {job.options.hotwords for job in bench.jobs} == {"seven"}


async def test_doubtful_text_is_not_carried_on_and_memory_is_bounded() -> None:
    bench = Bench(Script(doubtful=(35,)))
    options = TranscribeOptions(prompt="Numbers:", condition_on_previous_text=True)
    await bench.finish(bench.start(number_pcm(range(1, 121)), options))
    prompts = [job.options.prompt for job in bench.jobs]
    assert prompts[1].startswith(" 1 2")
    assert prompts[2] == "Numbers:", "the window before it had doubts"
    assert prompts[3].split()[0] not in {"1", "Numbers:"}
    long = Bench()
    await long.finish(long.start(np.tile(number_pcm(range(101, 131)), 15), options))
    last = long.jobs[-1].options.prompt
    assert MAX_CONTEXT_CHARS - 5 < len(last) <= MAX_CONTEXT_CHARS
    assert all(len(word) == 3 for word in last.split()), "cut between words"


async def test_text_that_the_next_window_hears_as_well_is_not_its_prompt() -> None:
    bench = Bench()
    options = TranscribeOptions(condition_on_previous_text=True)
    pcm = number_pcm(range(1, 121), word_s=0.44, pause_s=0.06)  # nowhere a pause to cut at
    assert (await bench.finish(bench.start(pcm, options))).text == text_of(range(1, 121))
    for job in bench.jobs[1:]:
        assert not {segment.text for segment in read_numbers(job.pcm)[1:]} & {
            f" {w}" for w in job.options.prompt.split()
        }


async def test_in_turn_the_windows_so_far_decide_on_the_language() -> None:
    script = Script(language_rules=(LanguageRule(1, 1, MUSIC), LanguageRule(50, 70, UNSURE)))
    options = TranscribeOptions(condition_on_previous_text=True)
    languages = await languages_of(script, number_pcm(range(1, 101)), options)
    assert languages == ["fr", *["en"] * (len(languages) - 1)]


# -- what else travels -----------------------------------------------------------------------------------------------


async def test_what_was_omitted_is_told_with_its_time() -> None:
    bench = Bench(Script(hallucinated=(45,)))
    transcript = await bench.finish(bench.start(number_pcm(range(1, 61))))
    assert [(segment.text, segment.start_ms) for segment in transcript.omitted] == [(" 45", 44_000)]
    assert " 45" not in transcript.text


async def test_a_loud_rest_in_which_the_model_hears_nothing_is_told_with_its_time() -> None:
    bench = Bench(Script(ignored=(9,)))
    transcript = await bench.finish(bench.start(np.concatenate((number_pcm([7, 8]), number_pcm([9], word_s=4)))))
    assert transcript.text == " 7 8"
    assert [(omitted.start_ms, omitted.end_ms, omitted.text) for omitted in transcript.omitted] == [(1500, 6500, "")]
    assert transcript.omitted[0].quality == Quality(doubts=("no_speech",))


async def test_the_silence_before_the_first_word_is_not_shown_to_the_model() -> None:
    bench = Bench()
    transcript = await bench.finish(
        bench.start(np.concatenate((np.zeros(9 * SAMPLE_RATE_HZ, np.int16), number_pcm([7]))))
    )
    assert [(segment.text, segment.start_ms) for segment in transcript.segments] == [(" 7", 9000)]
    assert len(bench.jobs[0].pcm) == 1.2 * SAMPLE_RATE_HZ
    assert transcript.audio_ms == 10_000


async def test_a_rest_that_comes_after_a_long_silence_begins_with_its_sound() -> None:
    bench = Bench(Script(max_words=1, stops_silently=True))
    pause = np.zeros(10 * SAMPLE_RATE_HZ, np.int16)
    transcript = await bench.finish(
        bench.start(np.concatenate((number_pcm([7], word_s=1), pause, number_pcm([8], word_s=1))))
    )
    assert [(segment.text, segment.start_ms) for segment in transcript.segments] == [(" 7", 0), (" 8", 11_500)]
    assert len(bench.jobs[1].pcm) == 2 * SAMPLE_RATE_HZ  # half a second of silence, the word, its pause


async def test_what_is_no_speech_is_muted_before_the_engine_and_times_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def loudness(chunk: bytes) -> float:
        return float(np.abs(np.frombuffer(chunk, np.int16)).max() >= 650)

    monkeypatch.setattr(vad, "open_detector", lambda: loudness)
    jingle, speech = number_pcm([1] * 50), number_pcm(range(7, 17))
    bench = Bench()
    pcm = np.concatenate((jingle, speech, jingle))
    request = bench.start(pcm, TranscribeOptions(vad=True))
    for _ in range(2000):
        if request.done():
            break
        await asyncio.sleep(0.002)
        if bench.engine.inside:
            bench.engine.step()
    transcript = await request
    assert transcript.audio_ms == len(pcm) * 1000 // SAMPLE_RATE_HZ
    spoken = [segment for segment in transcript.segments if segment.text != " 1"]
    assert "".join(segment.text for segment in spoken) == text_of(range(7, 17))
    assert [segment.start_ms for segment in spoken] == [50_000 + 1000 * n for n in range(10)]
    assert len(bench.jobs) <= 2
    num_jingle_samples = sum(int(np.count_nonzero(np.abs(job.pcm) == 100)) for job in bench.jobs)
    assert num_jingle_samples == 0
