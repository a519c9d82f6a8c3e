from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError
from tests.engines.whisper_checkpoints import (
    SMALL,
    SMALL_128,
    Shape,
    vocabulary,
    write_tokenizer_json,
    write_vocab_files,
)

OPENAI_ENGLISH = Shape(n_text_tokens=50256)
OPENAI_MULTILINGUAL = Shape(n_text_tokens=50257)
OPENAI_V3 = Shape(n_text_tokens=50257, num_languages=100)


def spell(text: str) -> list[int]:
    """One id for each byte: the vocabulary begins with the 256 bytes, in byte-level BPE's alphabet."""
    letters = list(vocabulary(SMALL)[0])[:256]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = printable + [byte for byte in range(256) if byte not in printable]
    assert len(letters) == len(order)
    return [order.index(byte) for byte in text.encode()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer_json(tmp_path, SMALL)
    return tmp_path


@pytest.mark.parametrize("text", [" hello", "Grüße, 你好 – 🎉", "  two  blanks \n", "don't", "<|en|>"])
def test_decode_any_split(folder: Path, text: str) -> None:
    assert Tokenizer(read_tokenizer_files(folder)).decode(spell(text)) == text


def test_decode_broken_utf8_and_special_tokens(folder: Path) -> None:
    tokenizer = Tokenizer(read_tokenizer_files(folder))
    half = spell("€")[:2]
    tokens = [tokenizer.start, tokenizer.timestamp_begin + 7, *spell("a"), *half, tokenizer.end, tokenizer.no_speech]
    assert tokenizer.decode(tokens) == "a�"


def test_decode_merged_token(folder: Path) -> None:
    vocab, merges = vocabulary(SMALL)
    left, right = merges[3].split(" ")
    assert Tokenizer(read_tokenizer_files(folder)).decode([vocab[left + right]]) == left + right


@pytest.mark.parametrize(
    ("shape", "end", "timestamp_begin", "num_languages"),
    [
        (OPENAI_ENGLISH, 50256, 50363, 99),
        (OPENAI_MULTILINGUAL, 50257, 50364, 99),
        (OPENAI_V3, 50257, 50365, 100),
    ],
)
def test_ids_of_special_tokens(
    tmp_path: Path, shape: Shape, end: int, timestamp_begin: int, num_languages: int
) -> None:
    write_tokenizer_json(tmp_path, shape)
    tokenizer = Tokenizer(read_tokenizer_files(tmp_path))
    assert (tokenizer.end, tokenizer.start) == (end, end + 1)
    assert tokenizer.timestamp_begin == tokenizer.no_timestamps + 1 == timestamp_begin
    assert tokenizer.no_speech == timestamp_begin - 2
    assert tokenizer.start_of_previous == timestamp_begin - 3
    assert (tokenizer.translate, tokenizer.transcribe) == (timestamp_begin - 6, timestamp_begin - 5)
    assert len(tokenizer.languages) == num_languages
    assert tokenizer.languages["en"] == end + 2
    assert ("yue" in tokenizer.languages) is (num_languages == 100)


def test_older_files(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        write_tokenizer_json(tmp_path / name, SMALL_128)
    write_vocab_files(tmp_path / "old", SMALL_128)
    new, old = Tokenizer(read_tokenizer_files(tmp_path / "new")), Tokenizer(read_tokenizer_files(tmp_path / "old"))
    assert (new.end, new.start, new.timestamp_begin, new.no_speech) == (
        old.end,
        old.start,
        old.timestamp_begin,
        old.no_speech,
    )
    assert new.languages == old.languages
    assert new.decode(range(SMALL_128.n_text_tokens)) == old.decode(range(SMALL_128.n_text_tokens))


def test_nocaptions(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("nospeech", "nocaptions"), encoding="utf-8")
    assert Tokenizer(read_tokenizer_files(folder)).no_speech == SMALL.special("nospeech")


@pytest.mark.parametrize("damage", ["none", "cut", "foreign"])
def test_invalid_tokenizer_is_refused(folder: Path, damage: str) -> None:
    path = folder / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    path.unlink()
    if damage == "cut":
        path.write_text(text[:1000], encoding="utf-8")
    elif damage == "foreign":
        value = json.loads(text)
        value["added_tokens"] = [token for token in value["added_tokens"] if "start" not in token["content"]]
        path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(CheckpointError, match="tokenizer"):
        Tokenizer(read_tokenizer_files(folder))


@pytest.mark.parametrize("text", [" hello", "Grüße, 你好 – 🎉", "  two  blanks \n", "<|en|><|0.00|><|endoftext|>"])
def test_encode_and_decode(tmp_path: Path, text: str) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        write_tokenizer_json(tmp_path / name, SMALL)
    write_vocab_files(tmp_path / "old", SMALL)
    new, old = Tokenizer(read_tokenizer_files(tmp_path / "new")), Tokenizer(read_tokenizer_files(tmp_path / "old"))
    tokens = new.encode(text)
    assert new.decode(tokens) == text
    assert max(tokens) < new.end  # no text becomes a special token
    assert old.encode(text) == tokens


def test_encode_merges(folder: Path) -> None:
    vocab, merges = vocabulary(SMALL)
    left, right = merges[3].split(" ")
    assert Tokenizer(read_tokenizer_files(folder)).encode(left + right) == [vocab[left + right]]
