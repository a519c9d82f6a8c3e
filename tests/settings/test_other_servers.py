"""Variables of other servers are named at start, without their values, unless ours is set as well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asr_api.settings.other_servers import OURS, variables_without_effect
from asr_api.settings.settings import Settings
from tests.server.running import ROOT, serving

PAGES = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs/coming-from").glob("*.md")))


def test_a_variable_counts_unless_ours_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert variables_without_effect() == {}
    monkeypatch.setenv("API_KEY", "secret")
    monkeypatch.setenv("WHISPER__MODEL", "base")
    assert variables_without_effect() == {"API_KEY": "API_KEYS", "WHISPER__MODEL": "MODEL_ID"}
    monkeypatch.setenv("API_KEYS", "alice:alice-0123456789")
    assert variables_without_effect() == {"WHISPER__MODEL": "MODEL_ID"}


@pytest.mark.parametrize("theirs", OURS)
def test_the_pages_for_users_of_other_servers_say_the_same(theirs: str) -> None:
    assert OURS[theirs].lower() in Settings.model_fields
    rows = re.findall(rf"^\| [^|]*`{theirs}`[^|]*\| ([^|]*)", PAGES, re.MULTILINE)
    assert rows
    assert all(OURS[theirs] in row for row in rows)


def test_the_log_names_them_without_their_values(tmp_path: Path) -> None:
    with serving(tmp_path, API_KEY="a-very-secret-key") as server:
        log = server.log.read_text()
    assert "WARNING API_KEY is a variable of another server and has no effect here; set API_KEYS" in log
    assert "a-very-secret-key" not in log
