"""The ONNX engine on small random checkpoints: the contract, and the tokens that transformers gave."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from asr_api.engines.onnx import compute_types
from asr_api.engines.onnx.engine import OnnxEngine
from asr_api.engines.protocol import ComputeType, Engine, EngineOptions, WindowJob
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from tests.engines.contract import EngineContract
from tests.engines.golden_tokens import SEED, SHAPES, GoldenWindow, read_golden_windows
from tests.engines.sounds import sound
from tests.engines.transcribing import AUTO, finish_all, listen, open_onnx
from tests.engines.whisper_checkpoints import SMALL, SMALL_EN, write_checkpoint, write_vocab_files


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write_checkpoint(root / name, shape, SEED) for name, shape in SHAPES.items()}


@pytest.fixture
def amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """On processors without it bfloat16 is only slower."""
    monkeypatch.setattr(compute_types, "has_bfloat16_products", lambda: True)


class TestContract(EngineContract):
    wishes = (
        DecodeOptions(),
        DecodeOptions(language="fr", task="translate", words=True),
        DecodeOptions(timestamps=False, prompt="once upon a time", temperatures=(0.0, 0.6)),
        DecodeOptions(languages=("ja", "ko"), temperatures=(0.8,)),
        DecodeOptions(language="de", hotwords="Ahab, Ishmael", words=True, temperatures=(0.0,)),
        DecodeOptions(temperatures=(0.4, 1.0)),
    )

    def pcm(self, engine: Engine, index: int) -> Pcm:
        """One is silent, another is noise."""
        heard = super().pcm(engine, index)
        noise = np.random.RandomState(index).randint(-3000, 3000, len(heard)).astype(np.int16)
        return {3: np.zeros_like(heard), 5: noise}.get(index, heard)

    @pytest.fixture
    def engine(self, folders: dict[str, Path]) -> Iterator[Engine]:
        engine = open_onnx(folders["multilingual"])
        yield engine
        engine.close()


@pytest.mark.parametrize("name", SHAPES)
def test_tokens_are_those_of_transformers_in_a_mixed_batch(name: str, folders: dict[str, Path]) -> None:
    windows = [window for window in read_golden_windows() if window.shape == name]
    engine = open_onnx(folders[name])
    for language in {window.language for window in windows}:
        chosen = [window for window in windows if window.language == language]
        heard = listen(engine, [_pcm(window) for window in chosen], dataclasses.replace(AUTO, language=language))
        assert [each.prompt for each in heard] == [window.prompt for window in chosen]
        assert [each.tokens for each in heard] == [window.tokens for window in chosen]


def _pcm(window: GoldenWindow) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return sound(window.seconds, window.seed)


def test_more_windows_than_slots_and_late_ones_say_the_same(folders: dict[str, Path]) -> None:
    windows = [sound(3 * (0.2 + 0.1 * (seed % 9)), seed) for seed in range(9)]
    engine = open_onnx(folders["multilingual"], n_slots=3)
    assert [each.tokens for each in listen(engine, windows)] == [
        listen(engine, [window])[0].tokens for window in windows
    ]


def test_what_is_heard_in_a_window_does_not_depend_on_the_rows_around_it(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"])
    rows = []
    for seeds in ([1], [0, 1, 2]):
        for seed in seeds:
            engine._encode(WindowJob(seed, sound(2, seed), AUTO))
        row = seeds.index(1)
        rows.append({name: view.copy() for name, view in engine._cross.views(slice(row, row + 1)).items()})
        engine.cancel(seeds)
    for name, view in rows[0].items():
        np.testing.assert_allclose(view, rows[1][name], atol=1e-5)


@pytest.mark.parametrize("compute_type", ["int8", "int8_bfloat16"])
@pytest.mark.usefixtures("amx")
def test_in_8_bits_a_window_says_the_same_in_any_company(folders: dict[str, Path], compute_type: ComputeType) -> None:
    windows = [sound(3 * (0.2 + 0.1 * (seed % 9)), seed) for seed in range(9)]
    engine = open_onnx(folders["multilingual"], n_slots=9, compute_type=compute_type)
    assert engine.info.compute_type == compute_type
    together = [each.tokens for each in listen(engine, windows)]
    assert [each.tokens for each in listen(engine, windows[::-1])][::-1] == together
    assert [listen(engine, [window])[0].tokens for window in windows] == together


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_shards_say_what_the_same_values_say_in_float32(dtype: str, tmp_path: Path) -> None:
    narrow = write_checkpoint(tmp_path / "narrow", dataclasses.replace(SMALL, dtype=dtype, num_shards=3))
    wide = write_checkpoint(tmp_path / "wide", SMALL, rounded_to=dtype)
    windows = [sound(3, 0), sound(2, 1)]
    expected = listen(open_onnx(wide), windows)
    assert [each.tokens for each in listen(open_onnx(narrow), windows)] == [each.tokens for each in expected]
    plain = listen(open_onnx(write_checkpoint(tmp_path / "plain", SMALL)), windows)
    assert [each.transcript for each in plain] != [each.transcript for each in expected]


def test_a_stored_output_projection_counts_only_when_it_is_untied(tmp_path: Path) -> None:
    windows = [sound(3, 0)]
    plain = listen(open_onnx(write_checkpoint(tmp_path / "plain", SMALL)), windows)
    tied = write_checkpoint(tmp_path / "tied", SMALL, output_projection="copy")
    assert listen(open_onnx(tied), windows) == plain
    untied = write_checkpoint(tmp_path / "untied", SMALL, output_projection="other")
    assert listen(open_onnx(untied), windows) != plain


def test_the_older_tokenizer_files_will_do(tmp_path: Path, folders: dict[str, Path]) -> None:
    older = write_checkpoint(tmp_path / "older", SMALL, SEED)
    write_vocab_files(older, SMALL)
    windows = [sound(3, 5)]
    assert listen(open_onnx(older), windows) == listen(open_onnx(folders["multilingual"]), windows)


def test_a_pass_that_reaches_its_limit_is_resumed_until_the_audio_is_done(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["english"], n_slots=2, max_new_tokens=12)
    pcm, start_ms, passes = sound(3, 1), 0, 0
    while True:
        engine.admit([WindowJob(0, pcm[start_ms * 16 :], AUTO)])
        transcript = finish_all(engine, 1)[0]
        passes += 1
        assert transcript.segments
        if transcript.resume_ms is None:
            break
        assert transcript.num_tokens >= 12
        assert transcript.segments[-1].end_ms == transcript.resume_ms >= 1000
        start_ms += transcript.resume_ms
    assert 2 <= passes <= 3


def test_a_language_may_be_given_in_any_spelling(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"])
    spellings = ("de", "DE", "de-AT", "German")
    heard = [listen(engine, [sound(2, 0)], dataclasses.replace(AUTO, language=name))[0] for name in spellings]
    assert {each.transcript.language for each in heard} == {"de"}
    assert {each.prompt for each in heard} == {
        (SMALL.special("startoftranscript"), SMALL.special("de"), SMALL.special("transcribe"))
    }


def test_the_task_is_part_of_the_prompt(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"])
    heard = listen(engine, [sound(2, 0)], dataclasses.replace(AUTO, task="translate", language="fr"))[0]
    assert heard.prompt[-1] == SMALL.special("translate")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("multilingual", DecodeOptions(language="klingon")),
        ("multilingual", DecodeOptions(language="yue")),  # a language of Whisper, but not of this checkpoint
        ("english", DecodeOptions(language="fr")),
        ("english", DecodeOptions(task="translate")),
    ],
)
def test_what_a_checkpoint_cannot_do_is_refused_and_nothing_admitted(
    name: str, options: DecodeOptions, folders: dict[str, Path]
) -> None:
    engine = open_onnx(folders[name])
    jobs = [WindowJob(0, sound(1, 0), AUTO), WindowJob(1, sound(1, 1), options)]
    with pytest.raises(InvalidParameter, match=r"language|task"):
        engine.admit(jobs)
    assert engine.free_slots == engine.info.n_slots


def test_more_jobs_than_free_slots_are_refused(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["english"], n_slots=2)
    with pytest.raises(ValueError, match="3 jobs for 2 free slots"):
        engine.admit([WindowJob(index, sound(1, index), AUTO) for index in range(3)])


def test_a_window_longer_than_the_models_is_refused(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["english"])
    with pytest.raises(ValueError, match="48001 samples"):
        engine.admit([WindowJob(0, np.zeros(48_001, np.int16), AUTO)])


def test_info_tells_what_the_checkpoint_is(folders: dict[str, Path]) -> None:
    english, multilingual = open_onnx(folders["english"]), open_onnx(folders["mels128"])
    assert english.info.languages == ("en",)
    assert len(multilingual.info.languages) == 100
    assert "yue" in multilingual.info.languages
    assert english.info.window_s == SMALL_EN.n_audio_ctx / 50
    assert english.info.device_name.startswith("CPU (")
    assert english.info.notes == ()


def test_flash_attention_is_answered_with_a_note(folders: dict[str, Path]) -> None:
    options = EngineOptions("any", folders["english"], flash_attention_2=True, num_threads=1)
    (note,) = OnnxEngine(options).info.notes
    assert "no effect on a CPU" in note


def test_an_idle_engine_uses_no_processor_time(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"], num_threads=2)
    listen(engine, [sound(3, 0), sound(3, 1)])
    time.sleep(0.1)
    before = psutil.Process().cpu_times()
    time.sleep(0.4)
    after = psutil.Process().cpu_times()
    assert (after.user + after.system) - (before.user + before.system) < 0.08


def test_a_window_may_be_retried_while_others_run_and_says_the_same(folders: dict[str, Path]) -> None:
    """Samples at several temperatures, in groups that share what their window heard."""
    windows = [sound(2.5, seed) for seed in range(6)]
    ladder = DecodeOptions(language="en", temperatures=(0.0, 0.7, 0.9))
    engine = open_onnx(folders["multilingual"], n_slots=3)
    alone = [listen(engine, [window], ladder)[0] for window in windows]
    together = listen(engine, windows, [ladder if index % 2 else AUTO for index in range(6)])
    assert [each.tokens for each in together[1::2]] == [each.tokens for each in alone[1::2]]
    tried_again = [
        each.tokens != listen(engine, [window])[0].tokens for each, window in zip(alone, windows, strict=True)
    ]
    assert any(tried_again)
    assert engine.free_slots == 3


@pytest.mark.parametrize("language", [None, "de"])
def test_a_prompt_that_is_read_at_once_is_one_that_is_read_in_parts(
    language: str | None, folders: dict[str, Path]
) -> None:
    """The language that a window is detected to have, given: the same logits follow, whatever earlier text there is."""
    engine, pcm = open_onnx(folders["multilingual"]), sound(3, 4)
    options = dataclasses.replace(AUTO, prompt="so it goes " * 20, language=language)
    detected = listen(engine, [pcm], options)[0]
    given = listen(engine, [pcm], dataclasses.replace(options, language=detected.transcript.language))[0]
    assert detected.tokens == given.tokens
    assert len(detected.transcript.guesses) == (0 if language else 5)
    assert detected.prompt == given.prompt
    assert len(detected.prompt) == SMALL.n_text_ctx // 2 + 3


def test_beams_in_a_batch_say_what_they_say_alone(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"], n_slots=3, beam_size=3)
    windows = [sound(1 + 0.4 * seed, seed) for seed in range(5)]
    together = listen(engine, windows)
    assert [each.tokens for each in together] == [listen(engine, [window])[0].tokens for window in windows]
    greedy = listen(open_onnx(folders["multilingual"]), windows)
    assert [each.tokens for each in together] != [each.tokens for each in greedy]


@pytest.mark.parametrize("name", ["multilingual", "english"])
def test_words_lie_in_their_segments_and_make_up_the_text(name: str, folders: dict[str, Path]) -> None:
    engine = open_onnx(folders[name])
    for timestamps in (True, False):
        options = dataclasses.replace(AUTO, words=True, timestamps=timestamps)
        for each in listen(engine, [sound(3, 0), sound(1.3, 1)], options):
            for segment in each.transcript.segments:
                assert "".join(word.text for word in segment.words) == segment.text
                assert segment.start_ms <= segment.words[0].start_ms
                assert segment.words[-1].end_ms <= segment.end_ms


@pytest.mark.parametrize("compute_type", ["float32", "int8", "int8_bfloat16"])
@pytest.mark.usefixtures("amx")
def test_a_checkpoint_that_computes_no_numbers_is_refused_at_the_start(
    tmp_path: Path, compute_type: ComputeType
) -> None:
    folder = write_checkpoint(tmp_path, SMALL)
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-4 * SMALL.n_state :] = np.full(SMALL.n_state, np.nan, np.float32).tobytes()
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="weights are broken"):
        open_onnx(folder, compute_type=compute_type).warm_up()
