"""JSON that is deep, huge or wrong, pipes, devices and gigabytes in each file of a checkpoint: one sentence each."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.completeness import check_complete
from asr_api.engines.checkpoints.json_file import UnreadableJson, parse_json
from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.resolve import BUILTIN_FOLDER
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint, write_shards, write_vocab_files
from tests.server.running import run_command

Key = str | int

RAW = {  # what json.dumps would not write, by the text that stands for it
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep enough to be read": "[" * 500 + "]" * 500,
    "too large for a float": "1e400",
    "400 digits": "1" + "0" * 400,
    "5000 digits": "9" * 5000,
    "NaN": "NaN",
    "infinity": "-Infinity",
    "a key twice": '{"a": 1, "a": 2}',
    "half of a pair": '"\\ud800"',
}
VALUES: list[object] = [
    None,
    True,
    [],
    {},
    "",
    -1,
    0,
    1.5,
    2**31,
    2**63,
    10**60,
    "x" * 1000,
    [[]],
    {"a": 1},
    "\0",
    "a/b",
]
BROKEN = [b"", b"{", b"[]", b"1", b'"\\', b"\xff\xfe{}", b'{"a": 1} {}', b"\0" * 100]
SINGLE, SHARDED = "model.safetensors", "model.safetensors.index.json"
FILES = ["config.json", "generation_config.json", "tokenizer.json", "vocab.json", "added_tokens.json", SINGLE, SHARDED]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("whole"), SMALL)


def folder_with(file: str, folder: Path, checkpoint: Path) -> Path:
    """A copy of the checkpoint in the layout that has this file."""
    shutil.copytree(checkpoint, folder)
    if file in ("vocab.json", "added_tokens.json"):
        write_vocab_files(folder, SMALL)
    if file == SHARDED:
        write_shards(folder, [{}, {}])
        content = json.loads((folder / file).read_bytes())
        (folder / file).write_text(json.dumps(content | {"weight_map": {"a": SINGLE, "b": SINGLE}}))
    return folder


def read_json_of(path: Path) -> object:
    data = path.read_bytes()
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")] if path.name == SINGLE else data)


def write_json_to(path: Path, text: bytes) -> None:
    """Into the header of a safetensors file, which keeps its values."""
    if path.name == SINGLE:
        data = path.read_bytes()
        text = len(text).to_bytes(8, "little") + text + data[8 + int.from_bytes(data[:8], "little") :]
    path.write_bytes(text)


def load(folder: Path) -> None:
    """As an engine does, up to the values of the tensors."""
    checkpoint = open_checkpoint(check_complete(folder, "some/model"))
    config = read_whisper_config(checkpoint)
    Tokenizer(checkpoint.tokenizer, config.n_vocab)
    _ = checkpoint.tensors


def assert_is_sentence(error: pytest.ExceptionInfo[CheckpointError] | CheckpointError, file: str) -> None:
    message = str(error.value if isinstance(error, pytest.ExceptionInfo) else error)
    assert "\n" not in message
    assert len(message) < 500
    assert message.endswith(".")
    assert file in message or "tokenizer" in message
    assert any(remedy in message for remedy in ("fetch", "correct", "choose"))
    message.encode()  # can be printed


def dumped(value: object) -> bytes:
    text = json.dumps(value)
    for name, raw in RAW.items():
        text = text.replace(f'"raw: {name}"', raw)
    return text.encode()


def places(value: object, place: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    yield place
    children: Sequence[tuple[Key, object]] = []
    if isinstance(value, dict):
        children = list(value.items())[:40]
    elif isinstance(value, list):
        children = list(enumerate(value))[:3]
    for key, child in children:
        yield from places(child, (*place, key))


def replaced(value: object, place: tuple[Key, ...], new: object) -> object:
    if not place:
        return new
    changed = copy.deepcopy(value)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]  # type: ignore[index]
    parent[place[-1]] = new  # type: ignore[index]
    return changed


@pytest.mark.parametrize("file", FILES)
def test_what_is_not_an_object_in_standard_json_is_refused(file: str, tmp_path: Path, checkpoint: Path) -> None:
    path = folder_with(file, tmp_path / "copy", checkpoint) / file
    whole = read_json_of(path)
    assert isinstance(whole, dict)
    texts = [*BROKEN, *map(str.encode, RAW.values()), *(dumped(whole | {"x": f"raw: {name}"}) for name in RAW)]
    load(path.parent)
    for text in texts:
        write_json_to(path, text)
        with pytest.raises(CheckpointError) as caught:
            load(path.parent)
        assert_is_sentence(caught, file)


@pytest.mark.parametrize("file", FILES)
def test_any_value_in_any_place_is_read_or_refused(file: str, tmp_path: Path, checkpoint: Path) -> None:
    path, rng = folder_with(file, tmp_path / "copy", checkpoint) / file, random.Random(6)
    whole = read_json_of(path)
    values = [*VALUES, *(f"raw: {name}" for name in RAW)]
    mutations = [(place, value) for place in places(whole) for value in values]
    for place, value in rng.sample(mutations, min(len(mutations), 150)):
        write_json_to(path, dumped(replaced(whole, place, value)))
        try:
            load(path.parent)
        except CheckpointError as error:
            assert_is_sentence(error, "")


@pytest.mark.parametrize("file", [*FILES, "merges.txt"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "gigabytes"])
def test_what_is_no_file_of_a_checkpoint_is_refused_unread(
    file: str, kind: str, tmp_path: Path, checkpoint: Path
) -> None:
    path = folder_with("vocab.json" if file == "merges.txt" else file, tmp_path / "copy", checkpoint) / file
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as sparse:
            sparse.truncate(8 * 2**30)
    if file == SHARDED and kind != "gigabytes":
        return  # the checkpoint is complete without an index
    with pytest.raises(CheckpointError) as caught:
        load(path.parent)
    assert_is_sentence(caught, file)


@pytest.mark.parametrize("reason", ["nested", "digits", "twice", "surrogate", "1e400", "NaN"])
def test_reason_is_named(reason: str) -> None:
    reasons = set()
    for raw in RAW.values():
        with pytest.raises(UnreadableJson) as caught:
            parse_json(f'{{"a": {raw}}}'.encode())
        reasons.add(str(caught.value))
    assert any(reason in found for found in reasons)


@pytest.mark.parametrize("file", ["config.json", "generation_config.json", "tokenizer.json", SINGLE])
def test_process_ends_with_one_line_and_exit_code_2(file: str, tmp_path: Path) -> None:
    """No traceback in either process, no second attempt, and no word of too little memory."""
    folder = tmp_path / "model"
    shutil.copytree(BUILTIN_FOLDER, folder)
    write_json_to(folder / file, dumped(read_json_of(folder / file) | {"x": "raw: deep"}))  # type: ignore[operator]
    line = [sys.executable, "-m", "asr_api", "transcribe", "samples/hello.wav", "--model-id", str(folder)]
    ended = run_command(tmp_path, *line)
    assert (ended.returncode, ended.stdout) == (2, b"")
    (sentence,) = ended.stderr.decode().splitlines()
    assert file in sentence
    assert "fetch the checkpoint again" in sentence
