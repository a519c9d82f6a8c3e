"""A floor imports only floors below it, modules of one floor do not import each other, heavy libraries have owners."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import asr_api

PACKAGE = Path(asr_api.__file__).parent

FLOORS = {
    "control_groups": 0,
    "errors": 0,
    "events": 0,
    "fair_share": 0,
    "install_hint": 0,
    "metrics": 0,
    "onnx_runtime": 0,
    "options": 0,
    "pcm": 0,
    "request": 0,
    "request_record": 0,
    "tracing": 0,
    "transcript": 0,
    "audio": 1,
    "formats": 1,
    "logs": 1,
    "text": 1,
    "engines": 2,
    "early_transcriptions": 3,
    "engine_process": 3,
    "longform": 3,
    "model_pool": 3,
    "scheduler": 3,
    "shared_transcriptions": 3,
    "transcriber": 3,
    "compose": 4,
    "model_options": 4,
    "settings": 4,
    "parameters": 4,
    "benchmark": 5,
    "cli": 5,
    "server": 5,
    "__main__": 5,
}
# Modules of one floor where the first may import the second.
NEIGHBOURS = {
    ("__main__", "cli"),
    ("cli", "benchmark"),
    ("cli", "server"),
    ("compose", "settings"),
    ("compose", "model_options"),
    ("early_transcriptions", "shared_transcriptions"),
    ("errors", "transcript"),
    ("events", "pcm"),
    ("events", "transcript"),
    ("formats", "text"),
    ("logs", "text"),
    ("longform", "scheduler"),
    ("model_pool", "engine_process"),
    ("model_pool", "longform"),
    ("model_pool", "scheduler"),
    ("options", "transcript"),
    ("request", "errors"),
    ("request", "request_record"),
    ("request", "transcript"),
    ("scheduler", "engine_process"),
    ("tracing", "errors"),
    ("tracing", "install_hint"),
    ("transcriber", "longform"),
    ("transcriber", "model_pool"),
    ("transcript", "pcm"),
}
QUARANTINE = {
    "av": {"audio/decoding/worker"},
    "cachetools": {"scheduler/crash_record", "shared_transcriptions"},
    "httpcore": {"audio/sources/url"},
    "httpx": {"audio/sources/url"},
    "opentelemetry": {"engine_process/engine_spans", "server/middleware/traces", "tracing"},
    "onnx": {"audio/vad/silero", "engines/onnx"},
    "onnxruntime": {"onnx_runtime"},
    "openvino": {"engines/onnx/openvino_encoder"},
    "tokenizers": {"engines/whisper/tokenizer"},
    "huggingface_hub": {"engines/checkpoints/hub", "engines/checkpoints/download_failures"},
    "torch": {"engines/cuda", "engines/hf"},
    "transformers": {"engines/hf"},
    "triton": {"engines/cuda/kernels"},
    "prometheus_client": {"metrics"},
    "pydantic": {"settings", "server"},
    "pydantic_settings": {"settings"},
    "fastapi": {"server"},
    "fastapi_offline": {"server"},
    "pythonjsonlogger": {"logs"},
    "python_multipart": {"server/form_parts"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "tqdm": {"cli"},
    "psutil": {"benchmark/machine"},
}

# Inside engines/: what the modules of a package may import besides their own package and the floors below.
ENGINE_PACKAGES = {
    "protocol": set[str](),
    "cpu": set[str](),
    "checkpoints": set[str](),
    "whisper": {"checkpoints", "protocol"},
    "onnx": {"checkpoints", "cpu", "protocol", "whisper"},
    "cuda": {"checkpoints", "cpu", "protocol", "whisper"},
    "hf": {"checkpoints", "cpu", "protocol"},
    "select": {"checkpoints", "cuda", "hf", "onnx", "protocol"},
}
# These packages may import floor 0 only.
LOW_PACKAGES = {"protocol", "cpu", "checkpoints"}

MODULES = sorted(path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py"))


def imported_names(module: str) -> list[str]:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the full name"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_floor_allows(module: str) -> None:
    package = module.split("/", maxsplit=1)[0]
    if package == "__init__":
        return
    for name in imported_names(module):
        parts = name.split(".")
        if parts[0] != "asr_api" or parts[1] not in FLOORS:
            continue
        other = parts[1]
        is_allowed = other == package or FLOORS[other] < FLOORS[package] or (package, other) in NEIGHBOURS
        assert is_allowed, f"{module} (floor {FLOORS[package]}) must not import {name} (floor {FLOORS[other]})"


def test_the_page_of_the_design_names_the_modules_of_each_floor() -> None:
    page = (Path(__file__).parents[1] / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \w[\w ]* \| (.+?) \|", page, re.MULTILINE)
    named = {name: int(floor) for floor, names in rows for name in re.findall(r"`(\w+)(?:/|\.py)`", names)}
    assert named == FLOORS


def test_the_page_of_the_design_names_every_middleware_in_the_order_in_which_a_request_meets_them() -> None:
    root = Path(__file__).parents[1]
    journey = (root / "docs" / "design.md").read_text(encoding="utf-8").partition("## 2.")[2].partition("## 3.")[0]
    added = re.findall(r"app\.add_middleware\(\s*(\w+)", (PACKAGE / "server" / "app.py").read_text(encoding="utf-8"))
    files = {
        path.name: path.read_text(encoding="utf-8") for path in (PACKAGE / "server" / "middleware").glob("[a-z]*.py")
    }
    met = [name for kind in reversed(added) for name, source in files.items() if re.search(rf"class {kind}\b", source)]
    assert re.findall(rf"`(?:server/middleware/)?({'|'.join(met)})`", journey) == met
    assert set(met) == set(files)


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("engines/")])
def test_a_module_of_the_engines_imports_only_what_the_rules_allow(module: str) -> None:
    package = module.split("/")[1]
    if package == "__init__":
        return
    assert package in ENGINE_PACKAGES, f"{module} is in no package of the engines; add it to ENGINE_PACKAGES"
    allowed = {package, *ENGINE_PACKAGES[package]}
    for name in imported_names(module):
        parts = name.split(".")
        if parts[:2] == ["asr_api", "engines"]:
            assert parts[2] in allowed, f"{module} must not import {name}; it may import {sorted(allowed)}"
        elif parts[0] == "asr_api" and package in LOW_PACKAGES:
            assert FLOORS[parts[1]] == 0, f"{module} must not import {name}; it may import floor 0 only"


@pytest.mark.parametrize("module", MODULES)
def test_a_heavy_library_stays_with_its_owners(module: str) -> None:
    for name in imported_names(module):
        owners = QUARANTINE.get(name.split(".", maxsplit=1)[0])
        is_allowed = owners is None or any(module == package or module.startswith(f"{package}/") for package in owners)
        assert is_allowed, f"{module} must not import {name}; only {sorted(owners or ())} may"


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("settings/")])
def test_only_settings_read_the_environment(module: str) -> None:
    assert "os.environ" not in (source := (PACKAGE / f"{module}.py").read_text(encoding="utf-8")), module
    assert "getenv(" not in source, module


def test_importing_the_package_loads_no_library() -> None:
    heavy = sorted({*QUARANTINE, "numpy"})
    code = f"import sys, asr_api; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
