"""Bad parameters of each dialect: in the query, in a form, in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from tests.attack.watched_server import JSON, BadInput, Request, upload
from tests.server.forms import part
from tests.server.running import wav

AUDIO = wav(1)
LONG = "x" * 5000
TOKENS = "<|endoftext|><|startoftranscript|><|en|>"
ODD_PROMPTS = [
    TOKENS,
    "\u202etxet",
    "a\u200bb\ufeff",
    "\x00\x1b[31m",
    "𝕳\U0010ffff",
    "ạ̈" * 300,
    "'; DROP TABLE--",
    "{{7*7}}",
]
QUERY = [  # of POST /asr
    *(("language", text) for text in ("xx", "english2", "../en", "e\0n", LONG)),
    *(("languages", text) for text in ("en,xx", LONG)),
    *(("temperature", text) for text in ("nan", "inf", "-1", "1e9", "hot", "1" * 5000, "0x1", "１e", "1_0")),
    *(
        ("prompt", LONG),
        ("hotwords", LONG),
        ("task", "translate2"),
        ("words", "maybe"),
        ("timestamps", "2"),
        ("vad", "{}"),
    ),
    *(("output", text) for text in ("pdf", "JSON", "../json", LONG)),
    *(("max_line_width", text) for text in ("0", "-1", "9", "1001", "1e2", "ten", "9" * 5000)),
    *((LONG, "1"), ("constructor", "1"), ("__class__", "1"), ("words\0", "1"), ("", "1")),
]
FIELDS = [  # of OpenAI's form
    *(("language", text) for text in ("xx", LONG)),
    *(("response_format", text) for text in ("pdf", "diarized_json", LONG)),
    *(("temperature", text) for text in ("nan", "-1", "1e9", "hot")),
    *(("timestamp_granularities[]", text) for text in ("sentence", "[", '["word"', '[["word"]]', "[" * 5000)),
    *(("include[]", text) for text in ("everything", "[1]")),
    *(("stream", text) for text in ("maybe", "2")),
    *(
        ("chunking_strategy", text)
        for text in ("{", "[]", "null", "5", '{"type":"x"}', '{"type":"server_vad","threshold":1e999}', "[" * 5000)
    ),
    *(("chunking_strategy[threshold]", text) for text in ("nan", "2")),
    *(("known_speaker_names[]", text) for text in ("agent",)),
    *(("prompt", LONG), ("words", "1"), (LONG, "1"), ("task", "translate")),
]
MODELS = ["nope", "../../x", "evil/repo", "http://127.0.0.3/", "file:///etc/passwd", LONG, "a\0b"]
LISTEN = [
    *(("language", text) for text in ("xx", LONG)),
    *(("encoding", text) for text in ("opus", "../x", LONG)),
    *(("utt_split", text) for text in ("nan", "-1", "0", "1e9", "x")),
    *(
        ("callback", "http://127.0.0.3/"),
        ("extra", "novalue"),
        ("extra", f"a:{LONG}"),
        ("tag", LONG),
        ("keyterm", LONG),
    ),
    *(("diarize", "true"), ("redact", "pci"), ("utterances", "maybe"), ("keywords", "a:-1"), ("smart_format", "x")),
]
RAW = [
    "sample_rate=0",
    "sample_rate=-1",
    "sample_rate=999999999",
    "sample_rate=nan",
    "sample_rate=8000&channels=0",
    "sample_rate=8000&channels=99",
    "channels=1",
]
INFERENCE = [
    *(("temperature", text) for text in ("nan", "-1", "1e9", "hot")),
    *(("temperature_inc", text) for text in ("0.001", "nan", "-1")),
    *(("response_format", text) for text in ("pdf", LONG)),
    *(
        ("language", "xx"),
        ("prompt", LONG),
        ("max_len", "-1"),
        ("offset_n", "9" * 5000),
        ("beam_size", "99"),
        ("grammar", "root ::= x"),
    ),
]
FORM_QUERY = [  # of whisper-asr-webservice
    *(("output", text) for text in ("pdf", LONG)),
    *(
        ("language", "xx"),
        ("task", "x"),
        ("encode", "maybe"),
        ("word_timestamps", "x"),
        ("vad_filter", "x"),
        ("diarize", "true"),
    ),
    *(("min_speakers", text) for text in ("x", "-1", "1e9")),
]


def query_of(pairs: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in pairs)


def parameter_rows() -> list[BadInput]:
    cases: list[tuple[str, Request, int, str]] = []
    for name, text in QUERY:
        cases.append((f"{name}={text}", Request(f"/asr?{query_of([(name, text)])}", AUDIO), 400, "invalid_parameter"))
        if name:
            body = json.dumps({"url": "good.wav", name: text}).encode()
            cases.append((f"JSON {name}={text}", Request("/asr", body, (JSON,)), 400, "invalid_parameter"))
    cases += [
        (f"form {name}={text}", upload(AUDIO, part(text.encode(), name)), 400, "invalid_parameter")
        for name, text in FIELDS
    ]
    cases += [(f"model={text}", upload(AUDIO, part(text.encode(), "model")), 404, "model_not_found") for text in MODELS]
    cases += [
        (f"listen {name}={text}", Request(f"/v1/listen?{query_of([(name, text)])}", AUDIO), 400, "")
        for name, text in LISTEN
    ]
    cases += [(f"raw {query}", Request(f"/v1/listen?encoding=linear16&{query}", AUDIO), 400, "") for query in RAW]
    for name, text in INFERENCE:
        request = upload(AUDIO, part(text.encode(), name), target="/inference")
        cases.append((f"inference {name}={text}", request, 400, "invalid_parameter"))
    for path in ("/asr", "/detect-language"):
        for name, text in FORM_QUERY if path == "/asr" else [("encode", "maybe"), ("languages", "xx")]:
            request = upload(AUDIO, target=f"{path}?{query_of([(name, text)])}")
            cases.append((f"{path} {name}={text}", request, 400, "invalid_parameter"))
    cases.append(
        ("a field in the query", upload(AUDIO, target="/v1/audio/transcriptions?language=en"), 400, "invalid_parameter")
    )
    cases.append(("a prompt of 1 MiB", upload(AUDIO, part(b"x" * 2**20, "prompt")), 413, "form_too_large"))
    cases.append(("a query of 40 KiB", Request(f"/asr?prompt={'x' * 40_000}", AUDIO), 400, "invalid_parameter"))
    cases.append(("5,000 parameters", Request(f"/asr?{'a&' * 5000}", AUDIO), 400, "invalid_parameter"))
    cases.append(("a query that is no UTF-8", Request("/asr?language=%ff%fe", AUDIO), 400, "invalid_parameter"))
    return [
        BadInput(f"{index} {name[:60]!r}", request, status, code)
        for index, (name, request, status, code) in enumerate(cases)
    ]


def odd_prompt_rows() -> list[BadInput]:
    """Text like any other."""
    rows = [
        BadInput(f"prompt {text[:20]!r}", upload(AUDIO, part(text.encode(), "prompt")), 200) for text in ODD_PROMPTS
    ]
    return rows + [
        BadInput(f"query {text[:20]!r}", Request(f"/asr?{query_of([('prompt', text)])}", AUDIO), 200)
        for text in ODD_PROMPTS
    ]
