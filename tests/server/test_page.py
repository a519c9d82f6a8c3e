"""`GET /`: the page and its files, under a strict policy, kept by browsers, small, and off with PAGE=0."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

import asr_api
from asr_api.server.routes.page import COMMENT_LINE
from tests.server.fakes import FakeService, client

pytestmark = pytest.mark.anyio

FOLDER = Path(asr_api.__file__).parent / "page"


def addresses(page: httpx.Response) -> list[str]:
    return re.findall(r'(?:href|src)="(page/[^"]+)"', page.text)


async def test_every_file_that_the_page_names_is_there_and_is_kept_by_browsers() -> None:
    async with client(FakeService()) as http:
        page = await http.get("/")
        files = [await http.get(f"/{address}") for address in addresses(page)]
    assert len(files) > 30
    for file in files:
        assert file.status_code == 200
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["x-content-type-options"] == "nosniff"
    types = {file.headers["content-type"].partition(";")[0] for file in files}
    assert types == {"text/javascript", "text/css", "image/svg+xml"}


async def test_the_policy_allows_files_of_this_server_alone() -> None:
    async with client(FakeService()) as http:
        page = await http.get("/")
        replies = [
            page,
            await http.get(f"/{addresses(page)[0]}"),
            await http.get("/", headers={"if-none-match": page.headers["etag"]}),
        ]
    for reply in replies:
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["permissions-policy"] == "microphone=(self), camera=(), geolocation=()"


async def test_a_visit_again_costs_one_small_reply() -> None:
    async with client(FakeService()) as http:
        page = await http.get("/")
        again = await http.get("/", headers={"if-none-match": page.headers["etag"]})
    assert page.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


async def test_scripts_are_compressed_and_have_no_comments() -> None:
    async with client(FakeService()) as http:
        script = next(address for address in addresses(await http.get("/")) if address.endswith("/transcript.js"))
        reply = await http.get(f"/{script}", headers={"accept-encoding": "gzip"})
    source = (FOLDER / "transcript.js").read_text(encoding="utf-8")
    assert reply.headers["content-encoding"] == "gzip"
    assert "// The transcript of a recording" in source
    assert "// The transcript of a recording" not in reply.text
    assert "export function splitSegment(" in reply.text


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.js")), ids=lambda path: path.stem)
def test_only_comments_are_left_out(path: Path) -> None:
    for line in COMMENT_LINE.findall(path.read_text(encoding="utf-8")):
        assert re.match(r"\s*(//|/\*\*|\*)", line)
        assert "`" not in line or line.count("`") % 2 == 0  # it neither begins nor ends a text of several lines


async def test_addresses_are_relative_for_a_path_of_a_proxy() -> None:
    async with client(FakeService()) as http:
        page = await http.get("/")
    assert re.findall(r'(?:href|src)="(?:/|https?:)', page.text) == []


async def test_anything_else_below_it_is_not_there() -> None:
    async with client(FakeService()) as http:
        known = addresses(await http.get("/"))[0]
        folder = known.rpartition("/")[0]
        for path in (
            "page/x/main.js",
            f"{folder}/index.html",
            f"{folder}/../asr",
            f"{folder}/..%2fapp.py",
            f"{folder}/",
        ):
            reply = await http.get(httpx.URL(f"http://localhost:8000/{path}"))
            assert (reply.status_code, reply.json()["code"]) == (404, "not_found"), path
        assert (await http.post("/")).status_code == 405


async def test_the_page_can_be_switched_off() -> None:
    async with client(FakeService(), page="0") as http:
        assert (await http.get("/")).status_code == 404
        assert "Transcribe in the browser" not in (await http.get("/docs")).text
