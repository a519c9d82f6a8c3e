"""Replies of decoders that were taken over: a frame that no worker of ours sends fails its request alone."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from asr_api.audio.decoding import decoder as decoder_module
from asr_api.audio.decoding import fork_server_client, protocol
from asr_api.audio.decoding.protocol import END, ERROR, HEADERS, PCM, READY, SAME, WAIT, DecodeLimits
from asr_api.audio.decoding.reply import BrokenReply, End, Headers, Refusal, Reply, Wait, check_length
from asr_api.audio.decoding.worker.main import send_pcm
from asr_api.audio.decoding.worker.media import Refused
from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.spool import open_unnamed_file
from asr_api.errors import DecodeTimeout, InvalidAudio
from tests.audio.decoding.decode_media import decode, decoding
from tests.audio.decoding.test_growing_file import Upload, growing
from tests.audio.decoding.test_worker_failures import FAILING_WORKER, PREAMBLE
from tests.audio.media_files import encoded

pytestmark = pytest.mark.anyio

BLOCK = bytes(protocol.MIN_BLOCK_BYTES)
BEGUN: list[tuple[bytes, bytes]] = [(SAME, b""), (HEADERS, b'{"duration_ms": 5}')]
WHOLE = [*BEGUN, (PCM, BLOCK)]
GOOD_END = (END, b'{"is_truncated": false, "is_damaged": true}')


def message(**content: object) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize("is_complete", [False, True])
def test_a_good_reply(is_complete: bool) -> None:
    reply = Reply(DecodeLimits(), is_complete=is_complete)
    if not is_complete:
        assert reply.frame(WAIT, message(beyond_bytes=0)) == Wait(0)
        reply.tell_complete()
        assert reply.frame(WAIT, message(beyond_bytes=2**63 - 1)) == Wait(2**63 - 1)  # was on its way
    assert reply.frame(HEADERS, message(duration_ms=None)) == Headers(None)
    reply.frame(PCM, BLOCK)
    reply.frame(SAME, b"")
    reply.frame(PCM, BLOCK[:2])
    assert reply.frame(*GOOD_END) == End(is_truncated=False, is_damaged=True)


@pytest.mark.parametrize("reason", ["audio_too_short", "decode_again", "damaged"])
def test_a_refusal_may_come_at_once(reason: str) -> None:
    assert Reply(DecodeLimits()).frame(ERROR, message(reason=reason, value=0.5)) == Refusal(reason, 0.5)


BROKEN: dict[str, list[tuple[bytes, bytes]]] = {
    "READY again": [(READY, b"")],
    "an unknown kind": [(b"Q", b"{}")],
    "PCM before the headers": [(SAME, b""), (PCM, BLOCK)],
    "half a sample": [*BEGUN, (PCM, BLOCK + b"x")],
    "no samples": [*BEGUN, (PCM, b"")],
    "short blocks": [*BEGUN, (PCM, BLOCK[:-2]), (PCM, BLOCK)],
    "HEADERS twice": [*BEGUN, BEGUN[1]],
    "SAME twice": [*BEGUN, BEGUN[0]],
    "SAME with content": [(SAME, b"x")],
    "WAIT for complete media": [(WAIT, message(beyond_bytes=1))],
    "no JSON": [(HEADERS, b"\x80\x04K\x05.")],
    "no UTF-8": [(HEADERS, b'{"duration_ms": "\xff"}')],
    "no object": [(HEADERS, b"[5]")],
    "nested": [(HEADERS, b"[" * protocol.MAX_MESSAGE_BYTES)],
    "a length that is text": [(HEADERS, message(duration_ms="5"))],
    "a length that is true": [(HEADERS, message(duration_ms=True))],
    "a fractional length": [(HEADERS, message(duration_ms=0.5))],
    "a negative length": [(HEADERS, message(duration_ms=-1))],
    "a length beyond the limit": [(HEADERS, message(duration_ms=4 * 3_600_000 + 1))],
    "END without PCM": [*BEGUN, GOOD_END],
    "END without SAME": [WHOLE[1], WHOLE[2], GOOD_END],
    "END that lacks a word": [*WHOLE, (END, message(is_truncated=False))],
    "END with a number": [*WHOLE, (END, message(is_truncated=False, is_damaged=1))],
    "ERROR without a reason": [(ERROR, message(value=0))],
    "ERROR with a list as its reason": [(ERROR, message(reason=[], value=0))],
    "ERROR for an unknown reason": [(ERROR, message(reason="unlucky", value=0))],
    "ERROR with text as its value": [(ERROR, message(reason="rate", value="fast"))],
    "ERROR with infinity": [(ERROR, b'{"reason": "rate", "value": 1e999}')],
    "decode_again after SAME": [(SAME, b""), (ERROR, message(reason="decode_again", value=0))],
}


@pytest.mark.parametrize("frames", BROKEN.values(), ids=BROKEN)
def test_a_broken_reply(frames: list[tuple[bytes, bytes]]) -> None:
    reply = Reply(DecodeLimits(), is_complete=True)
    for kind, payload in frames[:-1]:
        reply.frame(kind, payload)
    with pytest.raises(BrokenReply):
        reply.frame(*frames[-1])


def test_what_growing_media_do_not_allow() -> None:
    reply = Reply(DecodeLimits())
    for beyond_bytes in (-1, 2**63, 0.5, None):
        with pytest.raises(BrokenReply):
            reply.frame(WAIT, message(beyond_bytes=beyond_bytes))
    with pytest.raises(BrokenReply):
        reply.frame(SAME, b"")
    reply.tell_complete()
    reply.frame(WAIT, message(beyond_bytes=1))
    with pytest.raises(BrokenReply):
        reply.frame(WAIT, message(beyond_bytes=1))


def test_only_ready_comes_before_the_job() -> None:
    Reply().frame(READY, b"")
    for kind, payload in ((READY, b"x"), *BEGUN, (ERROR, message(reason="rate", value=1))):
        with pytest.raises(BrokenReply):
            Reply().frame(kind, payload)


def test_lengths_are_bounded_by_kind() -> None:
    check_length(PCM, 2**22)
    check_length(END, 256)
    for kind, num_bytes in ((PCM, 2**22 + 1), (END, 257), (ERROR, 2**32 - 1), (b"Q", 257)):
        with pytest.raises(BrokenReply):
            check_length(kind, num_bytes)


BEGIN = """send(b"S", b"")\nsend(b"H", b'{"duration_ms": 5}')\n"""
WORKERS = {
    "odd PCM": BEGIN + "send(b'P', bytes(3201)); time.sleep(60)",
    "endless empty PCM": BEGIN + "while True: send(b'P', b'')",
    "endless SAME": "while True: send(b'S', b'')",
    "endless WAIT": "while True: send(b'W', b'{\"beyond_bytes\": 0}')",
    "a large message": "channel.sendall(struct.pack('<cI', b'H', 2**22)); time.sleep(60)",
    "a value that is text": 'send(b\'X\', b\'{"reason": "rate", "value": "fast"}\'); time.sleep(60)',
    "headers that are a list": "send(b'H', b'[]'); time.sleep(60)",
    "an end that is PCM": "send(b'S', b'')\nsend(b'E', b'{}'); time.sleep(60)",
}


@pytest.mark.parametrize("body", WORKERS.values(), ids=WORKERS)
async def test_a_worker_that_breaks_the_protocol_counts_as_crashed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, body: str
) -> None:
    monkeypatch.setattr(fork_server_client, "PROGRAM", PREAMBLE + FAILING_WORKER.replace("BODY", repr(body)))
    async with decoding(is_started=False) as decoder:
        async with asyncio.timeout(10):
            with pytest.raises(InvalidAudio, match=r"^The decoder crashed because"):
                await decode(decoder, b"x")
    (text,) = caplog.messages
    assert text.startswith("a decoder was stopped, because it sent ")


async def test_a_worker_that_waits_for_what_is_there_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "while True: send(b'W', b'{\"beyond_bytes\": 0}')"
    monkeypatch.setattr(fork_server_client, "PROGRAM", PREAMBLE + FAILING_WORKER.replace("BODY", repr(body)))
    num_answers = 0

    def count(tell_more: Callable[..., None], *arguments: object) -> None:
        nonlocal num_answers
        num_answers += 1
        tell_more(*arguments)

    tell_more = fork_server_client.DecoderProcess.tell_more
    monkeypatch.setattr(fork_server_client.DecoderProcess, "tell_more", lambda worker: count(tell_more, worker))
    async with decoding(is_started=False) as decoder, GrowingSpool(open_unnamed_file()) as spool:
        filling = asyncio.create_task(spool.fill(growing_for(1.0), 2**20))
        with pytest.raises((InvalidAudio, DecodeTimeout)):
            async with asyncio.timeout(10), decoder.decode(spool):
                pass
        await filling
    assert 0 < num_answers <= 1.5 / decoder_module.NEEDLESS_WAIT_S


async def growing_for(length_s: float) -> AsyncIterator[bytes]:
    yield b"first"
    await asyncio.sleep(length_s)
    yield b"last"


async def test_a_negative_length_in_headers_is_no_length() -> None:
    data = encoded("mka")
    at = data.index(b"\x44\x89\x88") + 3  # Duration, of 8 bytes
    data, upload = data[:at] + struct.pack(">d", -5000.0) + data[at + 8 :], Upload()
    upload.send(data[:-3000])
    async with decoding() as decoder, growing(upload) as spool, decoder.decode(spool) as source:
        upload.send(data[-3000:], None)
        assert source.duration_hint_ms is None
        assert sum([len(block) async for block in source]) == 48_000


@pytest.mark.parametrize("sizes", [[1600], [3200], [2, 2, 3196, 3200], [3200, 3200, 2], [10_000, 2, 2, 2]])
def test_a_worker_joins_short_blocks(sizes: list[int]) -> None:
    ours, workers = socket.socketpair()
    with ours, workers:
        num_samples = send_pcm(iter([bytes(size) for size in sizes]), DecodeLimits(min_audio_s=0.05), workers)
        workers.close()
        received = b"".join(iter(lambda: ours.recv(2**16), b""))
    assert num_samples == sum(sizes) // 2
    reply, at = Reply(DecodeLimits(), is_complete=True), 0
    reply.frame(*BEGUN[1])
    while at < len(received):
        kind, num_bytes = protocol.FRAME_HEADER.unpack_from(received, at)
        begins_at, at = at + protocol.FRAME_HEADER.size, at + protocol.FRAME_HEADER.size + num_bytes
        reply.frame(kind, received[begins_at:at])


def test_a_worker_refuses_audio_that_is_too_short() -> None:
    ours, workers = socket.socketpair()
    with ours, workers, pytest.raises(Refused, match="audio_too_short"):
        send_pcm(iter([bytes(3198)]), DecodeLimits(), workers)
    ours, workers = socket.socketpair()
    with ours, workers:
        assert send_pcm(iter([b""]), DecodeLimits(), workers) == 0
