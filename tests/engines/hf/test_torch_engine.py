"""The pipeline engine on small random checkpoints: what transformers' own pipeline says to each window alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import transformers
from numpy.typing import NDArray

from asr_api.engines.hf.engine import HfEngine
from asr_api.engines.protocol import Engine, EngineOptions, WindowJob
from asr_api.errors import InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from asr_api.transcript import WindowTranscript
from tests.engines.contract import EngineContract
from tests.engines.hf.hf_checkpoints import CHECKPOINTS
from tests.engines.sounds import sound
from tests.engines.transcribing import finish_all

pytestmark = [
    pytest.mark.parity,
    # torch and transformers warn about themselves.
    pytest.mark.filterwarnings("default"),
]

PADDED = ("wav2vec2 with a mask", "hubert", "mms", "parakeet", "transducer")
TEXT_ONLY = ("moonshine", "speech2text")
SECONDS = (2.0, 1.7, 2.0, 0.9, 1.6, 0.3)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write(root / name.replace(" ", "-")) for name, write in CHECKPOINTS.items()}


def open_pipeline(folder: Path, *, n_slots: int = 8, **options: bool | int) -> HfEngine:
    return HfEngine(EngineOptions("a/model", folder, n_slots=n_slots, num_threads=1, **options))  # type: ignore[arg-type]


def listen(
    engine: Engine, windows: Sequence[Pcm], wishes: DecodeOptions | Sequence[DecodeOptions]
) -> list[WindowTranscript]:
    each = [wishes] * len(windows) if isinstance(wishes, DecodeOptions) else wishes
    engine.admit([WindowJob(index, pcm, wish) for index, (pcm, wish) in enumerate(zip(windows, each, strict=True))])
    finished = finish_all(engine, len(windows))
    return [finished[index] for index in range(len(windows))]


def text_of(transcript: WindowTranscript) -> str:
    return "".join(segment.text for segment in transcript.segments).strip()


Floats = NDArray[np.float32]


class Reference:
    """transformers' own pipeline, one window at a time."""

    def __init__(self, folder: Path, name: str, *, language: str | None = None) -> None:
        pipe = transformers.pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
        if language is not None:
            pipe.tokenizer.set_target_lang(language)
            pipe.model.load_adapter(language)
        self._run = pipe
        if name == "parakeet":
            self._run = self._generate
            self._parts = transformers.AutoProcessor.from_pretrained(folder), pipe.model
        if name in TEXT_ONLY:
            self._run = partial(pipe, generate_kwargs={"num_beams": 1, "max_new_tokens": 23})
        if name == "transducer":
            pipe.model.generation_config.suppress_tokens = list(range(16, 21))

    def _generate(self, audio: Floats) -> dict[str, str]:
        """The pipeline also reads the frame that lies half behind the audio, which the model's own mask excludes."""
        processor, model = self._parts
        ids = model.generate(**processor(audio, sampling_rate=16_000, return_tensors="pt"))
        return {"text": processor.batch_decode(ids, skip_special_tokens=True)[0]}

    def text(self, pcm: Pcm) -> str:
        return " ".join(self._run(pcm.astype(np.float32) / 32_768)["text"].split())

    def words(self, pcm: Pcm) -> list[tuple[str, float, float]]:
        chunks = self._run(pcm.astype(np.float32) / 32_768, return_timestamps="word")["chunks"]
        return [(chunk["text"], *chunk["timestamp"]) for chunk in chunks]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_text_is_that_of_transformers_on_each_window_alone(name: str, folders: dict[str, Path]) -> None:
    windows = [sound(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    reference = Reference(folders[name], name, language="eng" if name == "mms" else None)
    expected = [reference.text(pcm) for pcm in windows]
    assert len(set(expected)) >= len(windows) - 1  # equality means something: they differ
    heard = listen(open_pipeline(folders[name]), windows, DecodeOptions())
    assert [text_of(each) for each in heard] == expected


@pytest.mark.parametrize("name", ["wav2vec2 with a mask", "wav2vec2 without a mask", "mms"])
def test_words_have_the_times_that_transformers_gives_them(name: str, folders: dict[str, Path]) -> None:
    windows = [sound(seconds, seed) for seed, seconds in enumerate(SECONDS[:3])]
    reference = Reference(folders[name], name, language="eng" if name == "mms" else None)
    for pcm, heard in zip(
        windows, listen(open_pipeline(folders[name]), windows, DecodeOptions(words=True)), strict=True
    ):
        words = [word for segment in heard.segments for word in segment.words]
        theirs = reference.words(pcm)
        assert [word.text.strip() for word in words] == [text for text, _, _ in theirs]
        assert [word.start_ms for word in words] == [round(start * 1000) for _, start, _ in theirs]
        audio_ms = len(pcm) // 16
        assert [word.end_ms for word in words] == [min(audio_ms, round(end * 1000)) for _, _, end in theirs]
        assert all(0 < word.probability <= 1 for word in words)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_windows_run_together_where_padding_changes_nothing(name: str, folders: dict[str, Path]) -> None:
    engine = open_pipeline(folders[name])
    engine.admit([WindowJob(index, sound(2 - index / 10, index), DecodeOptions()) for index in range(4)])
    assert len(engine.step()) == (4 if name in PADDED else 1)
    engine.admit([WindowJob(9, sound(2, 9), DecodeOptions())])
    assert {done.job_id for _ in range(4) for done in engine.step()} >= {9}
    engine.admit([WindowJob(index, sound(2, index), DecodeOptions()) for index in range(4)])
    assert len(engine.step()) == 4  # of equal length


def test_a_mask_that_the_model_does_not_honour_is_found_out(folders: dict[str, Path], tmp_path: Path) -> None:
    """Group normalisation looks at the padding, whatever the mask says."""
    source = folders["wav2vec2 without a mask"]
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path)
    engine = open_pipeline(tmp_path)
    assert any("one by one" in note for note in engine.info.notes)
    assert not any("one by one" in note for note in open_pipeline(folders["hubert"]).info.notes)


# -- languages ---------------------------------------------------------------------------------------------------


def test_each_window_is_heard_in_its_own_language(folders: dict[str, Path]) -> None:
    engine = open_pipeline(folders["mms"])
    assert engine.info.languages == ("en", "de")
    windows = [sound(1.5, seed) for seed in range(4)]
    wishes = [DecodeOptions(language=language) for language in ("de", None, "en", "de")]
    heard = listen(engine, windows, wishes)
    assert [each.language for each in heard] == ["de", "en", "en", "de"]
    for language, name in (("de", "deu"), ("en", "eng")):
        reference = Reference(folders["mms"], "mms", language=name)
        for pcm, each in zip(windows, heard, strict=True):
            assert each.language != language or text_of(each) == reference.text(pcm)


@pytest.mark.parametrize(
    ("name", "wishes", "sentence"),
    [
        ("hubert", DecodeOptions(task="translate"), "can only transcribe"),
        ("hubert", DecodeOptions(prompt="hello"), "prompt"),
        ("hubert", DecodeOptions(hotwords="hello"), "hotwords"),
        ("hubert", DecodeOptions(temperatures=(0.2, 0.4)), "temperature is 0.2"),
        ("moonshine", DecodeOptions(words=True), "times of words"),
        ("mms", DecodeOptions(language="fr"), "use one of en, de"),
        ("mms", DecodeOptions(languages=("de", "fr")), "detects none"),
    ],
)
def test_what_a_model_cannot_do_is_refused_and_nothing_admitted(
    name: str, wishes: DecodeOptions, sentence: str, folders: dict[str, Path]
) -> None:
    engine = open_pipeline(folders[name])
    jobs = [WindowJob(0, sound(1, 0), DecodeOptions()), WindowJob(1, sound(1, 1), wishes)]
    with pytest.raises(InvalidParameter, match=sentence):
        engine.admit(jobs)
    assert engine.free_slots == engine.info.n_slots


def test_a_language_that_a_model_cannot_know_changes_nothing_and_is_noted(folders: dict[str, Path]) -> None:
    engine = open_pipeline(folders["hubert"])
    with_one, without = (listen(engine, [sound(1, 0)], DecodeOptions(language=code))[0] for code in ("fr", None))
    assert with_one.segments == without.segments
    assert with_one.language is None
    assert "the language of a request" in engine.info.notes[0]


def test_the_text_before_is_no_prompt_that_is_refused(folders: dict[str, Path]) -> None:
    options = DecodeOptions(previous_text="what was said before")
    engine = open_pipeline(folders["hubert"])
    with_it, without = (listen(engine, [sound(1, 0)], each)[0] for each in (options, DecodeOptions()))
    assert with_it.segments == without.segments


# -- sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHECKPOINTS)
@pytest.mark.parametrize("num_samples", [1, 161, 1599])
def test_a_window_may_be_very_short(name: str, num_samples: int, folders: dict[str, Path]) -> None:
    pcm = sound(1, 3)[:num_samples]
    (heard,) = listen(open_pipeline(folders[name]), [pcm], DecodeOptions())
    assert all(segment.end_ms <= num_samples // 16 for segment in heard.segments)


def test_one_segment_a_window_where_no_timestamps_are_wanted(folders: dict[str, Path]) -> None:
    pcm = np.concatenate([sound(14, 1), sound(14, 2)])
    engine = open_pipeline(folders["parakeet"])
    (split,) = listen(engine, [pcm], DecodeOptions())
    (whole,) = listen(engine, [pcm], DecodeOptions(timestamps=False))
    assert len(split.segments) > len(whole.segments) == 1
    assert text_of(split) == text_of(whole)


def test_a_batch_that_does_not_fit_into_memory_is_halved(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_pipeline(folders["hubert"])
    hear = engine._listener.hear

    def small(windows: Sequence[Pcm]) -> object:
        if len(windows) > 2:
            raise MemoryError
        return hear(windows)

    windows = [sound(7, seed) for seed in range(4)]
    expected = [text_of(each) for each in listen(engine, windows, DecodeOptions())]
    monkeypatch.setattr(engine._listener, "hear", small)
    assert [text_of(each) for each in listen(engine, windows, DecodeOptions())] == expected


def test_settings_without_effect_are_noted(folders: dict[str, Path]) -> None:
    (note,) = open_pipeline(folders["hubert"], flash_attention_2=True, beam_size=3).info.notes
    assert all(name in note for name in ("FLASH_ATTENTION_2", "BEAM_SIZE", "MAX_NEW_TOKENS"))
    assert "BEAM_SIZE" not in open_pipeline(folders["moonshine"], beam_size=3).info.notes[0]
    assert "up to 23 tokens" in " ".join(open_pipeline(folders["moonshine"]).info.notes)


# -- the contract ------------------------------------------------------------------------------------------------


class TestContract(EngineContract):
    @pytest.fixture(params=["wav2vec2 with a mask", "wav2vec2 without a mask", "transducer", "moonshine"])
    def engine(self, request: pytest.FixtureRequest, folders: dict[str, Path]) -> Iterator[Engine]:
        engine = open_pipeline(folders[request.param], n_slots=4)
        yield engine
        engine.close()

    def pcm(self, engine: Engine, index: int) -> Pcm:  # noqa: ARG002  # as the suite calls it
        """Like enough to run together."""
        return sound(1.6 if index % 2 else 2, seed=index)
