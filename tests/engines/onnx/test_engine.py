"""The ONNX engine on small random checkpoints: the engine contract, and the tokens of transformers."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.engines.onnx import compute_types
from asr_api.engines.onnx.open_engine import open_onnx_engine
from asr_api.engines.protocol import ComputeType, Engine, EngineOptions, WindowJob
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from tests.engines.contract import EngineContract
from tests.engines.golden_tokens import SEED, SHAPES, GoldenWindow, read_golden_windows
from tests.engines.sounds import sound
from tests.engines.transcribing import AT_ZERO, TracedTranscript, finish_all, open_onnx, transcribe
from tests.engines.whisper_checkpoints import SMALL, SMALL_EN, write_checkpoint, write_vocab_files


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write_checkpoint(root / name, shape, SEED) for name, shape in SHAPES.items()}


@pytest.fixture
def amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allows bfloat16 on processors without AMX, where it is only slower."""
    monkeypatch.setattr(compute_types, "has_bfloat16_products", lambda: True)


class TestContract(EngineContract):
    mixed_options = (
        DecodeOptions(),
        DecodeOptions(language="fr", task="translate", words=True),
        DecodeOptions(timestamps=False, prompt="once upon a time", temperatures=(0.0, 0.6)),
        DecodeOptions(languages=("ja", "ko"), temperatures=(0.8,)),
        DecodeOptions(language="de", hotwords="Ahab, Ishmael", words=True, temperatures=(0.0,)),
        DecodeOptions(temperatures=(0.4, 1.0)),
    )

    def pcm(self, engine: Engine, index: int) -> Pcm:
        """One window is silent, another is noise."""
        pcm = super().pcm(engine, index)
        noise = np.random.RandomState(index).randint(-3000, 3000, len(pcm)).astype(np.int16)
        return {3: np.zeros_like(pcm), 5: noise}.get(index, pcm)

    @pytest.fixture
    def engine(self, folders: dict[str, Path]) -> Iterator[Engine]:
        engine = open_onnx(folders["multilingual"])
        yield engine
        engine.close()


@pytest.mark.parametrize("name", SHAPES)
def test_tokens_equal_transformers_in_a_mixed_batch(name: str, folders: dict[str, Path]) -> None:
    windows = [window for window in read_golden_windows() if window.shape == name]
    engine = open_onnx(folders[name])
    for language in {window.language for window in windows}:
        chosen = [window for window in windows if window.language == language]
        transcripts = transcribe(
            engine, [_pcm(window) for window in chosen], dataclasses.replace(AT_ZERO, language=language)
        )
        assert [transcript.prompt for transcript in transcripts] == [window.prompt for window in chosen]
        assert tokens_of(transcripts) == [window.tokens for window in chosen]


def _pcm(window: GoldenWindow) -> Pcm:
    return sound(window.seconds, window.seed)


def tokens_of(transcripts: Sequence[TracedTranscript]) -> list[tuple[int, ...]]:
    return [transcript.tokens for transcript in transcripts]


def test_segments_carry_their_text_tokens(folders: dict[str, Path]) -> None:
    """With the omitted ones, every text token of a finished window, in order."""
    engine = open_onnx(folders["multilingual"])
    tokenizer = Tokenizer(read_tokenizer_files(folders["multilingual"]))
    for timestamps in (True, False):
        options = dataclasses.replace(AT_ZERO, timestamps=timestamps)
        for transcript in transcribe(engine, [sound(3, seed) for seed in range(4)], options):
            segments = [*transcript.segments, *transcript.omitted]
            assert [tokenizer.decode(segment.tokens) for segment in segments] == [segment.text for segment in segments]
            text_tokens = [token for token in transcript.tokens if token < tokenizer.end]
            assert [token for segment in segments for token in segment.tokens] == text_tokens
            for segment in segments:
                assert len(segment.logprobs) == len(segment.tokens) > 0
                assert all(logprob <= 0 for logprob in segment.logprobs)


def test_late_windows_equal_single_ones(folders: dict[str, Path]) -> None:
    windows = [sound(3 * (0.2 + 0.1 * (seed % 9)), seed) for seed in range(9)]
    engine = open_onnx(folders["multilingual"], n_slots=3)
    assert tokens_of(transcribe(engine, windows)) == one_by_one(engine, windows)


def one_by_one(engine: Engine, windows: Sequence[Pcm]) -> list[tuple[int, ...]]:
    return [transcribe(engine, [window])[0].tokens for window in windows]


@pytest.mark.parametrize("compute_type", ["int8", "int8_bfloat16"])
@pytest.mark.usefixtures("amx")
def test_8_bit_tokens_are_independent_of_the_batch(folders: dict[str, Path], compute_type: ComputeType) -> None:
    windows = [sound(3 * (0.2 + 0.1 * (seed % 9)), seed) for seed in range(9)]
    engine = open_onnx(folders["multilingual"], n_slots=9, compute_type=compute_type)
    assert engine.info.compute_type == compute_type
    together = tokens_of(transcribe(engine, windows))
    assert tokens_of(transcribe(engine, windows[::-1]))[::-1] == together
    assert one_by_one(engine, windows) == together


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_shards_equal_float32(dtype: str, tmp_path: Path) -> None:
    narrow = write_checkpoint(tmp_path / "narrow", dataclasses.replace(SMALL, dtype=dtype, num_shards=3))
    wide = write_checkpoint(tmp_path / "wide", SMALL, rounded_to=dtype)
    windows = [sound(3, 0), sound(2, 1)]
    expected = transcribe(open_onnx(wide), windows)
    assert tokens_of(transcribe(open_onnx(narrow), windows)) == tokens_of(expected)
    assert transcribe(open_onnx(write_checkpoint(tmp_path / "plain", SMALL)), windows) != expected


def test_stored_output_projection_is_used_only_if_untied(tmp_path: Path) -> None:
    windows = [sound(3, 0)]
    plain = transcribe(open_onnx(write_checkpoint(tmp_path / "plain", SMALL)), windows)
    tied = write_checkpoint(tmp_path / "tied", SMALL, output_projection="copy")
    assert transcribe(open_onnx(tied), windows) == plain
    untied = write_checkpoint(tmp_path / "untied", SMALL, output_projection="other")
    assert transcribe(open_onnx(untied), windows) != plain


def test_older_tokenizer_files(tmp_path: Path, folders: dict[str, Path]) -> None:
    older = write_checkpoint(tmp_path / "older", SMALL, SEED)
    write_vocab_files(older, SMALL)
    windows = [sound(3, 5)]
    assert transcribe(open_onnx(older), windows) == transcribe(open_onnx(folders["multilingual"]), windows)


def test_window_past_max_new_tokens_is_resumed(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["english"], n_slots=2, max_new_tokens=12)
    pcm, start_ms, passes = sound(3, 1), 0, 0
    while True:
        engine.admit([WindowJob(0, pcm[start_ms * 16 :], AT_ZERO)])
        transcript = finish_all(engine, 1)[0]
        passes += 1
        assert transcript.segments
        if transcript.resume_ms is None:
            break
        assert transcript.num_tokens >= 12
        assert transcript.segments[-1].end_ms == transcript.resume_ms >= 1000
        start_ms += transcript.resume_ms
    assert 2 <= passes <= 3


def test_spellings_of_a_language(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"])
    spellings = ("de", "DE", "de-AT", "German")
    transcripts = [
        transcribe(engine, [sound(2, 0)], dataclasses.replace(AT_ZERO, language=name))[0] for name in spellings
    ]
    assert {transcript.language for transcript in transcripts} == {"de"}
    assert {transcript.prompt for transcript in transcripts} == {
        (SMALL.special("startoftranscript"), SMALL.special("de"), SMALL.special("transcribe"))
    }


def test_task_is_in_the_prompt(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"])
    options = dataclasses.replace(AT_ZERO, task="translate", language="fr")
    assert transcribe(engine, [sound(2, 0)], options)[0].prompt[-1] == SMALL.special("translate")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("multilingual", DecodeOptions(language="klingon")),
        ("multilingual", DecodeOptions(language="yue")),  # a language of Whisper, but not of this checkpoint
        ("english", DecodeOptions(language="fr")),
        ("english", DecodeOptions(task="translate")),
    ],
)
def test_unsupported_options_are_refused(name: str, options: DecodeOptions, folders: dict[str, Path]) -> None:
    engine = open_onnx(folders[name])
    jobs = [WindowJob(0, sound(1, 0), AT_ZERO), WindowJob(1, sound(1, 1), options)]
    with pytest.raises(InvalidParameter, match=r"language|task"):
        engine.admit(jobs)
    assert engine.free_slots == engine.info.n_slots


def test_too_many_jobs_are_refused(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["english"], n_slots=2)
    with pytest.raises(ValueError, match="3 jobs for 2 free slots"):
        engine.admit([WindowJob(index, sound(1, index), AT_ZERO) for index in range(3)])


def test_too_long_window_is_refused(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["english"])
    with pytest.raises(ValueError, match="48001 samples"):
        engine.admit([WindowJob(0, np.zeros(48_001, np.int16), AT_ZERO)])


def test_info(folders: dict[str, Path]) -> None:
    english, multilingual = open_onnx(folders["english"]), open_onnx(folders["mels128"])
    assert english.info.languages == ("en",)
    assert len(multilingual.info.languages) == 100
    assert "yue" in multilingual.info.languages
    assert english.info.window_s == SMALL_EN.n_audio_ctx / 50
    assert english.info.device_name.startswith("CPU (")
    assert english.info.notes == ()
    assert (english.info.default_language, multilingual.info.default_language) == ("en", None)
    assert (english.info.can_translate, multilingual.info.can_translate) == (False, True)


def test_flash_attention_note(folders: dict[str, Path]) -> None:
    options = EngineOptions("any", folders["english"], flash_attention_2=True, num_threads=1)
    (note,) = open_onnx_engine(options).info.notes
    assert "no effect on a CPU" in note


def test_idle_engine_uses_no_cpu(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"], num_threads=2)
    transcribe(engine, [sound(3, 0), sound(3, 1)])
    time.sleep(0.1)
    before = psutil.Process().cpu_times()
    time.sleep(0.4)
    after = psutil.Process().cpu_times()
    assert (after.user + after.system) - (before.user + before.system) < 0.08


def test_fallback_beside_other_windows(folders: dict[str, Path]) -> None:
    """Samples at several temperatures, in groups that share their window's cross-attention cache."""
    windows = [sound(2.5, seed) for seed in range(6)]
    fallback = DecodeOptions(language="en", temperatures=(0.0, 0.7, 0.9))
    engine = open_onnx(folders["multilingual"], n_slots=3)
    alone = [transcribe(engine, [window], fallback)[0] for window in windows]
    together = transcribe(engine, windows, [fallback if index % 2 else AT_ZERO for index in range(6)])
    assert tokens_of(together[1::2]) == tokens_of(alone[1::2])
    assert tokens_of(alone) != one_by_one(engine, windows)  # some windows did fall back
    assert engine.free_slots == 3


@pytest.mark.parametrize("language", [None, "de"])
def test_detected_language_equals_the_same_language_given(language: str | None, folders: dict[str, Path]) -> None:
    """Prefill in one part and in two parts gives the same logits, whatever the previous text."""
    engine, pcm = open_onnx(folders["multilingual"]), sound(3, 4)
    options = dataclasses.replace(AT_ZERO, prompt="so it goes " * 20, language=language)
    detected = transcribe(engine, [pcm], options)[0]
    given = transcribe(engine, [pcm], dataclasses.replace(options, language=detected.language))[0]
    assert detected.tokens == given.tokens
    assert len(detected.guesses) == (0 if language else 5)
    assert detected.prompt == given.prompt
    assert len(detected.prompt) == SMALL.n_text_ctx // 2 + 3


def test_beam_search_is_independent_of_the_batch(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"], n_slots=3, beam_size=3)
    windows = [sound(1 + 0.4 * seed, seed) for seed in range(5)]
    together = transcribe(engine, windows)
    assert tokens_of(together) == one_by_one(engine, windows)
    assert tokens_of(together) != tokens_of(transcribe(open_onnx(folders["multilingual"]), windows))  # greedy


@pytest.mark.parametrize("name", ["multilingual", "english"])
def test_words_are_inside_their_segments(name: str, folders: dict[str, Path]) -> None:
    engine = open_onnx(folders[name])
    for timestamps in (True, False):
        options = dataclasses.replace(AT_ZERO, words=True, timestamps=timestamps)
        for transcript in transcribe(engine, [sound(3, 0), sound(1.3, 1)], options):
            for segment in transcript.segments:
                assert "".join(word.text for word in segment.words) == segment.text
                assert segment.start_ms <= segment.words[0].start_ms
                assert segment.words[-1].end_ms <= segment.end_ms


@pytest.mark.parametrize("compute_type", ["float32", "int8", "int8_bfloat16"])
@pytest.mark.usefixtures("amx")
def test_nan_logits_are_refused_at_start(tmp_path: Path, compute_type: ComputeType) -> None:
    folder = write_checkpoint(tmp_path, SMALL)
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-4 * SMALL.n_state :] = np.full(SMALL.n_state, np.nan, np.float32).tobytes()
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="weights are broken"):
        open_onnx(folder, compute_type=compute_type).warm_up()
