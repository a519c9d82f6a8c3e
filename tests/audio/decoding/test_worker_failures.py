"""Failures of decoder workers and of the fork server: none leaves a process, or affects requests that come later."""

from __future__ import annotations

import asyncio
import resource
import time
from functools import partial

import psutil
import pytest

from asr_api.audio.decoding import fork_server_client
from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.sources.spool import Spool
from asr_api.errors import AsrError, DecoderUnavailable, DecodeTimeout, InvalidAudio
from tests.audio.decoding.decode_media import Decoded, decode, decoding, has_exited, spool_of, wait_until
from tests.audio.media_files import encoded, wav
from tests.audio.media_files import signal as speech

pytestmark = pytest.mark.anyio


PREAMBLE = (
    "import sys; sys.path[:] = sys.argv[1:]; from asr_api.audio.decoding.worker import fork_server, main, media\n"
)
FAILING_WORKER = """
import ctypes, json, mmap, os, resource, signal, socket, struct, time
def work(channel):
    def send(kind, payload): channel.sendall(struct.pack("<cI", kind, len(payload)) + payload)
    send(b"R", b"")
    fds = socket.recv_fds(channel, 4096, 1)[1]
    if not fds: sys.exit()
    exec(BODY, globals(), {"channel": channel, "send": send, "fds": fds})
fork_server.ForkServer(work).run()
"""
FAILING_FORK = """
import os
fork, calls = os.fork, []
def fork_or_fail():
    calls.append(1)
    if len(calls) == 3: raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()
os.fork = fork_or_fail
fork_server.main()
"""


def minute() -> Spool:
    return spool_of(wav(speech(60.0), 16_000))


async def samples_or_code(decoder: Decoder, spool: Spool) -> int | str:
    try:
        async with decoder.decode(spool) as pcm:
            return sum([len(block) async for block in pcm])
    except AsrError as error:
        return error.code


async def test_a_fork_that_fails_does_not_affect_other_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server_client, "PROGRAM", PREAMBLE + FAILING_FORK)
    limits = DecodeLimits(max_workers=4)
    async with minute() as spool, decoding(limits, is_started=False) as decoder, decoder.decode(spool) as first:
        num_samples = len(await anext(first))
        outcomes = [await samples_or_code(decoder, spool) for _ in range(3)]
        num_samples += sum([len(block) async for block in first])
    assert num_samples == 60 * 16_000
    assert outcomes.count("decoder_unavailable") <= 1
    assert outcomes[-1] == 60 * 16_000


FAILURES = {
    "segfault": ("ctypes.string_at(0)", InvalidAudio),
    "exit": ("sys.exit(3)", InvalidAudio),
    "flood on stderr": ("sys.stderr.write('x' * 2**20); sys.stderr.flush(); sys.exit(1)", InvalidAudio),
    "oversized frame": ("channel.sendall(struct.pack('<cI', b'P', 2**31)); time.sleep(60)", InvalidAudio),
    "killed by the system": ("os.kill(os.getpid(), signal.SIGKILL)", DecoderUnavailable),
    "hangs": ("time.sleep(60)", DecodeTimeout),
    "CPU limit": ("resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass", DecodeTimeout),
    "hangs late": (
        "send(b'H', b'{\"duration_ms\": null}')\nsend(b'P', bytes(60 * 32_000))\ntime.sleep(60)",
        DecodeTimeout,
    ),
    "hangs later": ("send(b'H', b'{\"duration_ms\": null}')\ntime.sleep(60)", DecodeTimeout),
}


@pytest.mark.parametrize(("body", "error"), FAILURES.values(), ids=FAILURES)
async def test_failing_workers(monkeypatch: pytest.MonkeyPatch, body: str, error: type[AsrError]) -> None:
    monkeypatch.setattr(fork_server_client, "PROGRAM", PREAMBLE + FAILING_WORKER.replace("BODY", repr(body)))
    is_quick = error is DecodeTimeout and "RLIMIT_CPU" not in body
    async with decoding(DecodeLimits(max_stall_s=0.5 if is_quick else 20), is_started=False) as decoder:
        with pytest.raises(error) as caught:
            await decode(decoder, b"x")
        assert bool(caught.value.retry_after_s) == (error is DecoderUnavailable)


@pytest.mark.parametrize(
    "program",
    ["import av_is_not_installed", "del media.av", "main.send_pcm = lambda *_: 7"],
    ids=["missing", "another PyAV", "wrong result"],
)
async def test_start_fails_where_the_installation_cannot_decode(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(fork_server_client, "PROGRAM", f"{PREAMBLE}{program}; fork_server.main()")
    async with decoding(is_started=False) as decoder:
        with pytest.raises(DecoderUnavailable):
            await decoder.start()


async def test_a_lack_of_descriptors_is_temporary() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with spool_of(encoded("flac")) as spool:
        async with decoding() as decoder:
            async with decoder.decode(spool):  # has taken the spare
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
                try:
                    outcomes = [await samples_or_code(decoder, spool) for _ in range(3)]
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert outcomes == ["decoder_unavailable"] * 3  # handing a file over takes a descriptor, too
            assert await samples_or_code(decoder, spool) == 48_000
        assert await samples_or_code(decoder, spool) == "decoder_unavailable"  # closed


async def test_a_killed_fork_server_ends_its_workers_and_is_replaced() -> None:
    async with decoding() as decoder:
        for _ in range(2):
            (fork_server,) = psutil.Process().children()
            workers = fork_server.children()
            fork_server.kill()
            await wait_until(lambda: not any(worker.is_running() for worker in workers))  # noqa: B023
            assert isinstance(await decode(decoder, encoded("flac")), Decoded)


async def test_a_stopped_fork_server_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server_client, "WORKER_TIMEOUT_S", 0.5)
    async with decoding() as decoder, spool_of(encoded("flac")) as spool:
        for _ in range(2):
            (fork_server,) = psutil.Process().children()
            fork_server.suspend()
            outcomes = await asyncio.gather(*(samples_or_code(decoder, spool) for _ in range(4)))
            assert outcomes[0] == 48_000  # by the spare worker
            assert set(outcomes) <= {48_000, "decoder_unavailable"}
            assert await samples_or_code(decoder, spool) == 48_000
            assert has_exited(fork_server)


async def test_a_decoder_with_a_stopped_fork_server_closes_at_once() -> None:
    started_s = time.monotonic()
    async with decoding() as decoder, minute() as spool, decoder.decode(spool) as pcm:
        await anext(pcm)
        (fork_server,) = psutil.Process().children()
        fork_server.suspend()
        await decoder.aclose()
    assert time.monotonic() - started_s < fork_server_client.WORKER_TIMEOUT_S


async def test_a_cancelled_request_leaves_no_process() -> None:
    async with decoding() as decoder:
        for delay_s in (0.0, 0.005, 0.02, 0.1):
            task = asyncio.create_task(decode(decoder, encoded("mp3")))
            await asyncio.sleep(delay_s)
            task.cancel()
            await asyncio.wait([task])


async def test_a_cancellation_while_the_worker_exits_ends_it_and_frees_its_permit() -> None:
    has_opened = asyncio.Event()

    async def open_and_leave(spool: Spool) -> None:
        async with decoder.decode(spool):
            has_opened.set()

    async with decoding(DecodeLimits(max_workers=1)) as decoder, spool_of(encoded("mp3")) as spool:
        (fork_server,) = psutil.Process().children()
        (worker,) = fork_server.children()
        task = asyncio.create_task(open_and_leave(spool))
        await has_opened.wait()
        assert worker.is_running()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await wait_until(partial(has_exited, worker))
        assert await samples_or_code(decoder, spool) == pytest.approx(48_000, abs=2_000)


async def test_a_cancellation_takes_effect_although_the_next_block_has_arrived() -> None:
    async with decoding() as decoder, minute() as spool, decoder.decode(spool) as pcm:
        await anext(pcm)
        await asyncio.sleep(0.2)
        task = asyncio.ensure_future(anext(pcm))
        for _ in range(2):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
