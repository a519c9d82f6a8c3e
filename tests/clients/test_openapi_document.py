"""Requests that schemathesis makes from the OpenAPI document: no failure, and no answer but those of the document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import Case, HookContext
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from asr_api.metrics import Metrics
from asr_api.server.app import create_app
from asr_api.server.lifecycle import ServiceHandle
from asr_api.settings.settings import Settings
from tests.product.samples import SAMPLES
from tests.server.running import Server, wav

pytestmark = pytest.mark.clients

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Short, because a failure prints the request.
SPEECH = [wav(7, word_s=0.2, pause_s=0), wav(7, 42, word_s=0.1, pause_s=0.1), wav(pause_s=0.2)]
FILES = st.sampled_from(SPEECH) | st.sampled_from([*SPEECH, b"", b"no audio", SPEECH[0][:50]])
LANGUAGES = st.sampled_from(["en", "German", "fr-FR", "auto", "", "klingon"])
# Random values are hardly ever one of these; a random timeout is too short for any server.
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "audio_file": FILES,
    "file": FILES,
    "language": LANGUAGES,
    "languages": st.lists(LANGUAGES, max_size=2),
    "timeout": st.sampled_from([60, 90.5]),
    "url": st.sampled_from([str(SAMPLES / "number.aiff"), "/missing", "http://example.org/"]),
}
DOCUMENT = schemathesis.openapi.from_dict(create_app(ServiceHandle(), Metrics(), Settings()).openapi())
schemathesis.openapi.media_type("audio/*", FILES)


def likely(values: Any) -> st.SearchStrategy[Any]:
    if isinstance(values, bytes):
        return FILES
    if not isinstance(values, dict):
        return st.just(values)
    return st.fixed_dictionaries({name: LIKELY.get(name, st.just(value)) for name, value in values.items()})


@DOCUMENT.hook
def flatmap_body(_context: HookContext, body: Any) -> st.SearchStrategy[Any]:
    return likely(body)


@DOCUMENT.hook
def flatmap_query(_context: HookContext, query: Any) -> st.SearchStrategy[Any]:
    return likely(query)


@pytest.fixture
def statuses() -> Iterator[Counter[int]]:
    """Of all replies to the requests of one test."""
    counted: Counter[int] = Counter()
    yield counted
    assert counted[200] > 0, counted


@DOCUMENT.parametrize()
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_route(case: Case, scripted: Server, statuses: Counter[int]) -> None:
    reply = case.call(base_url=f"http://127.0.0.1:{scripted.port}")
    case.validate_response(reply, checks=CHECKS)
    statuses[reply.status_code] += 1
