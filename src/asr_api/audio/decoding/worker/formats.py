"""Formats: the containers and codecs that FFmpeg may use, and how files of these containers begin.

FFmpeg gets only what is listed here, so that it cannot even recognise a playlist or a picture.
"""

from __future__ import annotations

import os

from asr_api.audio.decoding.worker.media_file import ReadableMedia

# Containers by demuxer name. Playlists and manifests are not among them and cannot be reached from those that are.
DEMUXERS = ",".join((
    *("aac", "ac3", "act", "aiff", "amr", "amrnb", "amrwb", "asf", "au", "avi", "caf", "dss", "dts", "eac3", "flac"),
    *("flv", "ilbc", "loas", "matroska", "webm", "mov", "mp4", "m4a", "mp3", "mpeg", "mpegts", "nistsphere", "ogg"),
    *("qcp", "rm", "tta", "voc", "w64", "wav", "wv"),
))  # fmt: skip
# Decoders by name, audio only, so pictures and subtitles are never decoded, not even to probe them. They are the codecs
# that the tags of these containers stand for, but for those of games.
VOICE = (
    *("acelp.kelvin", "amrnb", "amrwb", "dss_sp", "evrc", "ftr", "g722", "g723_1", "g726", "g726le", "g728", "g729"),
    *("gsm", "gsm_ms", "ilbc", "libopencore_amrnb", "libopencore_amrwb", "misc4", "msnsiren", "nellymoser", "qcelp"),
    *("real_144", "real_288", "sipr", "siren", "speex", "truespeech", "wmavoice"),
)  # fmt: skip
MUSIC = (
    *("aac", "aac_latm", "ac3", "alac", "atrac3", "cook", "dca", "dvaudio", "eac3", "flac", "iac", "imc", "libopus"),
    *("mace3", "mace6", "mlp", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "opus", "qdm2", "qdmc"),
    *("s302m", "truehd", "tta", "vorbis", "wavpack", "wmalossless", "wmapro", "wmav1", "wmav2"),
)  # fmt: skip
ADPCM = (
    *("ct", "ima_dk3", "ima_dk4", "ima_oki", "ima_qt", "ima_wav", "ima_ws", "ms", "sanyo", "sbpro_2", "sbpro_3"),
    *("sbpro_4", "swf", "yamaha"),
)  # fmt: skip
PCM = (
    *("alaw", "bluray", "dvd", "mulaw", "s8", "s8_planar", "u8", "f16le", "f24le", "f32le", "f32be", "f64le", "f64be"),
    *("s64le", "s64be", "s16le_planar", "s16be_planar", "s24le_planar", "s32le_planar"),
    *(f"{kind}{bits}{end}" for kind in "su" for bits in (16, 24, 32) for end in ("le", "be")),
)  # fmt: skip
DECODERS = (*VOICE, *MUSIC, *(f"adpcm_{name}" for name in ADPCM), *(f"pcm_{name}" for name in PCM))
MAGIC = {
    0: (b"RIFF", b"RIFX", b"RF64", b"BW64", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3", b"FORM", b".snd", b"caff",
        b"#!AMR", b"#!iLBC", b"riff", b"0&\xb2u", b"\x0bw", b"FLV", b"wvpk", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1",
        b"\xff\xf9", b"\0\0\1\xba", b"TTA1", b"Creative Voice", b"\x7f\xfe\x80\1", b"\xfe\x7f\1\x80", b"NIST_1A",
        b".RMF", b".ra\xfd", b"\2dss", b"\3dss"),
    4: (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"),
}  # fmt: skip


def has_known_magic(media: ReadableMedia) -> bool:
    head = os.pread(media.fd, 16, 0)
    is_known = any(head.startswith(magic, at) for at, magics in MAGIC.items() for magic in magics)
    is_known |= head[:1] == b"\x47" and os.pread(media.fd, 1, 188) == b"\x47"  # MPEG transport stream
    return is_known | (head[:1] == b"\x56" and head[1:2] >= b"\xe0")  # LOAS
