"""The unit for systemd: what the server and the sandbox of its decoders need of it, and what confines them."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from asr_api.cli.exit_codes import ExitCode
from asr_api.server.http_servers import LAST_REPLIES_S
from asr_api.settings.settings import read_settings
from tests.test_docs import README, ROOT

UNIT = ROOT / "deploy/systemd/asr-api.service"
FOLDER = "/opt/asr-api"


class _Parser(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def sections() -> dict[str, dict[str, str]]:
    parser = _Parser()
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return {name: dict(parser[name]) for name in parser.sections()}


def test_the_unit_starts_a_script_of_the_checkout_and_finds_its_cache() -> None:
    service = sections()["Service"]
    program, *arguments = service["ExecStart"].split()
    assert (ROOT / Path(program).relative_to(FOLDER)).is_file()
    assert arguments == ["serve"]
    environment = dict(pair.split("=") for pair in service["Environment"].split())
    assert environment == {"CACHE_DIR": "%C/asr-api", "HOME": "%C/asr-api"}
    assert service["CacheDirectory"] == "asr-api"
    assert service["EnvironmentFile"].removeprefix("-") in README.read_text(encoding="utf-8")


def test_the_server_can_finish_its_requests_and_is_restarted_only_if_that_helps() -> None:
    service = sections()["Service"]
    assert float(service["TimeoutStopSec"]) > read_settings({}).shutdown_timeout_s + LAST_REPLIES_S
    assert service["KillMode"] == "mixed"
    assert service["OOMPolicy"] == "continue"
    assert service["Restart"] == "on-failure"
    assert int(service["RestartPreventExitStatus"]) == ExitCode.NOT_STARTED


def test_the_unit_confines_the_server_but_lets_it_confine_its_decoders() -> None:
    service = sections()["Service"]
    assert set(service["RestrictNamespaces"].split()) == {"user", "net"}
    assert {"AF_UNIX", "AF_INET", "AF_INET6"} <= set(service["RestrictAddressFamilies"].split())
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    for name in ("DynamicUser", "NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectHome"):
        assert service[name] == "yes", name
    assert "MemoryDenyWriteExecute" not in service, "OpenVINO and torch compile kernels"
    assert "ProcSubset" not in service, "the number of cores and their features are read from /proc"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_in_it(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(f"{FOLDER}/scripts/run", f'"{ROOT}/scripts/run"'))
    ended = subprocess.run(["systemd-analyze", "verify", str(unit)], check=False, capture_output=True, text=True)
    assert unit.name not in ended.stderr
