"""deploy/compose.yaml: the schema of its format, and what it promises of the image, the server and the proxy."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml

from asr_api.server.http_servers import LAST_REPLIES_S
from asr_api.settings.settings import Settings, read_settings
from tests.test_docs import ROOT

FILE = ROOT / "deploy/compose.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = DOCUMENT["services"]
SERVERS = ("cpu", "gpu")


@pytest.mark.deploy
def test_it_is_valid_by_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_confined(name: str) -> None:
    server = SERVICES[name]
    assert server["profiles"] == [name]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert server["mem_limit"]
    (temporary,) = server["tmpfs"]
    assert temporary.startswith("/tmp:size=")
    assert server["volumes"] == ["models:/data"]
    assert server["ports"] == ["127.0.0.1:${ASR_PORT:-8000}:8000"]


@pytest.mark.parametrize("name", SERVERS)
def test_the_end_is_awaited_for_longer_than_open_requests_take(name: str) -> None:
    grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace_s > read_settings({}).shutdown_timeout_s + LAST_REPLIES_S


@pytest.mark.parametrize("name", SERVERS)
def test_the_variables_are_settings_and_the_build_is_that_of_the_dockerfile(name: str) -> None:
    assert {variable.lower() for variable in SERVICES[name]["environment"]} <= Settings.model_fields.keys()
    build = SERVICES[name]["build"]
    assert (ROOT / "deploy" / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    arguments = set((ROOT / build["dockerfile"]).read_text(encoding="utf-8").split())
    assert {f"{key}=" for key in build["args"]} <= {word.partition("=")[0] + "=" for word in arguments}


def test_the_server_trusts_the_address_of_the_proxy() -> None:
    address = SERVICES["proxy"]["networks"]["default"]["ipv4_address"]
    assert {SERVICES[name]["environment"]["PROXY_TRUST"] for name in SERVERS} == {address}
    (network,) = DOCUMENT["networks"]["default"]["ipam"]["config"]
    assert ip_address(address) in ip_network(network["subnet"])
    assert ip_address(address) not in ip_network(network["ip_range"])  # or a server that starts first may get it


def test_the_proxy_reaches_either_server_with_the_file_of_the_repository() -> None:
    proxy = SERVICES["proxy"]
    host, _, port = proxy["environment"]["ASR_UPSTREAM"].partition(":")
    for name in SERVERS:
        assert SERVICES[name]["networks"]["default"]["aliases"] == [host]
    assert port == "8000"
    source, target, _ = proxy["volumes"][0].split(":")
    assert (ROOT / "deploy" / source).is_file()
    assert target == "/etc/caddy/Caddyfile"
    text = (ROOT / "deploy" / source).read_text(encoding="utf-8")
    assert all(f"{{${name}:" in text for name in proxy["environment"])
