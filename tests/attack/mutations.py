"""Mutations of real media, each determined by its seed and its number: truncated, flipped, spliced, rearranged."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache

from tests.audio.media_files import amr, encodable, encoded
from tests.audio.voice_files import voice_files
from tests.product.samples import SAMPLES, sample_texts

SHORT_S = 1.0
# What decoders do with sizes, counts and offsets.
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEADER_BYTES = 512

Mutate = Callable[[random.Random, bytearray, bytes], None]
"""Changes the data; the last argument is another file."""


@cache
def originals() -> dict[str, bytes]:
    """By name: each container that this build of FFmpeg writes, codecs of telephones, and the repository's samples."""
    files = {name: encoded(name, SHORT_S) for name in encodable()} | {"amr-random": amr(SHORT_S)}
    files |= {f"voice {name}": file.data for name, file in voice_files().items()}
    return files | {name: (SAMPLES / name).read_bytes() for name in sample_texts()}


def mutation(seed: int, number: int) -> tuple[str, bytes]:
    """What it is, for a message; the data"""
    rng = random.Random(f"{seed}-{number}")
    names = sorted(originals())
    name, other = names[number % len(names)], rng.choice(names)
    data = bytearray(originals()[name])
    kinds: Sequence[Mutate] = rng.choices(MUTATIONS, k=rng.choice((1, 1, 1, 2, 3)))
    for mutate in kinds:
        if data:
            mutate(rng, data, originals()[other])
    return f"{name}: {', '.join(kind.__name__ for kind in kinds)} ({other})", bytes(data)


def truncate(rng: random.Random, data: bytearray, _other: bytes) -> None:
    del data[_position(rng, data) :]


def cut_beginning(rng: random.Random, data: bytearray, _other: bytes) -> None:
    del data[: _position(rng, data)]


def flip_bits(rng: random.Random, data: bytearray, _other: bytes) -> None:
    for _ in range(rng.choice((1, 1, 10, 100, 1000))):
        data[_position(rng, data)] ^= 1 << rng.randrange(8)


def flip_header(rng: random.Random, data: bytearray, _other: bytes) -> None:
    for _ in range(rng.choice((1, 2, 8))):
        data[rng.randrange(min(HEADER_BYTES, len(data)))] = rng.randrange(256)


def set_number(rng: random.Random, data: bytearray, _other: bytes) -> None:
    """A field of 1, 2, 4 or 8 bytes, of either order, becomes an extreme."""
    for _ in range(rng.choice((1, 1, 4))):
        at, size = _position(rng, data), rng.choice((1, 2, 4, 8))
        value = rng.choice(EXTREMES) & (1 << 8 * size) - 1
        data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def splice(rng: random.Random, data: bytearray, other: bytes) -> None:
    """Continued as another file."""
    data[_position(rng, data) :] = other[rng.randrange(len(other)) :]


def insert_other(rng: random.Random, data: bytearray, other: bytes) -> None:
    at, start = _position(rng, data), rng.randrange(len(other))
    data[at:at] = other[start : start + rng.choice((4, 64, 1024))]


def repeat_block(rng: random.Random, data: bytearray, _other: bytes) -> None:
    at, size = _position(rng, data), rng.choice((1, 8, 188, 4096))
    data[at:at] = data[at : at + size] * rng.choice((1, 2, 50))


def remove_block(rng: random.Random, data: bytearray, _other: bytes) -> None:
    at = _position(rng, data)
    del data[at : at + rng.choice((1, 2, 4, 188, 4096))]


def move_block(rng: random.Random, data: bytearray, _other: bytes) -> None:
    at, size = _position(rng, data), rng.choice((4, 188, 4096))
    block = data[at : at + size]
    del data[at : at + size]
    to = rng.randrange(len(data) + 1)
    data[to:to] = block


def blank_block(rng: random.Random, data: bytearray, _other: bytes) -> None:
    at, size = _position(rng, data), rng.choice((4, 64, 4096))
    data[at : at + size] = bytes([rng.choice((0, 0x55, 0xFF))]) * len(data[at : at + size])


def randomise_block(rng: random.Random, data: bytearray, _other: bytes) -> None:
    at, size = _position(rng, data), rng.choice((4, 64, 4096))
    data[at : at + size] = rng.randbytes(len(data[at : at + size]))


MUTATIONS: Sequence[Mutate] = (
    truncate, cut_beginning, flip_bits, flip_header, set_number, splice, insert_other, repeat_block, remove_block,
    move_block, blank_block, randomise_block,
)  # fmt: skip


def _position(rng: random.Random, data: bytearray) -> int:
    """In half of the cases near the beginning, where the headers are."""
    return rng.randrange(len(data) if rng.random() < 0.5 else min(HEADER_BYTES, len(data)))
