"""The provider of spans: what it needs, and what it tells about the server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asr_api.errors import SettingsError
from asr_api.install_hint import install_command
from asr_api.tracing import open_tracer_provider
from tests.server.running import environment, run_command


def test_without_the_extra_one_sentence_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError) as missing:
        open_tracer_provider()
    assert (
        str(missing.value) == f"OTEL is 1, which needs packages that are not installed; run: {install_command('otel')}"
    )


def test_a_server_without_the_extra_does_not_start(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['opentelemetry.sdk'] = None; from asr_api.cli.main import main; sys.exit(main())"
    ended = run_command(tmp_path, sys.executable, "-c", blocked, "serve", "--port", "0", OTEL="1", MODEL_ID="builtin")
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.decode().startswith("asr-api: OTEL is 1, ")


@pytest.mark.parametrize(("given", "shown"), [({}, "asr-api"), ({"OTEL_SERVICE_NAME": "speech"}, "speech")])
def test_the_service_has_a_name_that_the_environment_can_change(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], shown: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    provider = open_tracer_provider()
    assert provider.resource.attributes["service.name"] == shown
    provider.shutdown()


def test_without_traces_the_sdk_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from asr_api.engine_process import worker\n"
        "print('opentelemetry' in sys.modules)\n"
        "from tests.server.fakes import ServiceHandle, open_app\n"
        "open_app(ServiceHandle())\n"
        "print('opentelemetry.sdk' in sys.modules)\n"
    )
    line = [sys.executable, "-c", code]
    ended = subprocess.run(line, capture_output=True, text=True, check=True, env=environment(tmp_path))
    assert ended.stdout.split() == ["False", "False"]
