"""Bad forms: their boundaries, their parts and their fields, for every route that takes one."""

from __future__ import annotations

from tests.attack.bad_bodies import MIB
from tests.attack.watched_server import BadInput, Request, upload
from tests.server.forms import BOUNDARY, CONTENT_TYPE, form, part
from tests.server.running import wav

AUDIO = wav(1)
FILE = part(AUDIO, more='; filename="a.wav"')
PATHS = ("/v1/audio/transcriptions", "/v1/audio/translations", "/asr", "/inference", "/detect-language")
UTF_16 = "Content-Type: text/plain; charset=utf-16\r\n"
TYPE = f"Content-Type: {CONTENT_TYPE}"


def form_rows() -> list[BadInput]:
    many_headers = "".join(f"X-{n}: y\r\n" for n in range(100_000))
    bodies: dict[str, tuple[bytes, int, str]] = {
        "no file": (form(part(b"x", "name")), 400, "missing_file"),
        "nothing in it": (form(), 400, "missing_file"),
        "two files": (form(FILE, FILE), 400, "invalid_form"),
        "1,001 fields": (form(*[part(b"x", f"field-{n}") for n in range(1001)], FILE), 413, "form_too_large"),
        "a path for a file": (form(part(b"talk.mp3")), 400, "invalid_form"),
        "no closing boundary": (form(FILE)[:-9], 400, "invalid_form"),
        "half a part": (form(FILE)[: len(AUDIO) // 2], 400, "invalid_form"),
        "no boundary in 5 MiB of line ends": (b"\r\n" * (5 * MIB // 2), 400, "invalid_form"),
        "5 MiB of dashes": (b"-" * 5 * MIB, 400, "invalid_form"),
        "5 MiB of half boundaries": ((b"\r\n--" + BOUNDARY.encode()[:-1]) * 120_000, 400, "invalid_form"),
        "a part with 100,000 headers": (form(part(AUDIO, headers=many_headers)), 413, "form_too_large"),
        "a part with a header of 5 MiB": (form(part(AUDIO, headers=f"X: {'y' * 5 * MIB}\r\n")), 413, "form_too_large"),
        "a part with a name of 5 MiB": (form(part(AUDIO, "n" * 5 * MIB)), 413, "form_too_large"),
        "a header without an end": (b"--" + BOUNDARY.encode() + b"\r\nX: " + b"y" * 5 * MIB, 413, "form_too_large"),
        "a field of 2 MiB": (form(part(b"x" * 2 * MIB, "prompt"), FILE), 413, "form_too_large"),
        "no name": (form(b"Content-Disposition: form-data\r\n\r\n1", FILE), 400, "invalid_form"),
        "a name that is no UTF-8": (form(b'Content-Disposition: form-data; name="\xff"\r\n\r\n1'), 400, "invalid_form"),
        "base64": (form(part(b"UklGRg==", headers="Content-Transfer-Encoding: base64\r\n")), 400, "invalid_form"),
        "a field in UTF-16": (form(part(b"a\0", "prompt", headers=UTF_16), FILE), 400, "invalid_form"),
        "a bare CR in a file name": (form(part(AUDIO, more='; filename="a\rb"')), 400, "invalid_form"),
        "a line end in a file name": (form(part(AUDIO, more='; filename="a\r\nb"')), 413, "form_too_large"),
        "an empty file": (form(part(b"", more='; filename="a.wav"')), 400, "empty_audio"),
    }  # fmt: skip
    rows = [
        BadInput(f"{path} {name}", Request(path, body, (TYPE,)), status, code)
        for path in PATHS
        for name, (body, status, code) in bodies.items()
    ]
    types = {
        "no boundary": "multipart/form-data",
        "an empty boundary": "multipart/form-data; boundary=",
        "a boundary of 5 KiB": f"multipart/form-data; boundary={'x' * 5120}",
        "another boundary": "multipart/form-data; boundary=other",
        "another kind of parts": f"multipart/mixed; boundary={BOUNDARY}",
        "a boundary that is no ASCII": "multipart/form-data; boundary=é",
        "20,000 quotes": "multipart/form-data; boundary=" + '"' * 20_000,
    }
    return rows + [
        BadInput(f"{path} {name}", Request(path, form(FILE), (f"Content-Type: {kind}",)), 400, "invalid_form")
        for path in PATHS
        for name, kind in types.items()
    ]


def file_name_rows() -> list[BadInput]:
    """A name of a file is never used to open anything."""
    names = ["../../x", "a\0b", "x" * 4000, '\\"; rm #', "/etc/passwd", "C:\\con", "\u202egpj.wav", "\x1b[31m"]
    rows = [
        BadInput(f"file name {name[:20]!r}", upload(AUDIO, more=f'; filename="{name}"'), 200, length_s=1.0)
        for name in names
    ]
    extended = [f"; filename*=utf-8''{name}" for name in ("%2e%2e%2f", "%00", "%ff%fe", "%0d%0aX-A:%20b", "%")]
    rows += [BadInput(f"file name {more!r}", upload(AUDIO, more=more), 200, length_s=1.0) for more in extended]
    # The name is in a header of this reply.
    target = "/asr?output=srt"
    for more in (*extended, *(f'; filename="{name}"' for name in names)):
        rows.append(BadInput(f"{target} {more[:30]!r}", upload(AUDIO, more=more, target=target), 200, length_s=1.0))
    return rows
