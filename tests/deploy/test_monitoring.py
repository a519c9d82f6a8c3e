"""deploy/monitoring: metrics that are named exist, promtool accepts rules and queries, the alerts are documented."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr_api.metrics import OUTCOMES, STAGES, Metrics
from tests.test_docs import OPERATIONS, ROOT

FOLDER = ROOT / "deploy/monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
PROMTOOL = shutil.which("promtool") or ""
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is missing; on Debian: apt install prometheus")


def promtool(*arguments: str) -> None:
    ended = subprocess.run([PROMTOOL, *arguments], check=False, capture_output=True, text=True, cwd=FOLDER)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_metric_and_label_that_is_named_exists() -> None:
    (metrics := Metrics()).for_model("")
    shown = set(re.findall(r"^(\w+)", metrics.render().decode(), re.MULTILINE))
    text = "\n".join([*QUERIES, *(rule["expr"] for rule in RULES)])
    assert set(re.findall(r"\b(?:asr|process)_[a-z_]+", text)) <= shown
    assert set(re.findall(r'outcome="(\w+)"', text)) <= set(OUTCOMES)
    assert set(re.findall(r'stage="(\w+)"', text)) <= set(STAGES)
    assert set(re.findall(r"\b(asr:\w+)", text)) == {rule["record"] for rule in RULES if "record" in rule}


def test_the_alerts_are_those_of_the_operations_page() -> None:
    rows = re.findall(r"^\| .+? \| `(.+?)`.* \|$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {row for row in rows if re.search(r"\b(asr|process)_\w+.* (>|==) ", row)}
    assert documented == {rule["expr"] for rule in RULES if "alert" in rule}


@pytest.mark.deploy
@needs_promtool
def test_promtool_accepts_the_rules_and_they_speak_when_they_should() -> None:
    promtool("check", "rules", "rules.yaml")
    promtool("test", "rules", "rules-test.yaml")


@pytest.mark.deploy
@needs_promtool
def test_promtool_accepts_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"query:{n}", "expr": query.replace("$model", ".*")} for n, query in enumerate(QUERIES)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "rules.yaml"))


def test_the_panels_of_the_dashboard_have_their_own_numbers_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == 16
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
