"""Bad links and paths, for `POST /asr` and `POST /v1/listen`."""

from __future__ import annotations

import gzip
import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from tests.attack.bad_bodies import MAX_UPLOAD_BYTES
from tests.attack.link_sites import MEDIA, drip, endless, ok, redirect, silence
from tests.attack.watched_server import JSON, BadInput, Request, named
from tests.audio.decoding.test_damage import no_audio
from tests.server.running import wav

ALLOWED_DOMAINS = "good.test,*.wild.test"
GOOD = "http://good.test:{port}"
ADDRESSES = [
    "127.0.0.1", "localhost", "LOCALHOST", "127.0.0.3", "127.1", "127.0.3", "2130706433", "2130706435",
    "0x7f000001", "0x7f.0.0.3", "0177.0.0.1", "0177.0.0.3", "①②⑦.0.0.3", "①②⑦.0.0.1", "127。0。0。3", "0177。0。0。3",
    "256。0。0。1", "0", "0.0.0.0", "[::]",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.3]", "[::ffff:7f00:3]", "[::ffff:a9fe:a9fe]", "[::127.0.0.3]",
    "[::ffff:0:127.0.0.3]", "[64:ff9b::7f00:3]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:3]", "[2002:7f00:3::]",
    "[2001:0:7f00:3::1]", "[2001:0:1:1::80ff:fffc]", "[2606:4700::5efe:7f00:3]", "[fec0::1]", "[fe80::1]",
    "[fe80::1%25lo]", "[::1%25lo]", "[fd00:ec2::254]", "[fd00::1]", "[ff02::1]", "[2001:db8::1]",
    "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.1.2.3", "10.0.0.1", "100.64.0.1",
    "172.16.0.1",
    "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "evil.test", "EVIL.test", "evil。test", "mixed.test",
]  # fmt: skip
SCHEMES = [
    "ftp://good.test/", "gopher://127.0.0.3:{port}/", "file:///etc/passwd", "FILE:///etc/passwd", "data:audio/wav,x",
    "concat:/etc/passwd|/etc/passwd", "hls+http://127.0.0.3:{port}/", "javascript:alert(1)", "pipe:0", "subfile:x",
    "http+unix://%2ftmp%2fx/", "ws://good.test:{port}/", "tcp://127.0.0.3:{port}",
]  # fmt: skip
INVALID = [
    "http://", "http:///x", "http://?x", "http://#x", "https:", "http://good.test\\@127.0.0.3:{port}/",
    "http://good.test#@127.0.0.3:{port}/", "http://good.test:{port}@127.0.0.3:{port}/",
    "http://user:pw@good.test:{port}/",
    "http://@good.test:{port}/", "http://good.test:{port}/a b", "http://good.test:{port}/\t",
    "http://good.test:{port}/\n",
    "http://good.test:{port}/\r\nHost: x", "http://good.test:{port}/\x00", "http://good.test:{port}\x00.evil.test/",
    " http://good.test:{port}/", "http://good.test:{port}/\u00a0", "http://good.test:0/", "http://good.test:65536/",
    "http://good.test:99999999999999999999/", "http://good.test:abc/", "http://good.test:-1/", "http://[::1/",
    "http://[1:2]/",
    "http://[good.test]/", "http://a／b/", "http://a＠b/", "http://good.test／@127.0.0.3:{port}/", "http://\ud800/",
]  # fmt: skip
EMPTY = b"Content-Length: 0\r\n\r\n"
PLAYLISTS = ("hls", "ffconcat", "dash", "sdp")


def answers() -> dict[str, tuple[Iterable[bytes], int, str]]:
    """Replies of the media server, and what the client of ours gets."""
    not_found, good = b"HTTP/1.1 404 Not Found\r\n" + EMPTY, wav(1)
    found = {
        "chunked": ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"], 502,
        "url_upstream_error"),
        "401": ([not_found.replace(b"404", b"401")], 422, "url_fetch_failed"),
        "404": ([not_found], 422, "url_fetch_failed"),
        "410": ([not_found.replace(b"404", b"410")], 422, "url_fetch_failed"),
        "206": ([b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx"], 422, "url_fetch_failed"),
        "204": ([b"HTTP/1.1 204 No Content\r\n\r\n"], 422, "url_fetch_failed"),
        "500": ([not_found.replace(b"404", b"500")], 502, "url_upstream_error"),
        "429": ([not_found.replace(b"404", b"429")], 502, "url_upstream_error"),
        "closed": ([b""], 502, "url_upstream_error"),
        "no HTTP": ([b"not http at all\r\n\r\n"], 502, "url_upstream_error"),
        "short": ([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"], 502, "url_upstream_error"),
        "two lengths": ([b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nshort"], 502, "url_upstream_error"),
        "a header of 1 MiB": ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**20 + b"\r\n\r\n"], 502, "url_upstream_error"),
        "100,000 headers": ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n"], 502, "url_upstream_error"),
        "too long by its header": ([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_UPLOAD_BYTES + 1)], 413,
        "media_too_large"),
        "a length of 5,000 digits": ([b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"], 502,
        "url_upstream_error"),
        "endless": (endless(), 413, "media_too_large"),
        "gzip": (ok(gzip.compress(bytes(10**6)), "Content-Encoding: gzip\r\n"), 422, "url_fetch_failed"),
        "empty": (ok(b""), 400, "empty_audio"),
        "a redirect without a target": ([b"HTTP/1.1 302 Found\r\n" + EMPTY], 422, "url_fetch_failed"),
        "a redirect to itself": (redirect(f"{GOOD}/a%20redirect%20to%20itself"), 422, "url_too_many_redirects"),
        "good": (ok(good), 200, ""),
    }  # fmt: skip
    for index, target in enumerate(
        ("evil.test", "127.0.0.3", "localhost", "[::1]", "169.254.169.254", "[::ffff:7f00:3]")
    ):
        for kind, text in (("absolute", f"http://{target}:{{port}}/"), ("relative", f"//{target}:{{port}}/")):
            found[f"{kind} redirect {index}"] = (redirect(text), 403, "url_not_allowed")
    for index, text in enumerate(("file:///etc/passwd", "gopher://127.0.0.3:{port}/", "data:,x")):
        found[f"redirect to a scheme {index}"] = (redirect(text), 403, "url_not_allowed")
    for index, text in enumerate(
        ("http://u:p@good.test:{port}/", "http://good.test\\@127.0.0.3:{port}/", "http://[::1", "http://good.test:0/")
    ):
        found[f"redirect to nonsense {index}"] = (redirect(text), 422, "url_fetch_failed")
    found |= {f"{name} fetched": (ok(data), 415, "unsupported_format") for name, data in no_audio().items()}
    return found


def target_of(name: str) -> str:
    return f"/{name.replace(' ', '%20').replace(',', '%2C')}"


def link_rows() -> list[BadInput]:
    blocked = [(f"http://{host}:{{port}}/good", 403, "url_not_allowed") for host in ADDRESSES]
    blocked += [(f"https://{host}/", 403, "url_not_allowed") for host in ("127.0.0.1", "localhost", "169.254.169.254")]
    schemes = [(url, 400, "unsupported_url_scheme") for url in SCHEMES]
    invalid = [(url, 400, "invalid_url") for url in INVALID]
    unknown = [
        (f"http://{host}/", 422, "url_fetch_failed") for host in ("nowhere.invalid", "xn--0", "a" * 64 + ".test", "..")
    ]
    closed = [
        ("http://good.test:1/", 502, "url_upstream_error"),
        ("https://good.test:{port}/good", 502, "url_upstream_error"),
    ]
    given = [(f"{GOOD}{target_of(name)}", status, code) for name, (_, status, code) in answers().items()]
    rebound = [("http://rebind.test:{port}/good", 200, "")]
    rows = [
        BadInput(url, named(url), status, code)
        for url, status, code in blocked + schemes + invalid + unknown + closed + given + rebound
    ]
    # Deepgram's clients know one status for all that cannot be fetched.
    statuses = {415: 400, 422: 400}
    return rows + [
        BadInput(f"{url} (listen)", named(url, "/v1/listen"), statuses.get(status, status), code)
        for url, status, code in blocked[::6] + invalid[::4] + given[::5]
    ]


def closed_rows() -> list[BadInput]:
    """For a server without local paths, which fetches from ALLOWED_DOMAINS only."""
    hosts = [
        "sub.good.test",
        "good.test.evil.test",
        "good.test.",
        "evil.test",
        "xgood.test",
        MEDIA,
        "127.0.0.1",
        "wild.test",
    ]
    rows = [BadInput(host, named(f"http://{host}:{{port}}/good"), 403, "url_not_allowed") for host in hosts]
    paths = ["/etc/passwd", "/nowhere", "good.wav", "../x", "/dev/zero", "a\0b", "x" * 5000]
    rows += [BadInput(path[:20], named(path), 403, "local_path_disabled") for path in paths]
    return [*rows, BadInput("GOOD.TEST", named("http://GOOD.TEST:{port}/good"), 200)]


def slow_link_rows() -> tuple[dict[str, Iterable[bytes]], list[BadInput]]:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    slow: dict[str, Iterable[bytes]] = {
        "/drip": drip(head),
        "/silent": silence(),
        "/slow-head": drip(b"HTTP/1.1 200 OK\r\nX: "),
    }
    return slow, [BadInput(path, named(f"{GOOD}{path}"), 504, "url_fetch_timeout") for path in slow]


def make_local_files(folder: Path) -> None:
    """Below `root`, which the server opens, and beside it."""
    (root := folder / "root").mkdir()
    (folder / "secret.wav").write_bytes(wav(9))
    (root / "good.wav").write_bytes(wav(1, 2))
    (root / "folder").mkdir()
    (root / "out").symlink_to(folder / "secret.wav")
    (root / "loop").symlink_to(root / "loop")
    (root / "etc").symlink_to("/etc")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    for name, data in no_audio().items():
        (root / f"{name}.wav").write_bytes(data)
    # Playlists that name files beside them.
    (root / "near.ffconcat").write_text("ffconcat version 1.0\nfile good.wav\n")
    (root / "near.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ngood.wav\n#EXT-X-ENDLIST\n")


def path_rows(folder: Path) -> list[BadInput]:
    outside = [
        "/etc/passwd", "/nowhere", "../secret.wav", f"{folder}/secret.wav", f"{folder}/root/../secret.wav", "out",
        "etc/passwd",
        "/proc/self/environ", "/proc/self/root/etc/passwd", "/dev/zero", "/dev/stdin", "/dev/fd/7", "/proc/self/fd/7",
        f"{folder}/rootless.wav", f"{folder}/root2/a.wav", "folder/../../secret.wav", "/sys/kernel/notes",
        "//etc/passwd", "~",
    ]  # fmt: skip
    rows = [BadInput(path, named(path), 403, "path_not_allowed") for path in outside if path != "~"]
    inside = {"missing.wav": (404, "path_not_found"), "~": (404, "path_not_found"), "loop": (404, "path_not_found")}
    inside |= dict.fromkeys(("folder", "fifo", "socket", "."), (400, "path_not_file"))
    inside |= {"a\0b": (400, "invalid_path"), "x" * 5000: (400, "invalid_path"), "x" * 300: (400, "invalid_path")}
    inside |= {f"{name}.wav": (415, "unsupported_format") for name in no_audio()}
    inside |= dict.fromkeys(("near.ffconcat", "near.m3u8"), (415, "unsupported_format"))
    rows += [BadInput(f"{path[:40]} ({len(path)})", named(path), *expected) for path, expected in inside.items()]
    surrogate = Request("/asr", json.dumps({"url": "\udc80.wav"}).encode(), (JSON,))
    return [*rows, BadInput("half a character", surrogate, 400, "invalid_url")]
