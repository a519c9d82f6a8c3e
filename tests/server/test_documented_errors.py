"""Errors on the pages of docs/coming-from have the statuses of the pages; values that they show are accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from asr_api.settings.settings import read_settings
from tests.server.running import Server, serving, wav
from tests.server.test_coming_from import ROWS, SETTINGS, Row

KEY = "0123456789abcdef"
CLIP, NO_AUDIO = wav(7, 8), b"no audio " * 500
SHOWN = re.compile(r"`([A-Z][A-Z_]+)=([\w./-]+)`")


def post(http: httpx.Client, audio: bytes = CLIP, **fields: str) -> httpx.Response:
    return http.post("/v1/audio/transcriptions", files={"file": ("talk.wav", audio)}, data=fields)


REQUESTS: dict[str, Callable[[httpx.Client], httpx.Response]] = {
    "a wrong field": lambda http: post(http, sound="loud"),
    "an empty file": lambda http: post(http, b""),
    "a file that cannot be decoded": lambda http: post(http, NO_AUDIO),
    "no audio that can be decoded": lambda http: post(http, NO_AUDIO),
    "an unknown model": lambda http: post(http, model="other/model"),
}
KEY_ROWS, LOADING_ROWS = {"a wrong key", "a missing or wrong key"}, {"loading"}
ELSEWHERE = {
    "body",
    "full",
    "full, or loading",
}  # the body is compared with every reply; test_admission.py fills a server
ERRORS = [row for row in ROWS if row.heading == "Errors"]
VALUES = [(row, *found) for row in ROWS for found in SHOWN.findall(row.here) if found[0] in SETTINGS]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("documented-errors")) as server:
        yield server


@pytest.mark.parametrize(
    "row",
    [row for row in ERRORS if row.there not in KEY_ROWS | LOADING_ROWS | ELSEWHERE],
    ids=lambda row: f"{row.page}-{row.there}",
)
def test_an_error_has_the_status_and_the_body_of_the_page(server: Server, row: Row) -> None:
    with server.http() as http:
        reply = REQUESTS[row.there](http)
    assert reply.status_code == int(row.here[:3]), (row, reply.text)
    (body,) = [each.here for each in ERRORS if (each.page, each.there) == (row.page, "body")]
    assert [*reply.json()["error"]] == re.findall(r'"(\w+)"', body)[1:]


def test_a_wrong_key_has_the_status_of_the_pages(tmp_path: Path) -> None:
    statuses = {int(row.here) for row in ERRORS if row.there in KEY_ROWS}
    with serving(tmp_path, API_KEYS=f"alice:{KEY}") as server, server.http() as http:
        assert {post(http).status_code} == statuses
        http.headers["authorization"] = "Bearer wrong"
        assert {post(http).status_code, http.get("/docs").status_code} == statuses
        assert [http.get(path).status_code for path in ("/hc", "/livez")] == [200, 200]
        http.headers["authorization"] = f"Bearer {KEY}"
        assert post(http).status_code == 200


def test_a_server_that_loads_has_the_status_of_the_pages(tmp_path: Path) -> None:
    (status,) = {int(row.here[:3]) for row in ERRORS if row.there in LOADING_ROWS}
    with serving(tmp_path, {"load_s": 30}, wait=False) as server, server.http() as http:
        reply = post(http)
    assert reply.status_code == status
    assert int(reply.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("row", "name", "value"), VALUES, ids=[f"{row.page}-{name}={value}" for row, name, value in VALUES]
)
def test_a_value_that_a_page_shows_is_accepted(row: Row, name: str, value: str) -> None:
    assert read_settings({name.lower(): value}).model_fields_set == {name.lower()}, row
