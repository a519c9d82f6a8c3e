"""Files of voice codecs that this build of FFmpeg cannot encode: true headers, and random bits for speech."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

RATE_HZ = 8_000
DSS_BLOCK_BYTES, DSS_HEAD_BYTES = 512, 6
QCELP = bytes.fromhex("416d7f5e15b1d011ba9100805fb4b97e")  # GUIDs of RFC 3625 and its successors
EVRC = bytes.fromhex("8dd489e67690b54691ef736a5100ceb4")


@dataclass(frozen=True)
class VoiceFile:
    data: bytes
    length_s: float


def voice_files() -> dict[str, VoiceFile]:
    rng = np.random.default_rng(4)
    step = struct.pack("<hh", 0, 20)  # the state with which a block of ADPCM begins
    return {
        "GSM": wav(0x31, 65, 320, rng.bytes(65 * 50), extra=struct.pack("<H", 320)),
        "G.723.1": wav(0x42, 24, 240, frames(24, 100, first=0)),
        "G.728": wav(0x41, 5, 20, rng.bytes(5 * 1200)),
        "G.729": wav(0x83, 10, 80, rng.bytes(10 * 300)),
        "TrueSpeech": wav(0x22, 32, 240, rng.bytes(32 * 100), extra=rng.bytes(32)),
        "Siren of MSN": wav(0x28E, 40, 640, rng.bytes(40 * 100)),
        "Kelvin": wav(0x135, 11, 80, frames(11, 300, first=2)),
        "Dialogic ADPCM": wav(0x17, 1, 2, rng.bytes(12_000), bits=4),
        "Duck ADPCM": wav(0x61, 512, 1017, b"".join(step + rng.bytes(508) for _ in range(20)), bits=4),
        "Sanyo ADPCM": wav(
            0x125, 254, 500, b"".join(step + rng.bytes(250) for _ in range(40)), bits=4, extra=struct.pack("<H", 500)
        ),
        "SIPR": wav(0x130, 19, 144, rng.bytes(19 * 150)),
        "iLBC, 20 ms": VoiceFile(b"#!iLBC20\n" + rng.bytes(38 * 150), 3.0),
        "iLBC, 30 ms": VoiceFile(b"#!iLBC30\n" + rng.bytes(50 * 100), 3.0),
        "QCELP": qcp(QCELP, 34),
        "EVRC": qcp(EVRC, 22),
        "dictation": VoiceFile(dss(0, rng.bytes(41 * 506)), 506 * 264 / 11_025),
        "long dictation": VoiceFile(dss(2, frames(24, 200, first=0)), 6.0),
        "voice recorder": VoiceFile(act(300), 3.0),
    }


def frames(frame_bytes: int, num_frames: int, *, first: int) -> bytes:
    """Random frames whose first byte says their kind."""
    rng = np.random.default_rng(9)
    return b"".join(bytes([first]) + rng.bytes(frame_bytes - 1) for _ in range(num_frames))


def wav(tag: int, frame_bytes: int, frame_samples: int, data: bytes, *, bits: int = 0, extra: bytes = b"") -> VoiceFile:
    rate_bytes = RATE_HZ * frame_bytes // frame_samples
    form = struct.pack("<HHIIHHH", tag, 1, RATE_HZ, rate_bytes, frame_bytes, bits, len(extra)) + extra
    chunks = struct.pack("<4sI", b"fmt ", len(form)) + form + struct.pack("<4sI", b"data", len(data)) + data
    file = struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks
    return VoiceFile(file, len(data) // frame_bytes * frame_samples / RATE_HZ)


def qcp(codec: bytes, frame_bytes: int, num_frames: int = 150) -> VoiceFile:
    """RFC 3625, at full rate."""
    name, full_rate = b"voice".ljust(80, b"\0"), 4
    sizes = struct.pack("<I", 1) + bytes([frame_bytes, full_rate]).ljust(16, b"\0") + bytes(20)
    form = bytes([1, 0]) + codec + struct.pack("<H", 1) + name + struct.pack("<5H", 13_000, 0, 160, RATE_HZ, 16) + sizes
    data = frames(frame_bytes + 1, num_frames, first=full_rate)
    chunks = struct.pack("<4sI", b"fmt ", len(form)) + form + struct.pack("<4sIII", b"vrat", 8, 1, num_frames)
    chunks += struct.pack("<4sI", b"data", len(data)) + data
    return VoiceFile(struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"QLCM") + chunks, num_frames * 160 / RATE_HZ)


def dss(codec: int, data: bytes) -> bytes:
    """As dictation machines write it; the last block is filled up."""
    header = bytearray(2 * DSS_BLOCK_BYTES)
    header[:4], header[0x26:0x3E], header[0x2A4] = b"\2dss", b"260731120000260731120006", codec
    step = DSS_BLOCK_BYTES - DSS_HEAD_BYTES
    blocks = [bytes(DSS_HEAD_BYTES) + data[at : at + step].ljust(step, b"\xff") for at in range(0, len(data), step)]
    return bytes(header) + b"".join(blocks)


def act(num_frames: int) -> bytes:
    """As small voice recorders write it: a header that looks like WAV, and G.729 in blocks of 51 frames."""
    header = bytearray(512)
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    header[:44] = struct.pack("<4sI8s", b"RIFF", 10**6, b"WAVEfmt ") + form + struct.pack("<4sI", b"data", 10**6 - 36)
    header[256], header[259] = 0x84, num_frames // 100
    data = np.random.default_rng(2).bytes(num_frames * 10)
    return bytes(header) + b"".join(data[at : at + 510].ljust(512, b"\0") for at in range(0, len(data), 510))
