"""Growing files: decoding a file while it arrives gives what decoding the complete file gives, and gives it earlier."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import numpy as np
import psutil
import pytest

from asr_api.audio.decoding import fork_server_client
from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.spool import open_unnamed_file
from asr_api.errors import AsrError, BodyTooLarge, DecodeAgain, DecodeTimeout, EmptyAudio, InternalError
from tests.audio.decoding.decode_media import Decoded, decode, decode_all, decoding, has_exited, wait_until
from tests.audio.decoding.test_audio_tracks import FIRST, SECOND, Track, multitrack
from tests.audio.decoding.test_big_endian_wav import rifx
from tests.audio.decoding.test_damage import invalid_audio, no_audio
from tests.audio.decoding.test_soak import mutations
from tests.audio.decoding.test_sound_chunk import COUNTED, NAMES, PLACEHOLDERS, with_lengths
from tests.audio.decoding.test_worker_failures import FAILING_WORKER, PREAMBLE
from tests.audio.media_files import encodable, encoded, wav
from tests.audio.media_files import signal as speech
from tests.audio.voice_files import voice_files

pytestmark = pytest.mark.anyio

MAX_BYTES = 2**30
SEQUENTIAL = (
    *("aac", "amr", "flac", "m4a-fragments", "m4a-index-first", "m4a-segments", "mka", "mkv-recorder-video"),
    *("mkv-video", "mp3", "mp3-bare", "ogg-opus", "ogg-vorbis", "rf64", "wav", "wav-adpcm", "wav-alaw", "wav-g722"),
    *("wav-g726", "wav-ima", "wav-yamaha", "webm-recorder"),
)
ID3V1 = b"TAG" + bytes(125)


class Upload:
    """A stream that pauses until it is told to go on."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def send(self, *chunks: bytes | Exception | None) -> None:
        """None is the end."""
        for chunk in chunks:
            self.queue.put_nowait(chunk)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self.queue.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


@asynccontextmanager
async def growing(chunks: AsyncIterator[bytes] | Upload, max_bytes: int = MAX_BYTES) -> AsyncIterator[GrowingSpool]:
    async with GrowingSpool(open_unnamed_file()) as spool:
        filling = asyncio.create_task(spool.fill(aiter(chunks), max_bytes))
        try:
            yield spool
        finally:
            filling.cancel()
            await asyncio.wait([filling])
            with contextlib.suppress(asyncio.CancelledError):
                filling.exception()


async def in_pieces(data: bytes, seed: int) -> AsyncIterator[bytes]:
    rng, at = random.Random(seed), 0
    while at < len(data):
        num_bytes = rng.choice((1, 100, 1000, 5000, 20_000))
        yield data[at : at + num_bytes]
        at += num_bytes
        await asyncio.sleep(rng.choice((0, 0, 0.001, 0.004)))


async def decode_growing(decoder: Decoder, data: bytes, seed: int) -> Decoded | str:
    async with growing(in_pieces(data, seed)) as spool:
        try:
            async with decoder.decode(spool) as source:
                blocks = [block async for block in source]
                return Decoded(np.concatenate(blocks), source.duration_hint_ms, source.end)
        except AsrError as error:
            return error.code


def differs(complete: Decoded | str, early: Decoded | str) -> bool:
    if isinstance(complete, str) or isinstance(early, str):
        return complete is not early and complete != early
    is_same_hint = early.duration_hint_ms in {None, complete.duration_hint_ms}
    return not (np.array_equal(complete.pcm, early.pcm) and complete.end == early.end and is_same_hint)


async def check(media: Mapping[str, bytes]) -> None:
    complete = await decode_all(media)
    async with decoding(DecodeLimits(max_workers=4)) as decoder:
        outcomes = await asyncio.gather(
            *(decode_growing(decoder, data, seed) for seed, data in enumerate(media.values()))
        )
    early = dict(zip(media, outcomes, strict=True))
    assert {name: early[name] for name in media if differs(complete[name], early[name])} == {}


def damaged(data: bytes, seed: int) -> bytes:
    rng, changed = random.Random(seed), bytearray(data)
    for _ in range(20):
        changed[rng.randrange(len(data) // 4, len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


async def test_every_container_gives_what_the_complete_file_gives() -> None:
    await check({name: encoded(name) for name in encodable()})


async def test_every_container_that_breaks_off_gives_what_the_complete_file_gives() -> None:
    await check({name: encoded(name)[: len(encoded(name)) * 2 // 3] for name in encodable()})


async def test_every_container_that_is_damaged_gives_what_the_complete_file_gives() -> None:
    await check({name: damaged(encoded(name), seed) for seed, name in enumerate(encodable())})


async def test_hostile_media_have_the_same_errors() -> None:
    short = {f"{n} samples": wav(speech(1.0)[:n], 16_000) for n in (0, 1, 1584)}
    await check(no_audio() | invalid_audio() | short | {"empty": b""})


@pytest.mark.parametrize("name", NAMES)
async def test_lengths_in_headers_are_understood_as_in_the_complete_file(name: str) -> None:
    encodable(name)
    media = {writer: with_lengths(name, length_bytes) for writer, length_bytes in PLACEHOLDERS.items()}
    media |= {str(length_bytes): with_lengths(name, length_bytes) for length_bytes in COUNTED}
    size_bytes = len(encoded(name, 1.0))
    await check(media | {"piped": encoded(name, is_piped=True), "whole": with_lengths(name, 10**7, size_bytes - 8)})


async def test_what_lies_behind_the_audio_changes_nothing() -> None:
    mp3, bare, ogg = encoded("mp3"), encoded("mp3-bare"), encoded("ogg-opus")
    await check(
        {
            "id3v1": bare + ID3V1,
            "id3v1 behind a counted mp3": mp3 + ID3V1,
            "id3v1 behind aac": encoded("aac") + ID3V1,
            "another mp3": mp3 + bare,
            "the same mp3 twice more": mp3 * 3,
            "another ogg": ogg + encoded("ogg-opus", 2.0),
            "a chunk behind wav": wav(speech(3.0), 16_000) + b"LIST\4\0\0\0INFO",
            "noise behind flac": encoded("flac") + random.Random(1).randbytes(5000),
        }
    )


@pytest.mark.soak
async def test_a_thousand_mutations_give_what_the_complete_file_gives() -> None:
    await check({str(index): data for index, data in zip(range(1000), mutations(random.Random(2)), strict=False)})


async def test_tracks_and_codecs_are_those_of_the_complete_file() -> None:
    empty = Track(0, is_default=True)
    media = {muxer: multitrack(muxer, FIRST, SECOND) for muxer in ("matroska", "mp4", "mov", "mpegts", "ogg", "avi")}
    media |= {f"empty, {muxer}": multitrack(muxer, FIRST, empty) for muxer in ("matroska", "mp4", "mpegts")}
    media |= {"video": multitrack("mp4", video=True), "rifx": rifx(wav(speech(1.0), 16_000))}
    await check(media | {name: file.data for name, file in voice_files().items()})


async def test_formats_that_are_read_from_the_beginning_give_pcm_before_they_are_complete() -> None:
    async with decoding() as decoder:
        media = {name: encoded(name, 12.0) for name in encodable(*SEQUENTIAL)}
        for name, data in (media | {"wav into a pipe": encoded("wav", 12.0, is_piped=True)}).items():
            upload, confirmed = Upload(), list[str]()
            async with growing(upload) as spool:
                upload.send(data[: len(data) * 2 // 3])
                async with asyncio.timeout(10), decoder.decode(spool, lambda: confirmed.append("once")) as pcm:  # noqa: B023
                    blocks = [await anext(pcm)]
                    assert (name, spool.is_complete, len(blocks[0]) > 16_000) == (name, False, True)
                    assert confirmed == []
                    upload.send(data[len(data) * 2 // 3 :], None)
                    blocks += [block async for block in pcm]
            assert confirmed == ["once"]
            assert np.array_equal(np.concatenate(blocks), (await decode(decoder, data)).pcm), name


@asynccontextmanager
async def waiting_worker(
    limits: DecodeLimits | None = None,
) -> AsyncIterator[tuple[Upload, asyncio.Task[Decoded | str], psutil.Process]]:
    """An upload that pauses, its decoding, and the worker, which waits."""
    upload = Upload()

    async def decode_upload(spool: GrowingSpool) -> Decoded | str:
        try:
            async with decoder.decode(spool) as source:
                return Decoded(np.concatenate([block async for block in source]), None, source.end)
        except AsrError as error:
            return error.code

    async with decoding(limits) as decoder, growing(upload) as spool:
        (worker,) = psutil.Process().children()[0].children()
        upload.send(encoded("flac")[:20_000])
        decoding_upload = asyncio.create_task(decode_upload(spool))
        await asyncio.sleep(0.5)
        yield upload, decoding_upload, worker
        decoding_upload.cancel()
        await asyncio.wait([decoding_upload])


async def test_waiting_takes_no_cpu_time_and_is_no_stall() -> None:
    async with waiting_worker(DecodeLimits(max_stall_s=1.5)) as (upload, decoding_upload, worker):
        own = psutil.Process()
        before = [sum(process.cpu_times()[:2]) for process in (worker, own)]
        await asyncio.sleep(1.8)
        after = [sum(process.cpu_times()[:2]) for process in (worker, own)]
        upload.send(encoded("flac")[20_000:], None)
        result = await decoding_upload
    assert after[0] - before[0] <= 0.02
    assert after[1] - before[1] <= 0.05
    assert isinstance(result, Decoded)
    assert len(result.pcm) == 48_000


async def test_a_cancellation_while_the_worker_waits_ends_it_at_once() -> None:
    async with waiting_worker() as (_, decoding_upload, worker):
        assert worker.status() == psutil.STATUS_SLEEPING
        decoding_upload.cancel()
        await asyncio.wait([decoding_upload])
        await wait_until(lambda: has_exited(worker), timeout_s=0.5)


@pytest.mark.parametrize(
    ("failure", "error"), [(BodyTooLarge("It is too large."), BodyTooLarge), (ConnectionResetError(), InternalError)]
)
async def test_an_upload_that_fails_is_the_error_of_its_decoding(failure: Exception, error: type[AsrError]) -> None:
    async with waiting_worker() as (upload, decoding_upload, _):
        upload.send(failure)
        assert await decoding_upload == error.code


async def test_an_upload_of_which_nothing_has_arrived_takes_no_worker_and_may_stay_empty() -> None:
    upload = Upload()
    async with decoding(DecodeLimits(max_workers=1)) as decoder, growing(upload) as spool:
        entering = asyncio.create_task(decoder.decode(spool).__aenter__())
        await asyncio.sleep(0.05)
        assert isinstance(await decode(decoder, encoded("flac")), Decoded)
        upload.send(None)
        with pytest.raises(EmptyAudio):
            await entering


async def test_a_worker_that_is_stuck_is_found_although_the_file_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = "send(b'W', b'{\"beyond_bytes\": 0}')\nchannel.recv(1)\ntime.sleep(60)"
    monkeypatch.setattr(fork_server_client, "PROGRAM", PREAMBLE + FAILING_WORKER.replace("BODY", repr(hangs)))
    upload = Upload()
    upload.send(b"x")
    async with decoding(DecodeLimits(max_stall_s=0.5), is_started=False) as decoder, growing(upload) as spool:
        with pytest.raises(DecodeTimeout):
            await decoder.decode(spool).__aenter__()


async def test_a_beginning_that_changes_is_never_taken_for_the_pcm_of_the_file() -> None:
    data, upload = wav(speech(12.0), 16_000), Upload()
    async with decoding() as decoder, growing(upload) as spool:
        upload.send(data[:-1000])
        async with decoder.decode(spool, pytest.fail) as pcm:
            await anext(pcm)
            os.pwrite(spool.fd, b"other", 2000)
            upload.send(data[-1000:], None)
            with pytest.raises(DecodeAgain):
                _ = [block async for block in pcm]
        assert len(await asyncio.wait_for(samples(decoder, spool), 10)) == 12 * 16_000


async def samples(decoder: Decoder, spool: GrowingSpool) -> bytes:
    async with decoder.decode(spool) as pcm:
        return b"".join([bytes(len(block)) async for block in pcm])
