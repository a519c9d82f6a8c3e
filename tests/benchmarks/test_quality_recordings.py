"""benchmarks/quality: manifests and what is wrong with them, and woven recordings that are the same every time."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.pcm import SAMPLE_RATE_HZ
from benchmarks.quality.manifest import read_manifest
from benchmarks.quality.model import Model, server_folder, transformers_folder
from benchmarks.quality.recording import Missing, Recording
from benchmarks.quality.transformers_folder import defaults, shape_of, write_transformers_folder
from benchmarks.quality.weaving import LOUDNESS, Pattern, weave, woven, write_wav
from tests.engines.ctranslate2_files import write_ctranslate2
from tests.engines.whisper_checkpoints import Shape, tensor_shapes, write_checkpoint
from tests.server.running import ROOT

HEAD = "set\tfile\tlanguage\ttext\tsource\tseconds\n"
PATTERN = Pattern("short", ("read",), "en", seconds=20, max_pause_s=1, noise=0.001)


def clips(folder: Path) -> list[Recording]:
    """Three clips of three tones, of 2, 3 and 4 s, each louder than the one before."""
    found = []
    for number in range(3):
        seconds = 2 + number
        tone = np.sin(np.arange(seconds * SAMPLE_RATE_HZ) * 0.1 * (1 + number)) * 0.01 * 5**number
        path = folder / f"tone-{number}.wav"
        write_wav(path, tone.astype(np.float32))
        found.append(Recording("read", path, "en", f"tone {number}", seconds))
    return found


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768


def test_a_manifest_is_read_with_quotes(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    row = 'read\ta.wav\ten\t"the ""forty-two line Bible"""\tsomewhere\t8.39\n'
    (tmp_path / "manifest.tsv").write_text(HEAD + row)
    assert read_manifest(tmp_path) == [Recording("read", tmp_path / "a.wav", "en", 'the "forty-two line Bible"', 8.39)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'set'"),
        ("set\tfile\tlanguage\ttext\tseconds\n", "no column 'source'"),
        (HEAD + "read\ta.wav\ten\ttext\n", "row 2 does not have 6 fields"),
        (HEAD + "read\tb.wav\ten\ttext\tmade\t3\n", "row 2 names b.wav, which is not in the folder"),
        (HEAD + "read\ta.wav\ten\ttext\tmade\tlong\n", "row 2 has the length 'long'"),
    ],
)
def test_a_bad_manifest_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "manifest.tsv").write_text(text)
    with pytest.raises(Missing, match=message) as raised:
        read_manifest(tmp_path)
    assert "\n" not in str(raised.value)


def test_what_is_missing_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    arguments = ["--recordings", str(tmp_path), "--models", f"tiny={tmp_path}"]
    line = [sys.executable, "-m", "benchmarks.quality", *arguments, "--results", str(tmp_path / "results")]
    ended = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{tmp_path / 'manifest.tsv'} is not there; name with --recordings")
    assert len(ended.stderr.splitlines()) == 1


def test_a_woven_recording_is_the_same_every_time(tmp_path: Path) -> None:
    given = clips(tmp_path)
    first = weave(PATTERN, given, tmp_path / "first.wav", seed=1)
    second = weave(PATTERN, given, tmp_path / "second.wav", seed=1)
    other = weave(PATTERN, given, tmp_path / "other.wav", seed=2)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.passages == second.passages
    assert first.passages != other.passages


def test_a_woven_recording_has_passages_of_one_loudness_with_pauses(tmp_path: Path) -> None:
    recording = weave(PATTERN, clips(tmp_path), tmp_path / "woven.wav", seed=1)
    assert 20 <= recording.seconds < 25
    assert recording.text == " ".join(passage.text for passage in recording.passages)
    pcm = samples(recording.path)
    assert len(pcm) == round(recording.seconds * SAMPLE_RATE_HZ)
    for passage, following in zip(recording.passages, recording.passages[1:], strict=False):
        assert 0 <= following.start_s - passage.end_s <= 1
        assert following.text != passage.text
    for passage in recording.passages:
        inside = pcm[round(passage.start_s * SAMPLE_RATE_HZ) : round(passage.end_s * SAMPLE_RATE_HZ)]
        assert np.sqrt((inside**2).mean()) == pytest.approx(LOUDNESS, rel=0.05)
    marks = json.loads((tmp_path / "woven.passages.json").read_text())
    assert [mark["text"] for mark in marks] == [passage.text for passage in recording.passages]


def test_only_patterns_with_clips_are_woven(tmp_path: Path) -> None:
    german = [Recording("fleurs-de", clip.path, "de", clip.text, clip.seconds) for clip in clips(tmp_path)]
    assert [recording.path.stem for recording in woven(german, tmp_path / "long")] == ["de-4-min"]


def test_a_checkpoint_is_written_as_a_folder_of_transformers(tmp_path: Path) -> None:
    shape = Shape(n_audio_layer=3)
    given = open_checkpoint(write_checkpoint(tmp_path / "given", shape))
    assert shape_of(given.config).n_vocab == shape.n_vocab
    write_transformers_folder(given, tmp_path / "written")
    written = open_checkpoint(tmp_path / "written")
    assert written.config == given.config
    assert written.generation_config.items() >= given.generation_config.items()
    assert written.tokenizer == given.tokenizer
    for name, dims in tensor_shapes(shape):
        tensor = name.removeprefix("model.")
        assert np.array_equal(written.tensors.numbers(tensor, dims), given.tensors.numbers(tensor, dims)), name


def test_what_generate_needs_is_written_for_a_checkpoint_of_ctranslate2(tmp_path: Path) -> None:
    shape = Shape()
    given = write_ctranslate2(write_checkpoint(tmp_path / "source", shape), tmp_path / "given")
    write_transformers_folder(open_checkpoint(given), tmp_path / "written")
    written = open_checkpoint(tmp_path / "written")
    assert written.model_type == "whisper"
    assert written.generation_config["max_length"] == shape.n_text_ctx


def test_ids_of_special_tokens_are_taken_from_the_tokenizer() -> None:
    names = ("endoftext", "startoftranscript", "en", "de", "translate", "transcribe", "startofprev", "notimestamps")
    tokens = {"added_tokens": [{"content": f"<|{name}|>", "id": 9 + number} for number, name in enumerate(names)]}
    ids = {"bos_token_id": 9, "eos_token_id": 9, "pad_token_id": 9, "decoder_start_token_id": 10}
    ids |= {"no_timestamps_token_id": 16, "prev_sot_token_id": 15, "max_initial_timestamp_index": 50}
    assert defaults(tokens, 51_864) == ids | {"is_multilingual": False}
    found = defaults(tokens, 51_865)
    assert found.pop("lang_to_id") == {"<|en|>": 11, "<|de|>": 12}
    assert found.pop("task_to_id") == {"transcribe": 14, "translate": 13}
    assert found == ids | {"is_multilingual": True}


def test_a_folder_that_can_be_read_is_used_as_it_is(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "given", Shape())
    model = Model("tiny", folder, tmp_path / "converted")
    assert server_folder(model) == transformers_folder(model) == folder
    unreadable = Model("tiny", tmp_path / "nothing", tmp_path / "converted")
    with pytest.raises(Missing, match="cannot be converted for transformers"):
        transformers_folder(unreadable)
