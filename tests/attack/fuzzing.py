"""Generated requests: what a stranger may write into heads, queries, JSON and forms, valid in part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from asr_api.parameters import PARAMETERS
from asr_api.server.dialects.asr_webservice_request import OUR_PARAMETERS, SPEAKER_LIMITS
from asr_api.server.dialects.deepgram_request import UNAVAILABLE
from asr_api.server.dialects.openai_request import OPENAI_FIELDS, OUR_FIELDS, STRATEGY, WITHOUT_TIMESTAMPS
from asr_api.server.dialects.whisper_cpp_fields import (
    FIXED_NUMBERS,
    FIXED_VAD_NUMBERS,
    FLAGS_WITHOUT_EFFECT,
    UNAVAILABLE_FLAGS,
    UNAVAILABLE_TEXTS,
    VAD_MAX_SPEECH,
    WHOLE_FILE_NUMBERS,
)
from tests.attack.watched_server import JSON, Request, upload
from tests.server.forms import BOUNDARY
from tests.server.running import wav

AUDIO = wav(1, word_s=0.1, pause_s=0.1)
FORM_PATHS = ("/asr", "/v1/audio/transcriptions", "/v1/audio/translations", "/inference", "/detect-language")
DEEPGRAM = (
    *UNAVAILABLE, "language", "detect_language", "language_hint", "keyterm", "keywords", "utt_split", "utterances",
    "paragraphs", "smart_format", "punctuate", "encoding", "sample_rate", "channels", "tag", "extra", "model",
    "version",
)  # fmt: skip
WHISPER_CPP = (
    *FIXED_NUMBERS, *FIXED_VAD_NUMBERS, *FLAGS_WITHOUT_EFFECT, *UNAVAILABLE_FLAGS, *UNAVAILABLE_TEXTS,
    *WHOLE_FILE_NUMBERS,
    VAD_MAX_SPEECH, "temperature_inc", "no_timestamps", "token_timestamps", "translate", "vad_threshold", "max_len",
    "vad_speech_pad_ms", "vad_min_silence_duration_ms", "split_on_word", "offset_n",
)  # fmt: skip
STRATEGY_PARTS = tuple(f"{STRATEGY}[{part}]" for part in ("type", "threshold", "prefix_padding_ms", "", "type]["))
NAMES = sorted({
    *OPENAI_FIELDS, *OUR_FIELDS, *OUR_PARAMETERS, *SPEAKER_LIMITS, *DEEPGRAM, *WHISPER_CPP, *STRATEGY_PARTS,
    WITHOUT_TIMESTAMPS,
    *(parameter.name for parameter in PARAMETERS), "timestamp_granularities[]", "include[]", "encode", "diarize",
    "user", "file",
    "audio_file", "url",
})  # fmt: skip
VALUES = (
    "", "true", "false", "1", "0", "-1", "0.5", "1e9", "nan", "inf", "-0", "1e-9", "1_0", "１", "²", "٣", "9" * 400,
    "en", "EN", "auto", "de,fr",
    "multi", "word", "segment", "json", "srt", "vtt", "text", "verbose_json", "tsv", "whisper-1", "linear16", "8000",
    "a:b",
    "a:-1", "a:nan", "server_vad", '{"type":"server_vad"}', '["word"]', '["word", 1]', "[", "{", "null",
    '{"threshold": 1e999}',
    "http://127.0.0.3/", "/etc/passwd", "\0", "\u202e", "\ud7ff", "x" * 5000, "[" * 3000, "<|endoftext|>",
)  # fmt: skip

names = st.sampled_from(NAMES) | st.text(max_size=8)
values = st.sampled_from(VALUES) | st.text(max_size=20) | st.floats().map(str) | st.integers().map(str)
pairs = st.lists(st.tuples(names, values), max_size=5)
media_types = st.sampled_from(
    ["audio/wav", "", "application/json", "multipart/form-data", "text/plain; charset=utf-16", "x/+json;"]
)


def _query(given: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in given)


# -- queries, JSON ----------------------------------------------------------------------------------------------------

odd_queries = st.text(st.sampled_from("abe=&;%+[]#?/\\ 0Fé\x7f".replace(" ", "").replace("#", "")), max_size=30).map(
    lambda text: quote(text, safe="=&;%+[]?/\\")
)
NO_FORM_PATHS = {"/asr": "POST", "/v1/listen": "POST", "/v1/models/x": "GET", "/hc": "GET", "/status": "GET"}


def _with_query(path: str, query: str, audio: bytes) -> Request:
    if path in NO_FORM_PATHS:
        return Request(f"{path}?{query}", audio, method=NO_FORM_PATHS[path])
    return upload(audio, target=f"{path}?{query}")


queries = st.builds(
    _with_query,
    st.sampled_from(sorted({*FORM_PATHS, *NO_FORM_PATHS})),
    pairs.map(_query) | odd_queries,
    st.sampled_from([AUDIO, b"", b"{}", b"x"]),
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | values | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
urls = (
    st.sampled_from(["missing.wav", "http://127.0.0.3/", "http://\ud800/", "file:x", "\0", "..", "http://x:99999/"])
    | json_values
)
objects = st.builds(lambda url, rest: {**rest, "url": url}, urls, st.dictionaries(names, json_values, max_size=4))
json_texts = (objects | json_values).map(lambda value: json.dumps(value).encode())


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Mostly as it is; else with a piece replaced."""
    data = draw(whole)
    if not data or draw(st.integers(0, 3)):
        return data
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, len(data)))
    return (
        data[:start]
        + draw(st.binary(max_size=8) | st.sampled_from([b"\r\n", b"--", b"\0", b'"', b"}", b"\xff"]))
        + data[end:]
    )


references = st.builds(
    lambda path, body, kind, query: Request(f"{path}?{_query(query)}", body, (f"Content-Type: {kind}",)),
    st.sampled_from(["/asr", "/v1/listen"]),
    damaged(json_texts),
    st.sampled_from([JSON.partition(": ")[2], "application/x+json", "text/plain", "application/json; charset=utf-16"]),
    st.lists(st.tuples(names, values), max_size=1),
)

# -- forms ------------------------------------------------------------------------------------------------------------

quoted = st.text(st.sampled_from("ab\"\\;=*' \t'%2eé\0\x1b/[]"), max_size=12) | st.sampled_from(NAMES)
option_names = st.sampled_from(["name", "filename", "filename*", "NAME", "name*0", "name*", "charset", "x", ""])
options = st.builds(
    lambda name, text, marks: f"{name}={marks}{text}{marks}",
    option_names,
    quoted | st.sampled_from(["utf-8''%ff", "utf-8'en'a"]),
    st.sampled_from(['"', "", "'"]),
)
dispositions = st.builds(
    lambda kind, given: "; ".join([kind, *given]),
    st.sampled_from(["form-data", "Form-Data", "attachment", "", "form-data;"]),
    st.lists(options, max_size=4),
)
good_heads = st.builds(
    lambda name, more: f'form-data; name="{name}"{more}',
    st.sampled_from(NAMES),
    st.sampled_from(["", '; filename="a.wav"', '; filename=""']),
)
other_headers = st.sampled_from([
    "", "Content-Type: text/plain; charset=utf-8\r\n", "Content-Type: text/plain; charset=utf-16\r\n",
    "Content-Type: ;;;=\r\n",
    "Content-Transfer-Encoding: base64\r\n", "X: y\r\n" * 20, "X\r\n", ": \r\n", "Content-Length: 99999\r\n",
    " folded\r\n",
])  # fmt: skip
contents = st.sampled_from([AUDIO, b"", b"a.wav", b"\r\n--", b"\xff"]) | values.map(str.encode) | st.binary(max_size=20)
good_parts = st.builds(
    lambda name, text: f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode(),
    st.sampled_from(NAMES),
    values,
)
odd_parts = st.builds(
    lambda head, more, content: f"Content-Disposition: {head}\r\n{more}\r\n".encode() + content,
    good_heads | dispositions,
    other_headers,
    contents,
)
parts = st.one_of(good_parts, good_parts, good_parts, odd_parts)
boundaries = st.sampled_from([BOUNDARY, "x", "-", "'()+_,-./:=?", "a b"])


@st.composite
def forms(draw: st.DrawFn) -> Request:
    boundary = draw(boundaries)
    line = b"--" + boundary.encode()
    given = draw(st.lists(parts, max_size=3))
    if draw(st.integers(0, 3)):
        given.append(b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + AUDIO)
    whole = (
        b"".join(line + b"\r\n" + each + b"\r\n" for each in given)
        + line
        + draw(st.sampled_from([b"--\r\n"] * 9 + [b"--", b"", b"\r\n"]))
    )
    written = draw(st.sampled_from([f'"{boundary}"'] * 9 + [boundary, "", "other", 'x"; boundary="y']))
    kind = draw(st.sampled_from(["multipart/form-data"] * 9 + ["Multipart/Form-Data", "multipart/mixed"]))
    body = draw(damaged(st.just(whole)))
    return Request(
        f"{draw(st.sampled_from(FORM_PATHS))}?{_query(draw(pairs))}",
        body,
        (f"Content-Type: {kind}; boundary={written}",),
    )


# -- heads, for the wire ----------------------------------------------------------------------------------------------

methods = st.sampled_from(
    [b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"TRACE", b"CONNECT", b"get", b"", b"\xff", b"A" * 500]
)
targets = st.sampled_from([
    b"/hc", b"/asr", b"/v1/models/x", b"/v1/listen", b"/docs/start.js", b"*", b"http://localhost/hc", b"//hc",
    b"/../hc", b"/%00", b"/%", b"", b"/hc#x",
    b"localhost:80", b"/\xff", b"/asr?" + b"&" * 500, b"/docs/..%2f..%2fetc/passwd", b"/" + b"x" * 9000,
])  # fmt: skip
versions = st.sampled_from(
    [b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.1 x", b"", b"http/1.1"]
)
lengths = st.sampled_from(
    [b"0", b"5", b"05", b"+5", b"-5", b"5, 5", b"5,6", b"0x5", b"", b"5 ", b"9" * 30, b"\xc2\xb2"]
)
head_lines = st.one_of(
    lengths.map(b"Content-Length: ".__add__),
    st.sampled_from([b"chunked", b"Chunked", b"gzip, chunked", b"identity", b"chunked, chunked", b"\x0bchunked",
    b""]).map(b"Transfer-Encoding: ".__add__),
    st.sampled_from([
        b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"Upgrade: h2c", b"Expect: 100-continue",
        b"Expect: x", b"Trailer: x",
        b"Content-Encoding: gzip", b"Content-Type: multipart/form-data; boundary=x", b"Origin: null", b"Host: y",
        b"Host: a/b", b"X-Request-ID: a\tb", b"Authorization: Bearer \xff",
        b"X-Forwarded-For: " + b"1," * 2000, b"A: " + b"b" * 40_000, b"A : b", b" folded", b"A:\0", b"A: b\rC: d",
        b": x", b"\xff: x", b"Range: bytes=0-",
    ]),
    st.binary(max_size=12),
)  # fmt: skip
good_first_lines = st.builds(
    lambda method, target: method + b" " + target + b" HTTP/1.1",
    st.sampled_from([b"GET", b"POST"]),
    st.sampled_from([b"/hc", b"/asr"]) | targets,
)
lengths_of_bodies = st.sampled_from(
    [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(AUDIO)]
)
good_lines = st.builds(lambda length, others: [length, *others], lengths_of_bodies, st.lists(head_lines, max_size=1))
chunk_sizes = st.sampled_from(
    [b"5", b"05", b"5;a=b", b"-1", b"0x5", b"ffffffffffffffffff", b"", b"5 ", b"g", b"5\n", b"5;" + b"x" * 5000]
)
chunks = st.builds(
    lambda size, data, end: size + b"\r\n" + data + end,
    chunk_sizes,
    st.sampled_from([b"hello", b"hell", b"hello!", b""]),
    st.sampled_from([b"\r\n", b"\n", b""]),
)
bodies = st.sampled_from([b"", b"hello", AUDIO, b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n"]) | st.lists(chunks, max_size=3).map(
    lambda given: b"".join(given) + b"0\r\n\r\n"
)
line_ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])
heads = damaged(
    st.builds(
        lambda first, lines, end, body: end.join([first, b"Host: x", b"Connection: close", *lines]) + end * 2 + body,
        st.one_of(good_first_lines, good_first_lines, st.tuples(methods, targets, versions).map(b" ".join)),
        st.one_of(good_lines, good_lines, st.lists(head_lines, max_size=3)),
        line_ends,
        bodies,
    )
)
