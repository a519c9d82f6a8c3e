"""The images, built by `scripts/images-test`: start, transcription, confinement, the end, and what is in them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

import asr_api
from tests.images.containers import (
    CONFINED,
    NAME,
    START_S,
    image_config,
    image_size,
    podman,
    reply_of,
    run_once,
    running,
)
from tests.product.samples import SAMPLES, sample_texts, words
from tests.real.recordings import FOLDER, KENNEDY
from tests.test_docs import ROOT

pytestmark = [
    pytest.mark.images,
    pytest.mark.skipif(not NAME, reason="IMAGES is not set; scripts/images-test builds the images and sets it"),
]

BUILTIN, BASE = "latest-cpu-builtin", "latest-cpu-openai-whisper-base"
OPENVINO = "latest-cpu-openvino-builtin"
FROM_HUB = "latest-cpu-some-model"  # the built-in model, from a hub
READY_S = 5.0
MAX_IMAGE_BYTES = 450e6
LOCKS = ROOT / "deploy/docker/requirements"
SAMPLE = "hello.wav"


def spoken(tag: str) -> tuple[Path, str]:
    """A recording that the model of the image knows, and its text."""
    kennedy = FOLDER / "audio/jfk.flac"
    if tag == BASE and kennedy.is_file():
        return kennedy, KENNEDY
    return SAMPLES / SAMPLE, sample_texts()[SAMPLE]


@pytest.mark.parametrize("tag", [BUILTIN, BASE, FROM_HUB])
def test_it_starts_in_time(tag: str) -> None:
    """The best of three starts: other work on the machine slows each."""

    def start_s() -> float:
        with running(tag) as container:
            return container.wait_until_ready()

    assert min(start_s() for _ in range(3)) < READY_S


@pytest.mark.parametrize("tag", [BUILTIN, BASE, FROM_HUB, OPENVINO])
def test_it_transcribes_without_a_network(tag: str) -> None:
    recording, text = spoken(tag)
    with running(tag) as container:
        container.wait_until_ready()
        assert container.get("/hc").json() == {"status": "ok", "version": asr_api.__version__}
        reply = container.post("/asr", recording)
        assert (reply.status, words(reply.json()["text"])) == (200, words(text))
        assert container.run("healthcheck") == ""


def test_a_volume_on_data_does_not_hide_the_model() -> None:
    with running(BASE, "--tmpfs", "/data:rw,size=64m,mode=1777") as container:
        container.wait_until_ready()
        assert container.post("/asr", spoken(BASE)[0]).status == 200


@pytest.mark.parametrize("settings", [{"PORT": "9000"}, {"HOST": "127.0.0.1"}, {"HOST": "0.0.0.0"}, {"HOST": "::1"}])
def test_the_health_check_fails_until_the_server_is_ready(settings: dict[str, str]) -> None:
    with running(BUILTIN, settings=settings) as container:
        with pytest.raises(subprocess.CalledProcessError):
            container.run("healthcheck")
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                container.run("healthcheck")
                break
            except subprocess.CalledProcessError:
                time.sleep(0.1)
        else:
            pytest.fail(container.log())


def test_it_runs_without_rights() -> None:
    with running(BUILTIN) as container:
        container.wait_until_ready()
        status = Path(f"/proc/{container.pid}/status").read_text(encoding="utf-8")
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert lines["Uid"].split() == ["10001"] * 4
    assert int(lines["CapEff"], 16) == int(lines["CapPrm"], 16) == 0
    assert lines["NoNewPrivs"] == "1"


def test_decoders_are_confined_in_a_container_too() -> None:
    with running(BUILTIN) as container:
        container.wait_until_ready()
        assert container.post("/asr", SAMPLES / SAMPLE).status == 200
        log = container.log()
    assert "ready after" in log
    assert not re.search("Landlock|seccomp", log)  # what is missing is named at start


def test_sigterm_ends_it_with_status_0_after_the_open_requests() -> None:
    with running(BUILTIN) as container:
        container.wait_until_ready()
        open_request = container.curl("/asr", "--data-binary", f"@{SAMPLES / 'minute.mp3'}")
        while not re.search(r"^asr_open_requests\S* 1", container.get("/metrics").body, re.MULTILINE):
            assert open_request.poll() is None
        container.terminate()
        reply = reply_of(open_request)
        assert (reply.status, words(reply.json()["text"])) == (200, words(sample_texts()["minute.mp3"]))
        assert container.exit_status() == 0


def test_nothing_is_written_outside_of_the_folder_for_temporary_files() -> None:
    """With a file system that can be written, so that a write would be seen."""
    writable = tuple(option for option in CONFINED if option != "--read-only")
    with running(BUILTIN, confined=writable) as container:
        container.wait_until_ready()
        assert container.post("/asr", SAMPLES / SAMPLE).status == 200
        changed = podman("diff", container.name).split("\n")
    own = {"C /etc", "C /run", "A /run/.containerenv", ""}  # podman's
    assert set(changed) <= own


def test_processes_that_lose_their_parent_leave_no_zombies() -> None:
    with running(BUILTIN) as container:
        container.wait_until_ready()
        fork_server = container.run(
            "python3",
            "-c",
            "import pathlib; print(next(p.parent.name for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')"
            " if b'fork_server' in p.read_bytes()))",
        )
        container.run("python3", "-c", f"import os; os.kill({int(fork_server)}, 9)")
        assert container.post("/asr", SAMPLES / SAMPLE).status in {200, 503}
        assert container.post("/asr", SAMPLES / SAMPLE).status == 200
        states = podman("top", container.name, "state").split()[1:]
    assert "Z" not in states


def test_the_image_is_small_and_says_what_it_is() -> None:
    assert image_size("latest-cpu") <= MAX_IMAGE_BYTES
    config = image_config("latest-cpu")
    assert config["Labels"]["org.opencontainers.image.version"] == asr_api.__version__
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert config == image_config(f"{asr_api.__version__}-cpu")
    assert (config["User"], config["StopSignal"]) == ("10001:10001", "SIGTERM")
    assert config["Entrypoint"] == ["tini", "--", "asr-api"]
    assert config["Healthcheck"]["Test"] == ["CMD", "healthcheck"]


def test_the_bill_of_materials_names_every_locked_package_and_debians() -> None:
    python, debian = (
        json.loads(run_once("latest-cpu", f"/usr/share/asr-api/sbom/{name}.cdx.json", entrypoint="cat"))
        for name in ("python", "debian")
    )
    installed = {part["name"].lower().replace("_", "-"): part["version"] for part in python["components"]}
    locked = re.findall(r"^([a-z0-9-]+)==(\S+) \\$", (LOCKS / "cpu.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(locked) > 40
    assert {name: installed.get(name) for name, _ in locked} == dict(locked)
    assert "torch" not in installed
    assert {"python3.13", "tini"} <= {part["name"] for part in debian["components"]}


def test_it_is_the_command_line_too() -> None:
    assert run_once(BUILTIN, "--version", entrypoint="asr-api") == f"asr-api {asr_api.__version__}\n"
    assert "openai/whisper-base" in run_once(BASE, "models", entrypoint="asr-api").split("Short names")[0]


@pytest.mark.skipif(
    bool(NAME) and not podman("images", "--quiet", f"{NAME}:latest-fa2-openai-whisper-base"),
    reason="scripts/images-test --cuda builds the images for GPUs",
)
def test_the_image_for_gpus_has_what_the_engine_needs_and_works_without_one() -> None:
    program = "import torch, triton; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())"
    version, cuda, has_gpu = run_once("latest", "-c", program, entrypoint="/opt/asr-api/bin/python").split()
    assert version.startswith("2.13.0")
    assert cuda.startswith("13.")
    assert has_gpu == "False"
    headers = "/usr/include/python3.13/Python.h"
    assert run_once("latest", "-c", f"gcc --version >/dev/null && ls {headers}", entrypoint="sh").strip() == headers
    environment = image_config("latest-fa2-openai-whisper-base")["Env"]
    assert {"FLASH_ATTENTION_2=1", "MODEL_ID=openai/whisper-base", "NVIDIA_VISIBLE_DEVICES=all"} <= set(environment)
    with running("latest-fa2-openai-whisper-base") as container:
        container.wait_until_ready()
        recording, text = spoken(BASE)
        assert words(container.post("/asr", recording).json()["text"]) == words(text)
