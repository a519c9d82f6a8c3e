from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.engines.checkpoints.tokenizer_files import read_tokenizer_files
from asr_api.engines.whisper.token_kinds import TokenKinds
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError
from tests.engines.whisper_checkpoints import (
    PRINTABLE,
    SMALL,
    SMALL_128,
    Shape,
    change_json,
    vocabulary,
    write_tokenizer_json,
    write_vocab_files,
)

TEXTS = [" hello", "Grüße, 你好 – 🎉", "  two  blanks \n", "don't", "<|en|><|0.00|><|endoftext|>"]
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
BYTES = PRINTABLE + [byte for byte in range(256) if byte not in PRINTABLE]  # in the order of byte-level BPE's alphabet


@cache
def small_tokenizer() -> Tokenizer:
    with TemporaryDirectory() as folder:
        write_tokenizer_json(Path(folder), SMALL)
        return Tokenizer(read_tokenizer_files(Path(folder)))


def spell(text: str) -> list[int]:
    """One id for each byte: the vocabulary begins with the 256 bytes."""
    return [BYTES.index(byte) for byte in text.encode()]


@pytest.mark.parametrize("text", TEXTS)
def test_decode_any_split(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(spell(text)) == text


def test_decode_broken_utf8_and_special_tokens(tokenizer: Tokenizer) -> None:
    half = spell("€")[:2]
    tokens = [tokenizer.start, tokenizer.kinds.timestamps[7], *spell("a"), *half, tokenizer.end, tokenizer.no_speech]
    assert tokenizer.decode(tokens) == "a�"


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_of_each_token(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.token_bytes(spell(text)) == tuple(bytes([byte]) for byte in text.encode())
    assert b"".join(tokenizer.token_bytes(tokenizer.encode(text))) == text.encode()


def test_each_byte_has_its_token(tokenizer: Tokenizer) -> None:
    tokens = [BYTES.index(byte) for byte in range(256)]
    assert b"".join(tokenizer.token_bytes(tokens)) == bytes(range(256))


@given(st.lists(st.integers(0, SMALL.n_text_tokens - 1), max_size=30))
def test_bytes_are_what_decode_reads(tokens: list[int]) -> None:
    tokenizer = small_tokenizer()
    assert b"".join(tokenizer.token_bytes(tokens)).decode(errors="replace") == tokenizer.decode(tokens)


def test_merged_token(tokenizer: Tokenizer) -> None:
    vocab, merges = vocabulary(SMALL)
    text = merges[3].replace(" ", "")
    assert tokenizer.encode(text) == [vocab[text]]
    assert tokenizer.decode([vocab[text]]) == text


@pytest.mark.parametrize(
    ("n_text_tokens", "num_languages", "timestamp_begin"),
    [(50256, 99, 50363), (50257, 99, 50364), (50257, 100, 50365)],
    ids=["English-only", "multilingual", "large-v3"],
)
def test_ids_of_special_tokens(tmp_path: Path, n_text_tokens: int, num_languages: int, timestamp_begin: int) -> None:
    write_tokenizer_json(tmp_path, Shape(n_text_tokens=n_text_tokens, num_languages=num_languages))
    tokenizer = Tokenizer(read_tokenizer_files(tmp_path))
    assert (tokenizer.end, tokenizer.start) == (n_text_tokens, n_text_tokens + 1)
    assert tokenizer.kinds.timestamps[0] == tokenizer.no_timestamps + 1 == timestamp_begin
    assert tokenizer.no_speech == timestamp_begin - 2
    assert tokenizer.start_of_previous == timestamp_begin - 3
    assert (tokenizer.translate, tokenizer.transcribe) == (timestamp_begin - 6, timestamp_begin - 5)
    assert len(tokenizer.languages) == num_languages
    assert tokenizer.languages["en"] == n_text_tokens + 2
    assert ("yue" in tokenizer.languages) is (num_languages == 100)


def test_older_files(tmp_path: Path) -> None:
    write_tokenizer_json(tmp_path, SMALL_128)
    new = Tokenizer(read_tokenizer_files(tmp_path))
    write_vocab_files(tmp_path, SMALL_128)
    old = Tokenizer(read_tokenizer_files(tmp_path))
    for name in ("end", "start", "kinds", "no_speech", "languages"):
        assert getattr(new, name) == getattr(old, name)
    assert new.decode(range(SMALL_128.n_text_tokens)) == old.decode(range(SMALL_128.n_text_tokens))
    for text in TEXTS:
        tokens = new.encode(text)
        assert tokens == old.encode(text)
        assert new.decode(tokens) == text
        assert max(tokens) < new.end  # no text becomes a special token


@pytest.mark.parametrize("is_older", [False, True])
def test_text_tokens_behind_the_timestamps(tmp_path: Path, is_older: bool) -> None:
    """Added tokens are plain text; letters such as é are not bytes of byte-level BPE there."""
    first = SMALL.timestamps.stop
    added = {" café": first, "你好": first + 1, "<|note|>": first + 2}
    write_tokenizer_json(tmp_path, SMALL)
    if is_older:
        write_vocab_files(tmp_path, SMALL)
        timestamps = {f"<|{0.02 * index:.2f}|>": token for index, token in enumerate(SMALL.timestamps)}
        change_json(tmp_path / "added_tokens.json", **timestamps, **added)
    else:
        path = tmp_path / "tokenizer.json"
        entries = [{"id": token, "content": text, "special": text[0] == "<", **FLAGS} for text, token in added.items()]
        change_json(path, added_tokens=json.loads(path.read_bytes())["added_tokens"] + entries)
    tokenizer = Tokenizer(read_tokenizer_files(tmp_path))
    assert tokenizer.kinds == TokenKinds(SMALL.end, SMALL.timestamps, frozenset({first, first + 1}))
    text = "un café 你好a"
    tokens = [*spell("un"), first, *spell(" "), first + 1, *spell("a")]
    assert tokenizer.encode(text) == tokens
    assert tokenizer.decode([*tokens, first + 2, first + 3]) == text
    assert tokenizer.decode([first, SMALL.timestamps[7], first, *spell("é")[:1], first + 1]) == " café café�你好"
    assert tokenizer.token_bytes([first, *spell("é")[:1], first + 1]) == (" café".encode(), b"\xc3", "你好".encode())
    smaller = Tokenizer(read_tokenizer_files(tmp_path), n_vocab=first + 1)  # the embeddings were not resized
    assert smaller.kinds.added_text == {first}
    assert max(smaller.encode(text)) == first


def test_nocaptions(tmp_path: Path) -> None:
    write_tokenizer_json(tmp_path, SMALL)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("nospeech", "nocaptions"), encoding="utf-8")
    assert Tokenizer(read_tokenizer_files(tmp_path)).no_speech == SMALL.special("nospeech")


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_invalid_tokenizer_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "tokenizer.json"
    if damage != "missing":
        write_tokenizer_json(tmp_path, SMALL)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "foreign":
        added = json.loads(path.read_bytes())["added_tokens"]
        change_json(path, added_tokens=[token for token in added if "start" not in token["content"]])
    with pytest.raises(CheckpointError, match="tokenizer"):
        Tokenizer(read_tokenizer_files(tmp_path))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    write_tokenizer_json(tmp_path, SMALL)
    with pytest.raises(CheckpointError, match="they are of different models"):
        Tokenizer(read_tokenizer_files(tmp_path), SMALL.n_vocab - 1)
