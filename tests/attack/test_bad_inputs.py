"""Every bad input with its exact status and code, against one running server, which must stay as it was after each.

The rows are in bad_bodies.py, bad_forms.py, bad_links.py, bad_media.py and bad_parameters.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.attack.bad_bodies import (
    ASR_HEAD,
    MAX_UPLOAD_BYTES,
    MIB,
    encoding_rows,
    good_rows,
    head_rows,
    json_rows,
    raw_head_rows,
    size_rows,
)
from tests.attack.bad_forms import file_name_rows, form_rows
from tests.attack.bad_links import (
    ADDRESSES,
    ALLOWED_DOMAINS,
    answers,
    closed_rows,
    link_rows,
    make_local_files,
    path_rows,
    slow_link_rows,
    target_of,
)
from tests.attack.bad_media import MAX_AUDIO_S, media_rows
from tests.attack.bad_parameters import odd_prompt_rows, parameter_rows
from tests.attack.link_sites import MEDIA, NAMES, LinkSites, open_sites
from tests.attack.watched_server import BadInput, Reply, Request, WatchedServer, error_code, named, reply_of, watching
from tests.server.running import wav

MAX_TRICKLE_S = 40
GENERATED = [
    json_rows, encoding_rows, good_rows, head_rows, raw_head_rows, size_rows, form_rows, file_name_rows, link_rows,
    media_rows, parameter_rows, odd_prompt_rows,
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    make_local_files(path := tmp_path_factory.mktemp("attack"))
    return path


@pytest.fixture(scope="module")
def sites() -> Iterator[LinkSites]:
    with open_sites() as opened:
        opened.answers |= {target_of(name): answer for name, (answer, *_) in answers().items()}
        yield opened


@pytest.fixture(scope="module")
def watched(folder: Path, sites: LinkSites) -> Iterator[WatchedServer]:
    settings = {
        "ALLOWED_LOCAL_MEDIA_PATH": str(folder / "root"),
        "ALLOW_PRIVATE_CIDRS": f"{MEDIA}/32",
        "MAX_AUDIO_S": str(MAX_AUDIO_S),
        "MAX_UPLOAD_MB": str(MAX_UPLOAD_BYTES // MIB),
    }
    with watching(folder, {"names": NAMES, "has_marks": False}, sites, **settings) as server:
        yield server


def deviations(watched: WatchedServer, rows: Sequence[BadInput]) -> str:
    """One line for each row that is not as it should be."""
    names = [row.name for row in rows]
    assert len({*names}) == len(names), [name for name in names if names.count(name) > 1]
    return "\n".join(f"{row.name}: {text}" for row in rows if (text := watched.deviation(row)))


@pytest.mark.parametrize("rows", GENERATED, ids=lambda rows: rows.__name__.removesuffix("_rows"))
def test_each_bad_input_has_its_status_and_leaves_nothing(watched: WatchedServer, rows: object) -> None:
    assert callable(rows)
    assert not (found := deviations(watched, rows())), found


def test_each_bad_path_has_its_status_and_leaves_nothing(watched: WatchedServer, folder: Path) -> None:
    assert not (found := deviations(watched, path_rows(folder))), found


def test_a_closed_server_opens_no_path_and_no_other_host(tmp_path: Path, sites: LinkSites) -> None:
    settings = {"ALLOWED_LOCAL_MEDIA_PATH": "", "ALLOWED_MEDIA_DOMAINS": ALLOWED_DOMAINS}
    cidrs = {"ALLOW_PRIVATE_CIDRS": f"{MEDIA}/32"}
    with watching(tmp_path, {"names": NAMES}, sites, **settings, **cidrs) as closed:
        assert not (found := deviations(closed, closed_rows())), found


def test_a_link_tells_nothing_about_the_network_and_a_path_nothing_about_the_disk(
    watched: WatchedServer, folder: Path
) -> None:
    """Every address that is refused gets the same answer, and so does every path outside."""
    links = {sentence_of(watched.send(named(f"http://{host}:{{port}}/good"))) for host in ADDRESSES}
    rows = [row for row in path_rows(folder) if row.status == 403]
    paths = {sentence_of(watched.send(row.request)) for row in rows}
    assert (len(links), len(paths)) == (1, 1), (links, paths)


def sentence_of(reply: Reply) -> str:
    return str(json.loads(reply.body)["error"])


def test_what_is_too_slow_is_ended(watched: WatchedServer, sites: LinkSites) -> None:
    """All at the same time: 10 s for a head, 15 s for a body or a download, as the real limits are."""
    slow_answers, links = slow_link_rows()
    sites.answers |= slow_answers
    head = ASR_HEAD + b"Content-Length: 1000\r\n\r\n"
    chunked = ASR_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    trickles = {
        "head": (b"POST /asr HTTP/1.1\r\n", b"A: b\r\n"),
        "body": (head, b"x"),
        "chunks": (chunked, b"1\r\nx\r\n"),
    }
    with ThreadPoolExecutor(len(links) + len(trickles)) as pool:
        fetched = [(row, pool.submit(watched.send, row.request)) for row in links]
        trickled = {name: pool.submit(trickle, watched, *pieces) for name, pieces in trickles.items()}
        for row, reply in fetched:
            assert (reply.result().status, error_code("/asr", reply.result())) == (row.status, row.code), row.name
        for name, received in trickled.items():
            statuses = [reply_of(received.result()).status] if received.result() else []
            assert statuses == ([] if name == "head" else [408]), name
    watched.check_unharmed()


def trickle(watched: WatchedServer, head: bytes, piece: bytes) -> bytes:
    """The head, and a piece a second until the server replies or closes; all that it sends."""
    received = bytearray()
    with watched.server.connect() as wire, contextlib.suppress(ConnectionError):
        wire.sendall(head)
        wire.settimeout(1)
        for _ in range(MAX_TRICKLE_S):
            with contextlib.suppress(TimeoutError):
                data = wire.recv(2**16)
                received += data
                if not data:
                    return bytes(received)
            if not received:
                wire.sendall(piece)
        raise AssertionError(f"the server has not closed within {MAX_TRICKLE_S} s")
    return bytes(received)


def test_a_crowd_of_bad_files_stops_no_good_one(watched: WatchedServer) -> None:
    bad, good = Request("/asr", b"fLaC" + bytes(500)), Request("/asr", wav(1, 2))
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(watched.send, ([bad] * 9 + [good]) * 20))
    assert [reply.status for reply in replies] == ([400] * 9 + [200]) * 20
    watched.check_unharmed()


def test_a_file_that_changes_while_it_is_read_is_a_transcript_or_an_error(watched: WatchedServer, folder: Path) -> None:
    audio = wav(*range(1, 40))
    path = folder / "root/changing.wav"
    path.write_bytes(audio)
    request, has_ended = named("changing.wav"), threading.Event()

    def change() -> None:
        while not has_ended.is_set():
            for size in (len(audio), 1000, 0, len(audio) * 2):
                os.truncate(path, size)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(change)
        statuses = {watched.send(request).status for _ in range(20)}
        has_ended.set()
    assert statuses <= {200, 400, 413, 415}
    watched.check_unharmed()
