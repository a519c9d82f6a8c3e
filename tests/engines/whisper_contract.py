"""The contract of Whisper engines: the golden tokens of transformers, 16-bit checkpoints, options that are refused."""

from __future__ import annotations

import dataclasses
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from asr_api.engines.checkpoints.resolve import BUILTIN_FOLDER
from asr_api.engines.protocol import Engine, WindowJob
from asr_api.errors import InvalidParameter
from asr_api.options import DecodeOptions
from tests.engines.added_tokens import write_with_added_tokens
from tests.engines.contract import EngineContract
from tests.engines.golden_tokens import SHAPES, File, read_golden_windows
from tests.engines.sounds import sound
from tests.engines.transcribing import AT_ZERO, tokens_of, transcribe
from tests.engines.whisper_checkpoints import SMALL, change_json, write_checkpoint

HELLO = [(400, 1200, " Hello world."), (1900, 3280, " It is half past seven.")]


class WhisperContract(EngineContract):
    """open: opens an engine in float32 with a `TracingBuilder`; its options are those of `EngineOptions`

    near_ties: windows for which rounding decides which of two texts is better, by shape, beam size and seed
    """

    open: ClassVar[Callable[..., Engine]]
    near_ties: ClassVar[set[tuple[str, int, int]]] = set()

    @pytest.fixture
    def engine(self, folders: dict[str, Path]) -> Iterator[Engine]:
        engine = self.open(folders["multilingual"])
        yield engine
        engine.close()

    @pytest.mark.parametrize("file", ["tokens", "options"])
    @pytest.mark.parametrize("name", SHAPES)
    def test_tokens_equal_transformers(self, name: str, file: File, folders: dict[str, Path]) -> None:
        """In mixed batches: tasks, languages, prompts, beam search, no timestamps."""
        golden = [window for window in read_golden_windows(file) if window.shape == name]
        for beam_size in sorted({window.beam_size for window in golden}):
            windows = [window for window in golden if window.beam_size == beam_size]
            engine = self.open(folders[name], beam_size=beam_size, n_slots=3)
            pcms = [sound(window.seconds, window.seed) for window in windows]
            transcripts = transcribe(engine, pcms, [window.options for window in windows])
            for ours, expected in zip(transcripts, windows, strict=True):
                assert ours.prompt == expected.prompt, expected
                is_near_tie = (name, beam_size, expected.seed) in self.near_ties
                assert ours.tokens == expected.tokens or is_near_tie, expected
                assert is_near_tie or ours.resume_ms == expected.resume_ms, expected

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_16_bit_shards_equal_float32(self, dtype: str, tmp_path: Path) -> None:
        narrow = write_checkpoint(tmp_path / "narrow", dataclasses.replace(SMALL, dtype=dtype, num_shards=3))
        wide = write_checkpoint(tmp_path / "wide", SMALL, rounded_to=dtype)
        plain = write_checkpoint(tmp_path / "plain", SMALL)
        ours, expected, others = (
            transcribe(self.open(folder), [sound(3, 0), sound(2, 1)]) for folder in (narrow, wide, plain)
        )
        assert tokens_of(ours) == tokens_of(expected)
        assert others != expected

    def test_alignment_heads_of_a_deeper_teacher_are_reported_and_words_have_times(self, tmp_path: Path) -> None:
        folder, plain = write_checkpoint(tmp_path / "distilled", SMALL), write_checkpoint(tmp_path / "plain", SMALL)
        change_json(folder / "generation_config.json", alignment_heads=[[7, 0], [10, 17], [25, 6]])
        options = dataclasses.replace(AT_ZERO, words=True)
        engine = self.open(folder)
        assert any("alignment_heads name heads" in note for note in engine.info.notes)
        assert transcribe(engine, [sound(3, 0)], options) == transcribe(self.open(plain), [sound(3, 0)], options)

    @pytest.mark.parametrize("beam_size", [1, 3])
    def test_text_tokens_behind_the_timestamps_are_text(self, beam_size: int, tmp_path: Path) -> None:
        """The built-in model, with two of the spoken words and a special token behind its timestamps."""
        folder, samples = tmp_path / "added", Path(__file__).parents[2] / "samples"
        like = {" half": "Ġhalf", " past": "Ġpast", "<|seven|>": "Ġseven"}
        first = write_with_added_tokens(BUILTIN_FOLDER, folder, like, special=("<|seven|>",))
        with wave.open(str(samples / "hello.wav")) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        engine = self.open(folder, beam_size=beam_size)
        for options in (AT_ZERO, dataclasses.replace(AT_ZERO, words=True), dataclasses.replace(AT_ZERO, prompt="half")):
            (transcript,) = transcribe(engine, [pcm], options)
            assert {first, first + 1, first + 2} <= set(transcript.tokens)
            (_, segment), (_, (start_ms, end_ms, text)) = transcript.segments, HELLO
            assert segment.text == text.replace(" seven", "")  # a special token is never text
            assert (segment.start_ms, segment.end_ms) == (start_ms, end_ms)
            assert "".join(word.text for word in segment.words) in ("", segment.text)
        (transcript,) = transcribe(engine, [pcm], dataclasses.replace(AT_ZERO, timestamps=False))
        assert [segment.text for segment in transcript.segments] == [" Hello world. It is half past."]

    def test_segments_with_their_timestamps_are_all_that_was_sampled(self) -> None:
        with wave.open(str(Path(__file__).parents[2] / "samples/hello.wav")) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        (transcript,) = transcribe(self.open(BUILTIN_FOLDER), [pcm], dataclasses.replace(AT_ZERO, token_texts=True))
        parts = [(segment.start_token, *segment.tokens, segment.end_token) for segment in transcript.segments]
        assert tuple(token for part in parts for token in part) == transcript.tokens
        assert [b"".join(segment.token_bytes).decode() for segment in transcript.segments] == [
            text for _, _, text in HELLO
        ]

    def test_unsupported_options_admit_no_job(self, folders: dict[str, Path]) -> None:
        engine = self.open(folders["english"])
        jobs = [WindowJob(0, sound(1, 0), AT_ZERO), WindowJob(1, sound(1, 1), DecodeOptions(task="translate"))]
        with pytest.raises(InvalidParameter, match=r"task.*translate|translate.*task"):
            engine.admit(jobs)
        assert engine.free_slots == engine.info.n_slots
