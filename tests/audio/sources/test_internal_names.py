"""Names of internal networks are told from those of the internet."""

from __future__ import annotations

import pytest

from asr_api.audio.sources.internal_names import is_internal


@pytest.mark.parametrize("name", ["db", "db.", "localhost", "a.localhost", "nas.local", "a.b.internal.", "x.home.arpa"])
def test_internal_names(name: str) -> None:
    assert is_internal(name)


@pytest.mark.parametrize("name", ["example.org", "example.org.", "local.example.org", "mylocal.org", "in-addr.arpa"])
def test_public_names(name: str) -> None:
    assert not is_internal(name)
