"""Bad bodies of `POST /asr` and `POST /v1/listen`, and bad heads of requests."""

from __future__ import annotations

import json

from tests.attack.watched_server import JSON, BadInput, Request, upload
from tests.server.running import wav

MIB = 2**20
MAX_UPLOAD_BYTES = 8 * MIB  # a setting of the attacked server
ASR_HEAD = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
HC_HEAD = b"GET /hc HTTP/1.1\r\nConnection: close\r\n"
DEEP = 100_000
JSON_BODIES: dict[str, tuple[bytes, int, str]] = {
    "no body": (b"", 400, "empty_body"),
    "half an object": (b"{", 400, "invalid_json"),
    "an empty object": (b"{}", 400, "missing_url"),
    "another key": (b'{"uri":"x"}', 400, "missing_url"),
    "a list": (b"[]", 400, "invalid_request"),
    "a number": (b"123", 400, "invalid_request"),
    "a text": (b'"x"', 400, "invalid_request"),
    "null": (b"null", 400, "invalid_request"),
    "a key twice": (b'{"url":"a","url":"b"}', 400, "invalid_request"),
    "url is a number": (b'{"url":5}', 400, "invalid_url"),
    "url is null": (b'{"url":null}', 400, "invalid_url"),
    "url is a list": (b'{"url":["a"]}', 400, "invalid_url"),
    "url is an object": (b'{"url":{"a":1}}', 400, "invalid_url"),
    "url is empty": (b'{"url":""}', 400, "invalid_url"),
    "url of 10,000 characters": (json.dumps({"url": "http://a/" + "x" * 10_000}).encode(), 400, "invalid_url"),
    "100,000 brackets": (b"[" * DEEP, 413, "json_too_large"),
    "60,000 brackets": (b"[" * 60_000, 400, "invalid_json"),
    "deep inside url": (b'{"url":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400, "invalid_json"),
    "5,000 digits": (b'{"url":' + b"1" * 5000 + b"}", 400, "invalid_json"),
    "NaN": (b'{"url":NaN}', 400, "invalid_url"),
    "Infinity as a parameter": (b'{"url":"a.wav","temperature":Infinity}', 400, "invalid_parameter"),
    "a lone surrogate in url": (b'{"url":"\\ud800"}', 400, "invalid_url"),
    "a lone surrogate in a parameter": (b'{"url":"a.wav","prompt":"\\ud800"}', 400, "invalid_parameter"),
    "a lone surrogate as a key": (b'{"url":"a.wav","\\ud800":1}', 400, "invalid_json"),
    "5,000 keys": (json.dumps({f"k{n}": 1 for n in range(4000)} | {"url": "a"}).encode(), 400, "invalid_parameter"),
    "a parameter is an object": (b'{"url":"a.wav","words":{}}', 400, "invalid_parameter"),
    "a number of 300 digits": (b'{"url":"a.wav","temperature":1' + b"0" * 300 + b"}", 400, "invalid_parameter"),
    "2 MiB": (json.dumps({"url": "x" * 2 * MIB}).encode(), 413, "json_too_large"),
    "no UTF-8": (b'{"url":"\xff"}', 400, "invalid_json"),
    "UTF-16": ('{"url":"a"}'.encode("utf-16"), 400, "invalid_json"),
    "only blanks": (b" " * 100, 400, "invalid_json"),
}
# Its own parameters are no keys of JSON, and a path is not to be named there.
LISTEN_CODES = {"path_not_found": "invalid_url"}


def json_rows() -> list[BadInput]:
    types = {"": (JSON,), "+json": ("Content-Type: application/x+json; charset=utf-8",)}
    rows = [
        BadInput(f"{name} ({label or 'json'})", Request("/asr", body, headers), status, code)
        for name, (body, status, code) in JSON_BODIES.items()
        for label, headers in types.items()
    ]
    rows += [
        BadInput(f"{name} (listen)", Request("/v1/listen", body, (JSON,)), status, code)
        for name, (body, status, code) in JSON_BODIES.items()
    ]
    untyped = {"{": "invalid_json", "{}": "missing_url", '{"url":null}': "invalid_url", "": "empty_body"}
    return rows + [
        BadInput(f"{body!r} without a type", Request("/asr", body.encode()), 400, code)
        for body, code in untyped.items()
    ]


def encoding_rows() -> list[BadInput]:
    audio = wav(1)
    rows = []
    for path in ("/asr", "/v1/audio/transcriptions", "/v1/listen", "/inference", "/detect-language"):
        request = upload(audio, target=path) if path not in {"/asr", "/v1/listen"} else Request(path, audio)
        for headers in (["gzip"], ["br"], ["identity", "gzip"], ["gzip", "identity"], ["identity, gzip"]):
            lines = tuple(f"Content-Encoding: {text}" for text in headers)
            encoded = Request(path, request.body, (*request.headers, *lines))
            status = 400 if path == "/v1/listen" else 415
            rows.append(BadInput(f"{path} {headers}", encoded, status, "unsupported_content_encoding"))
    return rows


def good_rows() -> list[BadInput]:
    """What must not be refused."""
    audio = wav(1, 2)
    types = ["", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream", "nonsense"]
    rows = [
        BadInput(
            f"WAV as {kind!r}", Request("/asr", audio, (f"Content-Type: {kind}",) if kind else ()), 200, length_s=2.0
        )
        for kind in types
    ]
    body = b'{"url": "good.wav"}'
    return [*rows, BadInput("JSON without a type", Request("/asr", body), 200, length_s=2.0)]


def head_rows() -> list[BadInput]:
    ways = {
        "GET /asr": (Request(method="GET"), 405, "method_not_allowed", {"allow": "POST"}),
        "DELETE /asr": (Request(method="DELETE"), 405, "method_not_allowed", {"allow": "POST"}),
        "a method of its own": (Request(method="BREW"), 405, "method_not_allowed", {"allow": "POST"}),
        "PUT transcriptions": (
            Request("/v1/audio/transcriptions", method="PUT"), 405, "method_not_allowed", {"allow": "POST"},
        ),
        "GET listen": (Request("/v1/listen", method="GET"), 405, "method_not_allowed", {"allow": "POST"}),
        "no such route": (Request("/nothing"), 404, "not_found", {}),
        "no such route of OpenAI": (Request("/v1/nothing"), 404, "not_found", {}),
        "below a route": (Request("/asr/"), 404, "not_found", {}),
        "out of the docs": (Request("/docs/../../../etc/passwd", method="GET"), 404, "not_found", {}),
        "out of the docs, encoded": (Request("/docs/%2e%2e/%2e%2e/etc/passwd", method="GET"), 404, "not_found", {}),
        "NUL in the docs": (Request("/docs/a%00b", method="GET"), 404, "not_found", {}),
        "5,000 characters in the docs": (Request("/docs/" + "x" * 5000, method="GET"), 404, "not_found", {}),
        "NUL in the name of a model": (Request("/v1/models/a%00b", method="GET"), 404, "model_not_found", {}),
        "Host with a slash": (Request(headers=("Host: a/b",)), 400, "invalid_host", {}),
        "Host with a user": (Request(headers=("Host: a@b",)), 400, "invalid_host", {}),
        "another origin": (Request(body=wav(1), headers=("Origin: http://evil.test",)), 403, "origin_not_allowed", {}),
        "no origin": (Request(body=wav(1), headers=("Origin: null",)), 403, "origin_not_allowed", {}),
        "another origin at OpenAI's": (
            Request("/v1/audio/transcriptions", headers=("Origin: http://evil.test",)), 403, "origin_not_allowed", {},
        ),
        "101 headers": (Request(headers=tuple(f"X-{n}: y" for n in range(101))), 431, "headers_too_large", {}),
        "33 KiB of headers": (Request(headers=("X: " + "y" * 33 * 1024,)), 431, "headers_too_large", {}),
    }  # fmt: skip
    return [BadInput(name, *row[:3], headers=row[3]) for name, row in ways.items()]


def raw_head_rows() -> list[BadInput]:
    """What an HTTP library would not send."""
    heads = {
        "length and chunks": ASR_HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two lengths": ASR_HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "a list of lengths": ASR_HEAD + b"Content-Length: 5, 6\r\n\r\nhello",
        "a negative length": ASR_HEAD + b"Content-Length: -1\r\n\r\n",
        "a length with a sign": ASR_HEAD + b"Content-Length: +5\r\n\r\nhello",
        "a hexadecimal length": ASR_HEAD + b"Content-Length: 0x5\r\n\r\nhello",
        "an empty length": ASR_HEAD + b"Content-Length: \r\n\r\n",
        "another coding": ASR_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "chunked twice": ASR_HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "two hosts": HC_HEAD + b"Host: x\r\nHost: y\r\n\r\n",
        "no host": HC_HEAD + b"\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60) + b"\r\n\r\n",
        "SSH": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "a blank before the colon": HC_HEAD + b"Host : x\r\n\r\n",
        "a header without a colon": HC_HEAD + b"Host: x\r\nnonsense\r\n\r\n",
        "NUL in a header": HC_HEAD + b"Host: x\r\nA: b\0c\r\n\r\n",
        "a bare CR in a header": HC_HEAD + b"Host: x\r\nA: b\rc\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/2 on one line": HC_HEAD.replace(b"1.1", b"2.0") + b"Host: x\r\n\r\n",
        "HTTP/0.9": HC_HEAD.replace(b"1.1", b"0.9") + b"Host: x\r\n\r\n",
        "a malformed chunk": ASR_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    }
    too_large = {
        "a target of 1 MiB": b"GET /" + b"x" * MIB + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "a header of 1 MiB": HC_HEAD + b"Host: x\r\nA: " + b"x" * MIB + b"\r\n\r\n",
        "20,000 headers": HC_HEAD + b"Host: x\r\n" + b"A: bbb\r\n" * 20_000 + b"\r\n",
    }
    rows = [BadInput(name, head, 400, "invalid_request") for name, head in heads.items()]
    return rows + [BadInput(name, head, 431, "headers_too_large") for name, head in too_large.items()]


def size_rows() -> list[BadInput]:
    too_much = MAX_UPLOAD_BYTES + MIB + 1
    expecting = ASR_HEAD + b"Content-Length: 999999999999\r\nExpect: 100-continue\r\n\r\n"
    chunk = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    chunked = ASR_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 10 + b"0\r\n\r\n"
    return [
        BadInput("too long, announced and not sent", expecting, 413, "body_too_large", {"connection": "close"}),
        BadInput("too long, in chunks", chunked, 413, "body_too_large", {"connection": "close"}),
        BadInput("too long", Request(body=bytes(too_much)), 413, "body_too_large", {"connection": "close"}),
        BadInput("a file too long", upload(bytes(MAX_UPLOAD_BYTES + 1)), 413, "body_too_large"),
        BadInput(
            "40 digits of length", ASR_HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", 400, "invalid_request"
        ),
    ]
