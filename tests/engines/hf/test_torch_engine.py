"""The hf engine on small random checkpoints gives the text of transformers' own pipeline for each window alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from asr_api.engines.checkpoints.completeness import missing_files
from asr_api.engines.hf.engine import HfEngine
from asr_api.engines.hf.model_runner import ModelRunner
from asr_api.engines.hf.segments import ModelOutput
from asr_api.engines.protocol import Engine, EngineOptions, WindowJob
from asr_api.engines.whisper.arrays import Floats
from asr_api.errors import InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from asr_api.transcript import Segment, WindowTranscript
from tests.engines.contract import EngineContract
from tests.engines.hf.hf_checkpoints import CHECKPOINTS
from tests.engines.sounds import sound
from tests.engines.transcribing import plain_transcripts as transcribe

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

PADDED = ("wav2vec2 with a mask", "hubert", "mms", "parakeet", "transducer")
TEXT_ONLY = ("moonshine", "speech2text")
EARLIER = (Segment(0, 900, " earlier text", tokens=(5, 6)),)
SECONDS = (2.0, 1.7, 2.0, 0.9, 1.6, 0.3)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    written = {name: root / name.replace(" ", "-") for name in CHECKPOINTS}
    for name, folder in written.items():
        folder.mkdir()
        CHECKPOINTS[name](folder)
        assert not missing_files(folder)
    return written


def open_engine(folder: Path, *, n_slots: int = 8, **options: bool | int) -> HfEngine:
    return HfEngine(EngineOptions("a/model", folder, n_slots=n_slots, num_threads=1, **options))  # type: ignore[arg-type]


def text_of(transcript: WindowTranscript) -> str:
    return "".join(segment.text for segment in transcript.segments).strip()


class Reference:
    """transformers' own pipeline, one window at a time."""

    def __init__(self, folder: Path, name: str, *, language: str | None = None) -> None:
        pipe = transformers.pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
        if language is not None:
            pipe.tokenizer.set_target_lang(language)
            pipe.model.load_adapter(language)
        self._run = pipe
        if name == "parakeet":
            self._run = partial(self._generate, transformers.AutoProcessor.from_pretrained(folder), pipe.model)
        if name in TEXT_ONLY:
            self._run = partial(pipe, generate_kwargs={"num_beams": 1, "max_new_tokens": 23})
        if name == "transducer":
            pipe.model.generation_config.suppress_tokens = list(range(16, 21))

    def _generate(self, processor: Any, model: Any, audio: Floats) -> dict[str, str]:
        """The pipeline also decodes the frame that lies half behind the audio, which the model's own mask excludes."""
        ids = model.generate(**processor(audio, sampling_rate=16_000, return_tensors="pt"))
        return {"text": processor.batch_decode(ids, skip_special_tokens=True)[0]}

    def text(self, pcm: Pcm) -> str:
        return " ".join(self._run(pcm.astype(np.float32) / 32_768)["text"].split())

    def words(self, pcm: Pcm) -> list[tuple[str, float, float]]:
        chunks = self._run(pcm.astype(np.float32) / 32_768, return_timestamps="word")["chunks"]
        return [(chunk["text"], *chunk["timestamp"]) for chunk in chunks]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_text_equals_transformers(name: str, folders: dict[str, Path]) -> None:
    windows = [sound(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    reference = Reference(folders[name], name, language="eng" if name == "mms" else None)
    expected = [reference.text(pcm) for pcm in windows]
    assert len(set(expected)) >= len(windows) - 1  # texts that differ make the comparison meaningful
    assert [text_of(transcript) for transcript in transcribe(open_engine(folders[name]), windows)] == expected


@pytest.mark.parametrize("name", ["wav2vec2 with a mask", "wav2vec2 without a mask", "mms"])
def test_word_times_equal_transformers(name: str, folders: dict[str, Path]) -> None:
    windows = [sound(seconds, seed) for seed, seconds in enumerate(SECONDS[:3])]
    reference = Reference(folders[name], name, language="eng" if name == "mms" else None)
    transcripts = transcribe(open_engine(folders[name]), windows, DecodeOptions(words=True))
    for pcm, transcript in zip(windows, transcripts, strict=True):
        words = [word for segment in transcript.segments for word in segment.words]
        expected = reference.words(pcm)
        assert [word.text.strip() for word in words] == [text for text, _, _ in expected]
        assert [word.start_ms for word in words] == [round(start * 1000) for _, start, _ in expected]
        audio_ms = len(pcm) // 16
        assert [word.end_ms for word in words] == [min(audio_ms, round(end * 1000)) for _, _, end in expected]
        assert all(0 < word.probability <= 1 for word in words)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_windows_share_a_batch_where_padding_changes_nothing(name: str, folders: dict[str, Path]) -> None:
    engine = open_engine(folders[name])
    engine.admit([WindowJob(index, sound(2 - index / 10, index), DecodeOptions()) for index in range(4)])
    assert len(engine.step()) == (4 if name in PADDED else 1)
    engine.admit([WindowJob(9, sound(2, 9), DecodeOptions())])
    assert {done.job_id for _ in range(4) for done in engine.step()} >= {9}
    engine.admit([WindowJob(index, sound(2, index), DecodeOptions()) for index in range(4)])
    assert len(engine.step()) == 4  # of equal length


def test_ineffective_mask_is_detected(folders: dict[str, Path], tmp_path: Path) -> None:
    """Group normalisation depends on the padding, whatever the mask is."""
    source = folders["wav2vec2 without a mask"]
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path)
    engine = open_engine(tmp_path)
    assert any("one by one" in note for note in engine.info.notes)
    assert not any("one by one" in note for note in open_engine(folders["hubert"]).info.notes)


def test_each_window_has_its_own_language(folders: dict[str, Path]) -> None:
    engine = open_engine(folders["mms"])
    assert (engine.info.languages, engine.info.default_language) == (("en", "de"), "en")
    windows = [sound(1.5, seed) for seed in range(4)]
    options = [DecodeOptions(language=language) for language in ("de", None, "en", "de")]
    transcripts = transcribe(engine, windows, options)
    assert [transcript.language for transcript in transcripts] == ["de", "en", "en", "de"]
    for language, name in (("de", "deu"), ("en", "eng")):
        reference = Reference(folders["mms"], "mms", language=name)
        for pcm, transcript in zip(windows, transcripts, strict=True):
            assert transcript.language != language or text_of(transcript) == reference.text(pcm)


def test_language_without_an_adapter_is_refused(folders: dict[str, Path]) -> None:
    engine = open_engine(folders["mms"])
    jobs = [WindowJob(0, sound(1, 0), DecodeOptions()), WindowJob(1, sound(1, 1), DecodeOptions(language="fr"))]
    with pytest.raises(InvalidParameter, match="language is fr, which this model does not support; use one of en, de"):
        engine.admit(jobs)
    assert engine.free_slots == engine.info.n_slots


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_info(name: str, folders: dict[str, Path]) -> None:
    info = open_engine(folders[name]).info
    assert info.engine == "hf"
    assert not any((info.can_translate, info.can_prompt, info.can_sample, info.can_detect_language))
    assert info.has_word_timestamps is (name not in TEXT_ONLY)
    assert (info.languages, info.default_language) == ((("en", "de"), "en") if name == "mms" else ((), None))


@pytest.mark.parametrize("options", [DecodeOptions(language="fr"), DecodeOptions(previous_segments=EARLIER)])
def test_options_without_effect(options: DecodeOptions, folders: dict[str, Path]) -> None:
    engine = open_engine(folders["hubert"])
    transcripts = [transcribe(engine, [sound(1, 0)], some)[0] for some in (options, DecodeOptions())]
    assert transcripts[0].segments == transcripts[1].segments
    assert transcripts[0].language is None
    assert "the language of a request" in engine.info.notes[0]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_only_figures_that_the_model_gives_are_given(name: str, folders: dict[str, Path]) -> None:
    engine = open_engine(folders[name])
    assert not engine.info.has_logprobs
    (transcript,) = transcribe(engine, [sound(2, 0)])
    (quality,) = {segment.quality for segment in transcript.segments}
    assert quality is not None
    assert (quality.temperature, quality.no_speech_probability) == (0.0, None)
    assert quality.compression_ratio > 0
    if name in {*TEXT_ONLY, "transducer"}:
        assert quality.mean_logprob is None
    else:
        assert quality.mean_logprob is not None
        assert quality.mean_logprob < 0


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_very_short_windows(name: str, folders: dict[str, Path]) -> None:
    windows = [sound(1, 3)[:num_samples] for num_samples in (1, 161, 1599)]
    engine = open_engine(folders[name])
    for pcm in windows:
        (transcript,) = transcribe(engine, [pcm])
        assert all(segment.end_ms <= len(pcm) // 16 for segment in transcript.segments)


def test_window_without_timestamps_is_one_segment(folders: dict[str, Path]) -> None:
    pcm = np.concatenate([sound(14, 1), sound(14, 2)])
    engine = open_engine(folders["parakeet"])
    (split,) = transcribe(engine, [pcm])
    (whole,) = transcribe(engine, [pcm], DecodeOptions(timestamps=False))
    assert len(split.segments) > len(whole.segments) == 1
    assert text_of(split) == text_of(whole)


def test_batch_that_does_not_fit_into_memory_is_halved(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(folders["hubert"])
    run = ModelRunner.run

    def run_small(runner: ModelRunner, windows: Sequence[Pcm]) -> list[ModelOutput]:
        if len(windows) > 2:
            raise MemoryError
        return run(runner, windows)

    windows = [sound(7, seed) for seed in range(4)]
    expected = transcribe(engine, windows)
    monkeypatch.setattr(ModelRunner, "run", run_small)
    assert [text_of(transcript) for transcript in transcribe(engine, windows)] == list(map(text_of, expected))


def test_settings_without_effect_are_noted(folders: dict[str, Path]) -> None:
    (note,) = open_engine(folders["hubert"], flash_attention_2=True, beam_size=3).info.notes
    assert all(name in note for name in ("FLASH_ATTENTION_2", "BEAM_SIZE", "MAX_NEW_TOKENS"))
    assert "BEAM_SIZE" not in open_engine(folders["moonshine"], beam_size=3).info.notes[0]
    assert "up to 23 tokens" in " ".join(open_engine(folders["moonshine"]).info.notes)


class TestContract(EngineContract):
    @pytest.fixture(params=["wav2vec2 with a mask", "wav2vec2 without a mask", "transducer", "moonshine"])
    def engine(self, request: pytest.FixtureRequest, folders: dict[str, Path]) -> Iterator[Engine]:
        engine = open_engine(folders[request.param], n_slots=4)
        yield engine
        engine.close()

    def pcm(self, engine: Engine, index: int) -> Pcm:  # noqa: ARG002  # as the suite calls it
        """Similar enough in length to run together."""
        return sound(1.6 if index % 2 else 2, seed=index)
