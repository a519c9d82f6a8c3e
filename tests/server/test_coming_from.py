"""The pages of docs/coming-from: requests, routes and fields by a running server, settings and images by the code."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from asr_api.errors import SettingsError
from asr_api.settings.api_keys import read_api_keys
from asr_api.settings.settings import Settings, read_settings
from tests.deploy.test_docker import build
from tests.server.running import Server, serving, wav
from tests.test_docs import ROOT, VARIABLES_OF_OTHERS

PAGES = [page for page in sorted((ROOT / "docs/coming-from").glob("*.md")) if page.stem != "README"]
MODELS = ("Systran/faster-whisper-base", "Systran/faster-whisper-small", "whisper-1", "gpt-4o-transcribe")
SETTINGS = {name.upper() for name in Settings.model_fields}
OF_COMPOSE = set(re.findall(r"\$\{(\w+)", (ROOT / "deploy/compose.yaml").read_text(encoding="utf-8")))
FENCE = re.compile(r"```sh\n(.+?)```", re.DOTALL)
ROUTE = re.compile(r"`(GET|POST|DELETE) (/[^` ]*)`")
VARIABLE = re.compile(r"`([A-Z][A-Z0-9_]{2,})(?:=[^`]*)?`")
NAME = re.compile(r"`(\w+(?:\[\])?)`")
KEEPS, HAS_NONE = ("the same", "the served model"), "none"  # how a cell of the column "here" begins
VALUES = {
    "model": "whisper-1",
    "response_format": "json",
    "language": "en",
    "languages[]": "en",
    "user": "me",
    "prompt": "seven",
    "hotwords": "seven",
    "keywords[]": "seven",
    "temperature": "0",
    "timestamp_granularities[]": "segment",
    "include[]": "logprobs",
    "chunking_strategy": "auto",
    "known_speaker_names[]": "me",
    "known_speaker_references[]": "data:,",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Of a table with a column "here"."""

    page: str
    heading: str
    there: str
    here: str


def rows_of(page: Path) -> Iterator[Row]:
    heading = ""
    header: list[str] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        if not line.startswith("|"):
            header = []
            continue
        cells = line.strip("| ").split(" | ")
        if not header:
            header = cells
        elif header[-1] == "here" and not line.startswith("|--"):
            yield Row(page.stem, heading, cells[0], cells[-1])


def commands_of(page: Path) -> list[str]:
    """Lines of the fences, continued ones as one line, without comments."""
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    return [line.partition("  #")[0] for line in "\n".join(blocks).replace("\\\n", " ").splitlines()]


ROWS = [row for page in PAGES for row in rows_of(page)]
REQUESTS = [
    (page.stem, line)
    for page in PAGES
    for line in commands_of(page)
    if line.startswith("curl ") and "github.com" not in line
]
ROUTES = [(row, *route) for row in ROWS for route in ROUTE.findall(row.there)]
FIELDS = [
    (row, name)
    for row in ROWS
    if row.heading == "Fields" and row.page in {"docker-whisper", "speaches", "whisper-1"}
    for name in NAME.findall(row.there)
]

PARAMETERS = [
    name for row in ROWS if row.heading == "Requests" for name in NAME.findall(row.there) if "prompt" not in name
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("coming-from")
    (folder / "jfk.flac").write_bytes(wav(7, 8))  # the name of a file does not matter
    (folder / "call.ulaw").write_bytes(b"\xff" * 8000)  # silence
    with serving(folder, MODEL_ALIASES=",".join(MODELS)) as server:
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("page", "command"), REQUESTS, ids=[f"{page}-{n}" for n, (page, _) in enumerate(REQUESTS)])
def test_a_request_works(server: Server, page: str, command: str) -> None:
    here = re.sub(r"localhost:\d+", f"127.0.0.1:{server.port}", command)
    ended = subprocess.run(
        f"{here} -sS --fail-with-body", shell=True, check=False, capture_output=True, text=True, cwd=server.log.parent
    )
    assert ended.returncode == 0, (page, command, ended.stdout, ended.stderr)
    assert re.search("7|english|ok|version|metadata", ended.stdout), (page, command, ended.stdout)


def test_every_page_shows_a_request() -> None:
    assert {page for page, _ in REQUESTS} >= {page.stem for page in PAGES}


def has_route(server: Server, method: str, path: str) -> bool:
    with server.http() as http:
        return http.request(method, path.replace("ID", "whisper-1")).status_code not in {404, 405}


@pytest.mark.parametrize(
    ("row", "method", "path"), ROUTES, ids=[f"{row.page}-{verb}-{path}" for row, verb, path in ROUTES]
)
def test_a_route_of_theirs_is_here_or_not_as_the_page_says(server: Server, row: Row, method: str, path: str) -> None:
    if row.here.startswith(KEEPS):
        assert has_route(server, method, path), row
    elif row.here.startswith((HAS_NONE, "`GET", "restart")):
        assert not has_route(server, method, path), row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_routes_of_ours_exist(server: Server, page: Path) -> None:
    for row in rows_of(page):
        for method, path in ROUTE.findall(row.here):
            assert has_route(server, method, path), row


@pytest.mark.parametrize(("row", "name"), FIELDS, ids=[f"{row.page}-{name}" for row, name in FIELDS])
def test_a_field_of_theirs_is_taken(server: Server, row: Row, name: str) -> None:
    fields = {name: VALUES.get(name, "true")} if name != "file" else {}
    if name == "timestamp_granularities[]":
        fields["response_format"] = "verbose_json"
    with server.http() as http:
        reply = http.post("/v1/audio/transcriptions", data=fields, files={"file": wav(7)})
    assert reply.status_code == (400 if row.here.startswith("an error") else 200), (row, reply.text)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_of_asr_webservice_has_an_effect(server: Server, name: str) -> None:
    """By a value that makes no sense; a name that is unknown would be ignored."""
    with server.http() as http:
        reply = http.post("/asr", params={name: "?"}, files={"audio_file": wav(7)})
    assert reply.status_code == 400, reply.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_settings_of_ours_exist(page: Path) -> None:
    named = {name for row in rows_of(page) for name in VARIABLE.findall(row.here)}
    assert named <= SETTINGS | VARIABLES_OF_OTHERS | OF_COMPOSE
    assert named & SETTINGS


@pytest.mark.parametrize(
    "row", [row for row in ROWS if VARIABLE.search(row.there)], ids=lambda row: f"{row.page}-{row.there}"
)
def test_a_setting_of_theirs_is_here_or_not_as_the_page_says(row: Row) -> None:
    theirs = set(VARIABLE.findall(row.there))
    if row.here.startswith("the same"):
        assert theirs <= SETTINGS | VARIABLES_OF_OTHERS
    elif row.here.startswith(HAS_NONE):
        assert not theirs & SETTINGS


@pytest.mark.parametrize(
    "value",
    [
        *({"compute_type": "default"}, {"compute_type": "float16"}, {"log_level": "critical"}),
        *({"cors_origins": '["https://a.example.org"]'}, {"api_keys": "name:only-15-letters"}),
        *({"max_new_tokens": "445"}, {"chunk_length_s": "31"}, {"stride_length_s": "15"}),
    ],
    ids=str,
)
def test_a_value_of_theirs_that_the_pages_call_an_error_is_one(value: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        read_api_keys(read_settings(value))


@pytest.mark.parametrize(
    "value", [{"log_level": "INFO"}, {"api_keys": "name:with-16-letters-"}, {"default_language": "auto"}]
)
def test_a_value_of_theirs_that_the_pages_allow_is_taken(value: dict[str, str]) -> None:
    read_api_keys(read_settings(value))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "docker run" in page.read_text()], ids=lambda page: page.stem
)
def test_a_container_runs_an_image_that_the_page_builds(page: Path, tmp_path: Path) -> None:
    built: list[str] = []
    runs = [line for line in commands_of(page) if line.startswith("docker run")]
    for number, line in enumerate(line for line in commands_of(page) if line.startswith("deploy/docker/build")):
        (folder := tmp_path / str(number)).mkdir()
        (call,) = build(folder, *shlex.split(line)[1:])
        built += re.findall(r"--tag (\S+)", call)
    assert runs
    for line in runs:
        assert shlex.split(line)[-1] in built, line
        assert "-p" in line, line
