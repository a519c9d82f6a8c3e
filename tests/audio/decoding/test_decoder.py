"""Every container gives the PCM of its WAV twin; hostile media gives its error, and nothing else happens."""

from __future__ import annotations

import asyncio
import io
import resource
import struct
import subprocess
import sys
import zipfile
from functools import partial
from typing import TYPE_CHECKING

import av
import numpy as np
import psutil
import pytest

from asr_api.audio.decoding import fork_server_client as decode_process
from asr_api.audio.decoding.decoder import DecodeLimits, PcmStream
from asr_api.audio.decoding.worker.media import Media
from asr_api.audio.decoding.worker.truncation import breaks_off, has_open_end
from asr_api.audio.sources.spool import Spool
from asr_api.errors import AsrError, DecoderUnavailable, DecodeTimeout, InvalidAudio
from tests.audio.decoding.decoding_helpers import (
    Decoded,
    are_gone,
    are_over,
    decode,
    decode_all,
    decoding,
    likeness,
    loudness,
    spool_of,
    wait_until,
)
from tests.audio.media import RECIPES, encoded, silent_flac, twin, wav, wav_header
from tests.audio.media import signal as speech

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.anyio


LIKENESS = {"amr": 0.5}  # models a voice, which our signal is not
# Cut in half, these lose their index or have not reached their sound yet.
USELESS_WHEN_CUT = {"m4a-index-last", "m4a-alac", "mp4-video", "mov-pcm", "mp3-cover"}
NOT_SEEN_AS_CUT = {"ts", "flv", "mpeg"}  # made to be cut anywhere


async def test_every_container_gives_the_pcm_of_its_wav_twin() -> None:
    results = await decode_all({name: encoded(name) for name in RECIPES})
    unlike = {
        name: result if isinstance(result, str) else (likeness(result.pcm, twin()), result)
        for name, result in results.items()
        if isinstance(result, str) or not result.is_whole or likeness(result.pcm, twin()) < LIKENESS.get(name, 0.99)
    }
    assert unlike == {}
    hints = {name: result.duration_hint_ms for name, result in results.items() if isinstance(result, Decoded)}
    assert {name: hint for name, hint in hints.items() if hint is None or abs(hint - 3000) > 120} == {}


async def test_every_kind_of_wav_gives_the_same_pcm() -> None:
    media = {kind: wav(speech(3.0, 44_100), 44_100, kind) for kind in ("u8", "s16", "s24", "s32", "f32", "f64")}
    media |= {f"{rate} Hz": wav(speech(3.0, rate), rate) for rate in (8_000, 11_025, 16_000, 48_000, 96_000, 192_000)}
    media |= {f"{n} channels": wav(speech(3.0, 16_000, n), 16_000) for n in range(1, 9)}
    results = await decode_all(media)
    wrong = {
        name: result
        for name, result in results.items()
        if isinstance(result, str) or likeness(result.pcm, twin()) < 0.99 or not 0.9 < loudness(result.pcm) < 1.1
    }
    assert wrong == {}


async def test_a_nist_file_is_read() -> None:
    fields = ("channel_count -i 1", "sample_rate -i 16000", "sample_n_bytes -i 2", "sample_count -i 48000")
    header = "\n".join(
        ("NIST_1A", "   1024", *fields, "sample_byte_format -s2 01", "sample_coding -s3 pcm", "end_head\n")
    )
    data = header.encode().ljust(1024) + twin().astype("<i2").tobytes()
    results = await decode_all({"whole": data, "cut": data[:-32_000]})
    assert isinstance(whole := results["whole"], Decoded)
    assert isinstance(cut := results["cut"], Decoded)
    assert np.array_equal(whole.pcm, twin())
    assert (whole.is_truncated, cut.is_truncated, len(cut.pcm)) == (False, True, 32_000)


async def test_tags_in_other_alphabets_than_ours_do_not_matter() -> None:
    title = "Übung".encode("latin-1") + b"\xff\xfe"
    tag = b"LIST" + struct.pack("<I", 4 + 8 + 8) + b"INFOINAM" + struct.pack("<I", 8) + title.ljust(8, b"\0")
    data = wav(speech(1.0), 16_000)
    result = (await decode_all({"tagged": data[:36] + tag + data[36:]}))["tagged"]
    assert isinstance(result, Decoded)
    assert len(result.pcm) == 16_000


async def test_mixing_down_does_not_clip() -> None:
    loud = np.sign(speech(1.0, 16_000, 6)) * 0.99
    result = (await decode_all({"loud": wav(loud, 16_000)}))["loud"]
    assert isinstance(result, Decoded)
    assert np.mean(np.abs(result.pcm.astype(int)) >= 32_767) < 0.01


async def test_channels_that_cancel_each_other_out_are_heard_all_the_same() -> None:
    left = speech(9.0, 44_100)
    right = left.copy()
    right[3 * 44_100 : 7 * 44_100] *= -1  # the second group, and halves of others
    media = {"all": wav(np.hstack([left, -left]), 44_100), "some": wav(np.hstack([left, right]), 44_100)}
    noise = np.random.default_rng(7).standard_normal((len(left), 2)) * 0.006
    media["nearly"] = wav(np.clip(np.hstack([left, -0.95 * left]) + noise, -1, 1), 44_100)
    results = await decode_all(media)
    assert isinstance(nearly := results["nearly"], Decoded)
    assert likeness(nearly.pcm, twin(9.0)) > 0.98
    assert isinstance(everything := results["all"], Decoded)
    assert isinstance(some := results["some"], Decoded)
    assert (len(everything.pcm), len(some.pcm)) == (9 * 16_000, 9 * 16_000)
    assert likeness(everything.pcm, twin(9.0)) > 0.98
    assert likeness(some.pcm[64_000:96_000], twin(9.0)[64_000:96_000]) > 0.98


def hostile() -> dict[str, tuple[str, bytes]]:
    """name → expected code, bytes."""
    rng = np.random.default_rng(3)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.wav", wav(speech(1.0), 16_000))
    one_second = wav(speech(1.0), 16_000)
    flac = encoded("flac")
    m4a = encoded("m4a-index-last")
    return {
        "random": ("unsupported_format", rng.bytes(1024)),
        "text": ("unsupported_format", b"the quick brown fox " * 100),
        "html": ("unsupported_format", b"<!doctype html><html><body>not found</body></html>"),
        "zip": ("unsupported_format", archive.getvalue()),
        "pdf": ("unsupported_format", b"%PDF-1.7\n" + rng.bytes(2000)),
        "png": ("unsupported_format", b"\x89PNG\r\n\x1a\n" + rng.bytes(2000)),
        "hls": ("unsupported_format", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n"),
        "ffconcat": ("unsupported_format", b"ffconcat version 1.0\nfile /etc/hostname\n"),
        "dash": ("unsupported_format", b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
        "sdp": (
            "unsupported_format",
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.3\r\ns=x\r\nc=IN IP4 127.0.0.3\r\nm=audio 9 RTP/AVP 0\r\n",
        ),
        "empty": ("empty_audio", b""),
        "header only": ("empty_audio", wav_header(0, 16_000)),
        "one sample": ("audio_too_short", wav(speech(1.0)[:1], 16_000)),
        "99 ms": ("audio_too_short", wav(speech(1.0)[:1584], 16_000)),
        "0 Hz": ("invalid_audio", wav_header(32_000, 0) + bytes(32_000)),
        "1 Hz": ("invalid_audio", wav_header(32_000, 1) + bytes(32_000)),
        "4294967295 Hz": ("invalid_audio", wav_header(32_000, 0xFFFFFFFF) + bytes(32_000)),
        "0 channels": ("invalid_audio", wav_header(32_000, 16_000, 0) + bytes(32_000)),
        "9 channels": ("invalid_audio", wav_header(32_000, 16_000, 9) + bytes(32_000)),
        "64 channels": ("invalid_audio", wav_header(32_000, 16_000, 64) + bytes(32_000)),
        "255 channels": ("invalid_audio", wav_header(32_000, 16_000, 255) + bytes(32_000)),
        "65535 channels": ("invalid_audio", wav_header(32_000, 16_000, 65535) + bytes(32_000)),
        "flac header damaged": ("invalid_audio", flac[:4] + bytes(b ^ 0xFF for b in flac[4:200]) + bytes(3000)),
        "m4a without index": ("invalid_audio", m4a[: len(m4a) // 2]),
        "wav format unknown": ("invalid_audio", one_second[:20] + b"\x77\x77" + one_second[22:]),
        "webm header only": ("invalid_audio", encoded("webm-recorder")[:40]),
        **{
            f"{name} damaged": ("invalid_audio", encoded(name)[:16] + rng.bytes(3000))
            for name in ("mpeg", "tta", "voc", "loas")
        },
        "nist damaged": ("invalid_audio", b"NIST_1A\n   1024\n" + rng.bytes(3000)),
        "dts damaged": ("invalid_audio", b"\x7f\xfe\x80\x01" + rng.bytes(3000)),
    }


async def test_hostile_media_get_their_errors() -> None:
    cases = hostile()
    results = await decode_all({name: data for name, (_, data) in cases.items()})
    codes = {name: result if isinstance(result, str) else "decoded" for name, result in results.items()}
    assert codes == {name: code for name, (code, _) in cases.items()}


async def test_truncated_media_give_the_good_part_and_say_so() -> None:
    cut = {name: encoded(name)[: len(encoded(name)) * 2 // 3] for name in set(RECIPES) - USELESS_WHEN_CUT}
    results = await decode_all(cut)
    wrong = {
        name: result
        for name, result in results.items()
        if isinstance(result, str)
        or not 0.9 <= len(result.pcm) / 16_000 <= 2.1
        or (not result.is_truncated and name not in NOT_SEEN_AS_CUT)
    }
    assert wrong == {}


async def test_a_wav_that_breaks_off_between_two_samples_says_so() -> None:
    data = encoded("wav-alaw")
    results = await decode_all({str(cut): data[:-cut] for cut in (2, 4, 20_000, 20_002)})
    assert {name: isinstance(result, str) or result.is_truncated for name, result in results.items()} == dict.fromkeys(
        results, True
    )


async def test_what_was_written_into_a_pipe_is_whole() -> None:
    """Its writer could not go back to say how long it became."""
    written = {}
    for name in ("wav-alaw", "wav"):
        data = encoded(name)
        at = data.index(b"data") + 4
        for length in (0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            written[f"{name}, {length:x}"] = data[:at] + length.to_bytes(4, "little") + data[at + 4 :]
    data = encoded("caf")
    at = data.index(b"data") + 4
    written["caf"] = data[:at] + b"\xff" * 8 + data[at + 8 :]
    results = await decode_all(written)
    assert {name: isinstance(result, str) or result.is_truncated for name, result in results.items()} == dict.fromkeys(
        results, False
    )


def test_nothing_is_said_of_the_end_of_a_wav_whose_sound_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "odd.wav").write_bytes(b"RIFF\0\0\0\0WAVE" + b"junk\xff\xff\0\0" + bytes(1000))
    with (tmp_path / "odd.wav").open("rb") as file:
        media = Media(file.fileno())
        assert not breaks_off(media, "wav")
        assert not has_open_end(media, "wav")


async def test_corrupt_frames_in_the_middle_are_skipped_and_told() -> None:
    damaged = {}
    for name in ("mp3", "flac", "ogg-opus", "m4a-index-first", "mka"):
        data = bytearray(encoded(name))
        middle = len(data) // 2
        data[middle : middle + 1500] = b"\x55" * 1500
        damaged[name] = bytes(data)
    results = await decode_all(damaged)
    assert {name for name, result in results.items() if isinstance(result, str) or result.is_whole} == set()
    lengths_s = {name: 0.0 if isinstance(r, str) else len(r.pcm) / 16_000 for name, r in results.items()}
    expected_s = {
        "mp3": 2.7,
        "flac": 2.3,
        "m4a-index-first": 2.7,
        "ogg-opus": 1.9,
        "mka": 1.4,
    }  # less the unit that is lost
    assert {name: length_s for name, length_s in lengths_s.items() if length_s < expected_s[name]} == {}


async def test_lies_about_the_length_are_ignored() -> None:
    second = wav(speech(1.0), 16_000)[44:]
    endless = wav_header(0xFFFFFFFF, 16_000) + second
    results = await decode_all({"endless": endless, "2 GiB": wav_header(2**31, 16_000) + second})
    assert {name: r if isinstance(r, str) else len(r.pcm) for name, r in results.items()} == {
        "endless": 16_000,
        "2 GiB": 16_000,
    }


async def test_nan_and_infinity_in_float_audio_are_harmless() -> None:
    samples = speech(1.0).copy()
    samples[4000:8000] = np.nan
    samples[8000:9000] = np.inf
    result = (await decode_all({"nan": wav(samples, 16_000, "f32")}))["nan"]
    assert isinstance(result, Decoded)
    assert len(result.pcm) == 16_000
    assert np.corrcoef(result.pcm[9000:], twin(1.0)[9000:])[0, 1] > 0.99


async def test_the_format_may_change_in_the_middle() -> None:
    both = encoded("mp3") + mp3_of_another_kind()
    result = (await decode_all({"both": both}))["both"]
    assert isinstance(result, Decoded)
    assert 5.9 < len(result.pcm) / 16_000 < 6.2
    assert likeness(result.pcm[-48_000:], twin()) > 0.95


def mp3_of_another_kind() -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=48_000, layout="mono")
        data = np.round(speech(3.0, 48_000)[:, 0] * 32767).astype(np.int16)
        for start in range(0, len(data), 1152):
            frame = av.AudioFrame.from_ndarray(data[None, start : start + 1152], format="s16p", layout="mono")
            frame.sample_rate = 48_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


# -- length ------------------------------------------------------------------------------------------------------------


async def test_a_compressed_hour_is_refused_within_seconds_whatever_its_header_says() -> None:
    hour = silent_flac(3600)
    unknown = bytearray(hour)
    unknown[21] &= 0xF0  # the number of samples is 36 bits from the middle of byte 21 on; zero means unknown
    unknown[22:26] = bytes(4)
    lying = bytearray(unknown)
    lying[24:26] = b"\xff\xff"  # 4 s
    started_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    results = await decode_all(
        {"honest": hour, "unknown": bytes(unknown), "lying": bytes(lying)}, DecodeLimits(max_audio_s=600)
    )
    assert results == {"honest": "audio_too_long", "unknown": "audio_too_long", "lying": "audio_too_long"}
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - started_s < 3  # of CPU, starts included


async def test_audio_of_exactly_the_limit_passes() -> None:
    results = await decode_all(
        {"at": wav(speech(2.0), 16_000), "over": wav(speech(2.1), 16_000)}, DecodeLimits(max_audio_s=2.0)
    )
    assert isinstance(results["at"], Decoded)
    assert results["over"] == "audio_too_long"


# -- the process -------------------------------------------------------------------------------------------------------


def stub(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Replaces the worker by a program that gets ready, takes a job and then does `body`."""
    program = (
        "import ctypes, os, resource, signal, socket, struct, sys, time; sys.path[:] = sys.argv[1:]\n"
        "from asr_api.audio.decoding.worker import fork_server\n"
        "def work(channel):\n"
        "  def send(kind, payload): channel.sendall(struct.pack('<cI', kind, len(payload)) + payload)\n"
        "  send(b'R', b'')\n"
        "  if not socket.recv_fds(channel, 4096, 1)[1]: sys.exit()\n"
        f"  exec({body!r}, globals(), {{'channel': channel, 'send': send}})\n"
        "fork_server.serve(work)\n"
    )
    monkeypatch.setattr(decode_process, "PROGRAM", program)


async def test_a_machine_that_allows_no_more_processes_lets_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    refuses_the_third = (
        "import os, sys; sys.path[:] = sys.argv[1:]\n"
        "from asr_api.audio.decoding.worker import fork_server\n"
        "fork, calls = os.fork, []\n"
        "def fork_or_fail():\n"
        "  calls.append(1)\n"
        "  if len(calls) == 3: raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "  return fork()\n"
        "os.fork = fork_or_fail\n"
        "fork_server.main()\n"
    )
    monkeypatch.setattr(decode_process, "PROGRAM", refuses_the_third)
    data = wav(speech(60.0), 16_000)
    with spool_of(data) as one, spool_of(data) as other:
        async with decoding(DecodeLimits(max_workers=4), is_started=False) as decoder, decoder.open(one) as first:
            num_samples = len(await anext(aiter(first)))
            outcomes: list[int | str] = []
            for _ in range(3):
                try:
                    async with decoder.open(other) as stream:
                        outcomes.append(sum([len(block) async for block in stream]))
                except DecoderUnavailable as error:
                    outcomes.append(error.code)
            async for block in first:
                num_samples += len(block)
    assert num_samples == 60 * 16_000
    assert outcomes.count("decoder_unavailable") <= 1
    assert outcomes[-1] == 60 * 16_000


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("ctypes.string_at(0)", InvalidAudio),
        ("os.abort()", InvalidAudio),
        ("sys.exit(3)", InvalidAudio),
        ("sys.stderr.write('x' * 2**20); sys.stderr.flush(); sys.exit(1)", InvalidAudio),
        ("channel.sendall(struct.pack('<cI', b'P', 2**31)); time.sleep(60)", InvalidAudio),
        ("os.kill(os.getpid(), signal.SIGKILL)", DecoderUnavailable),
        ("time.sleep(60)", DecodeTimeout),
        ("resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass", DecodeTimeout),
        ('send(b"H", b\'{"duration_ms": null}\')\ntime.sleep(60)', DecodeTimeout),
    ],
    ids=[
        "segfault",
        "abort",
        "exit",
        "floods stderr",
        "oversized frame",
        "killed by the system",
        "hangs",
        "burns CPU",
        "hangs later",
    ],
)
async def test_a_worker_that_fails_costs_one_request(
    monkeypatch: pytest.MonkeyPatch, body: str, error: type[AsrError]
) -> None:
    stub(monkeypatch, body)
    is_quick = error is DecodeTimeout and "RLIMIT_CPU" not in body
    async with decoding(DecodeLimits(max_stall_s=0.5 if is_quick else 20), is_started=False) as decoder:
        with pytest.raises(error):
            await decode(decoder, b"x")
        monkeypatch.undo()


@pytest.mark.parametrize(
    "program",
    [
        "import av_is_not_installed",
        "from asr_api.audio.decoding.worker import fork_server, media; del media.av; fork_server.main()",
        "from asr_api.audio.decoding.worker import fork_server, main; main.send_pcm = lambda *_: 7; fork_server.main()",
    ],
    ids=["missing", "another PyAV", "wrong result"],
)
async def test_an_installation_that_cannot_decode_is_known_at_start(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(decode_process, "PROGRAM", f"import sys; sys.path[:] = sys.argv[1:]; {program}")
    async with decoding(is_started=False) as decoder:
        with pytest.raises(DecoderUnavailable):
            await decoder.start()


async def test_a_lack_of_descriptors_passes() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with spool_of(encoded("flac")) as spool:
        async with decoding() as decoder:
            async with decoder.open(spool):  # has taken the spare
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
                try:
                    async with decoder.open(spool):  # the next spare had its descriptors already
                        pass
                    for _ in range(2):
                        with pytest.raises(DecoderUnavailable) as caught:
                            async with decoder.open(spool):
                                pass
                        assert caught.value.retry_after_s
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            async with decoder.open(spool) as stream:
                assert sum([len(block) async for block in stream]) == 48_000
        with pytest.raises(DecoderUnavailable):  # closed
            async with decoder.open(spool):
                pass


async def test_a_nursery_that_is_lost_takes_its_workers_along_and_is_replaced() -> None:
    async with decoding() as decoder:
        data = encoded("flac")
        for _ in range(2):
            (nursery,) = psutil.Process().children()
            workers = nursery.children()
            nursery.kill()
            await wait_until(partial(are_gone, workers))
            assert isinstance(await decode(decoder, data), Decoded)


async def test_our_own_pauses_are_not_the_workers_fault_and_it_waits_meanwhile() -> None:
    async with decoding(DecodeLimits(max_stall_s=1.0)) as decoder:
        with spool_of(wav(speech(60.0), 16_000)) as spool:
            async with decoder.open(spool) as stream:
                num_samples = len(await anext(stream))
                await asyncio.sleep(1.3)
                num_ahead = len(vars(stream._worker._reader)["_buffer"])
                async for block in stream:
                    num_samples += len(block)
    assert num_samples == 60 * 16_000
    assert num_ahead < 2**19  # bytes: 16 s of the 60


async def test_a_cancelled_request_leaves_no_process() -> None:
    async with decoding() as decoder:
        data = encoded("mp3")
        for delay_s in (0.0, 0.005, 0.02, 0.1):
            task = asyncio.create_task(decode(decoder, data))
            await asyncio.sleep(delay_s)
            task.cancel()
            await asyncio.wait([task])


async def test_a_cancellation_while_the_process_ends_is_no_drama() -> None:
    opened: asyncio.Future[PcmStream] = asyncio.get_running_loop().create_future()

    async def open_and_leave(spool: Spool) -> None:
        async with decoder.open(spool) as stream:
            opened.set_result(stream)

    async with decoding() as decoder:
        with spool_of(encoded("mp3")) as spool:
            task = asyncio.create_task(open_and_leave(spool))
            worker = (await opened)._worker
            assert worker.is_alive
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await wait_until(lambda: not worker.is_alive)


async def test_a_cancellation_counts_though_the_next_block_is_there_already() -> None:
    async with decoding() as decoder:
        with spool_of(wav(speech(60.0), 16_000)) as spool:
            async with decoder.open(spool) as stream:
                await anext(stream)
                await asyncio.sleep(0.2)
                task = asyncio.create_task(anext(stream))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled()


async def test_only_so_many_work_at_once_and_the_rest_wait_in_line() -> None:
    async with decoding(DecodeLimits(max_workers=2)) as decoder:
        data = encoded("flac")
        order: list[int] = []
        num_open = 0

        async def one(index: int) -> None:
            nonlocal num_open
            with spool_of(data) as spool:
                async with decoder.open(spool) as stream:
                    order.append(index)
                    num_open += 1
                    assert num_open <= 2
                    _ = [block async for block in stream]
                    num_open -= 1

        await asyncio.gather(*map(one, range(6)))
        assert sorted(order) == list(range(6))


# -- the sandbox -------------------------------------------------------------------------------------------------------

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


@LINUX
@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        ("open('/etc/hostname')", "OSError"),
        ("open('/dev/null', 'w')", "OSError"),
        ("socket.socket(socket.AF_INET, socket.SOCK_STREAM)", "OSError"),
        ("bytearray(2**31)", "MemoryError"),
        ("av.open('/etc/hostname')", "OSError"),
        ("av.open('http://127.0.0.3/x.wav', timeout=1)", "OSError"),
    ],
)
def test_the_sandbox_opens_nothing(attempt: str, error: str) -> None:
    program = f"""
import socket, av
from asr_api.audio.decoding.worker.main import load_everything
from asr_api.audio.decoding.worker.sandbox import confine_process, confine_resources, confine_worker
load_everything()
confine_process()
confine_worker()
confine_resources(2**30, 9)
try:
    {attempt}
except {error} as caught:
    print("refused", type(caught).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert done.stdout.startswith("refused"), done.stderr


@LINUX
async def test_workers_die_with_the_server() -> None:
    program = """
import asyncio, time
from asr_api.audio.decoding.decoder import Decoder
async def main():
    await Decoder().start()
    print("started", flush=True)
    time.sleep(60)
asyncio.run(main())
"""
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    assert await server.stdout.readline() == b"started\n"
    processes = psutil.Process(server.pid).children(recursive=True)
    assert len(processes) == 2  # the nursery and the spare
    server.kill()
    await server.wait()
    await wait_until(partial(are_over, processes))
