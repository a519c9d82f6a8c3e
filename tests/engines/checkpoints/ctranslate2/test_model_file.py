"""The header of model.bin: other versions and kinds, and files that are cut off, damaged or hostile."""

from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.ctranslate2.model_file import ModelFile
from asr_api.engines.checkpoints.mapped_files import MappedFiles
from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.errors import CheckpointError
from tests.engines.ctranslate2_files import write_ctranslate2, write_model_file
from tests.engines.whisper_checkpoints import Shape, tensor_shapes, write_checkpoint

NUM_MUTATIONS = 1_000  # of each file; 10,000 were tried by hand
MINUTE = Shape(n_mels=2, n_state=4, n_head=1, n_audio_layer=1, n_text_layer=1, n_audio_ctx=4, n_text_ctx=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_ctranslate2(write_checkpoint(tmp_path / "source", MINUTE), tmp_path / "converted", "int8")


def open_bytes(path: Path, data: bytes) -> ModelFile:
    path.write_bytes(data)
    return ModelFile(MappedFiles([path]))


def header(*, version: int = 6, kind: bytes = b"WhisperSpec\0", revision: int = 3, count: int = 1) -> bytes:
    return struct.pack(f"<IH{len(kind)}sII", version, len(kind), kind, revision, count)


def variable(*, dims: tuple[int, ...] = (2,), code: int = 0, num_bytes: int = 8, data: bytes = bytes(8)) -> bytes:
    return struct.pack(f"<H2sB{len(dims)}IBI", 2, b"a\0", len(dims), *dims, code, num_bytes) + data


NO_ALIASES = bytes(4)


def test_values_aliases_and_scalars(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    embedding = np.arange(6, dtype=np.float32).reshape(3, 2)
    write_model_file(path, {"decoder/embeddings/weight": embedding, "encoder/num_heads": np.array(6, np.int16)})
    file = ModelFile(MappedFiles([path]))
    np.testing.assert_array_equal(file.values(file.variables["decoder/projection/weight"]), embedding)
    np.testing.assert_array_equal(file.values(file.variables["decoder/embeddings/weight"], 1, 2), embedding[1:])
    assert (file.scalar("encoder/num_heads", 1), file.scalar("none", 7)) == (6, 7)
    file.forget()
    np.testing.assert_array_equal(file.values(file.variables["decoder/embeddings/weight"]), embedding)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (header(version=5), "version 5 .* version 6 can be read"),
        (b"PK\3\4" + bytes(100), "or is no CTranslate2 model"),
        (header(kind=b"TransformerSpec\0"), "kind 'TransformerSpec', revision 3"),
        (header(revision=4), "'WhisperSpec', revision 4"),
        (header(count=20_001), "names 20001 variables, and 20000 are allowed"),
        (header(), "ends too early"),
        (header() + variable(num_bytes=9, data=bytes(9)) + NO_ALIASES, "a has 9 bytes"),
        (header() + variable(dims=(2**31, 2**31), num_bytes=0) + NO_ALIASES, "a has 0 bytes"),
        (header() + variable(dims=(1,) * 9), "9 dimensions, and 8 are allowed"),
        (header() + variable(code=6) + NO_ALIASES, "unknown type 6"),
        (header() + variable(num_bytes=2**32 - 8, dims=(2**30 - 2,)), "ends too early"),
        (header() + variable() + struct.pack("<IH2sH2s", 1, 2, b"b\0", 2, b"c\0"), "b stands for c, which it lacks"),
        (header() + variable(data=bytes(7)), "ends too early"),
        (header(kind=b"\xff\xff"), "cut off or damaged"),
        (b"", "is empty"),
        (b"\6", "ends too early"),
    ],
)
def test_other_file_is_refused(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        open_bytes(tmp_path / "model.bin", data)


def test_every_cut_is_noticed(folder: Path) -> None:
    data = (folder / "model.bin").read_bytes()
    for length in range(1, len(data), 97):
        with pytest.raises(CheckpointError, match="cut off or damaged"):
            open_bytes(folder / "cut.bin", data[:length])


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_mutations_give_a_checkpoint_or_one_error(folder: Path, name: str) -> None:
    """Nothing else is raised, and nothing is allocated beyond four times the size of the files."""
    data, generator, num_errors = (folder / name).read_bytes(), random.Random(5), 0
    limit_bytes = 4 * sum(path.stat().st_size for path in folder.iterdir())
    tracemalloc.start()
    for _ in range(NUM_MUTATIONS):
        (folder / name).write_bytes(mutated(data, generator))
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        error = error_of(folder)
        assert "\n" not in error
        num_errors += bool(error)
        assert tracemalloc.get_traced_memory()[1] - before < limit_bytes
    tracemalloc.stop()
    assert num_errors > NUM_MUTATIONS // 10


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Most changes are in the first bytes, where the header is dense."""
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 8))):
        position = int(len(changed) * generator.random() ** 3)
        kind = generator.randrange(5)
        if kind == 0:
            changed[position : position + 1] = bytes([generator.randrange(256)])
        elif kind == 1:
            changed[position : position + 4] = generator.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80", b"9999")
            )
        elif kind == 2:
            del changed[position : position + generator.choice((1, 4, 100))]
        elif kind == 3:
            changed[position:position] = changed[: generator.choice((1, 4, 100))]
        else:
            del changed[position:]
    return bytes(changed)


def error_of(folder: Path) -> str:
    """Empty when the checkpoint can be read."""
    try:
        read_all(folder)
    except CheckpointError as error:
        return str(error)
    return ""


def read_all(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    config = read_whisper_config(checkpoint)
    assert config.n_state <= 10_000
    for name, dims in tensor_shapes(MINUTE):
        checkpoint.tensors.numbers(name.removeprefix("model."), dims)
