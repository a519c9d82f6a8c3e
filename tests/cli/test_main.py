"""The asr-api command: wrong command lines, --help, start errors, and the list of models."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from asr_api import __version__
from asr_api.engines.checkpoints.catalogue import KNOWN_MODELS
from asr_api.settings.declaration import flag_of, is_server_only
from asr_api.settings.settings import Settings
from tests.engines.scripted import Script
from tests.server.in_process import Cli, Ended
from tests.server.running import run_command


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["transcribe", "a.wav", "--language", "klingon"], "klingon"),
        (["transcribe", "a.wav", "--language", "sw"], "language is 'sw', which "),
        (["transcribe", "a.wav", "--temperature", "2"], "temperature is '2'; it must be a number from 0 to 1."),
        (["transcribe", "a.wav", "--task", "sing"], "task is 'sing'"),
        (["transcribe", "a.wav", "--batch-size", "none"], "BATCH_SIZE is 'none'"),
        (["transcribe", "a.wav", "--port", "1"], "unrecognized arguments: --port 1"),
        (["transcribe", "a.wav", "--words"], "--words asks for times, and --format text has none"),
        (["transcribe", "a.wav", "b.wav", "--format", "srt"], "2 sources do not fit into one srt;"),
        (["transcribe", "a.wav", "b.wav", "--format", "tsv"], "2 sources do not fit into one tsv;"),
        (["transcribe", "x/a.wav", "y/a.wav", "--output-dir", "out"], "2 sources have the same output, a.wav"),
        (["transcribe", "a.wav", "--output-dir", "/dev/null/x"], "--output-dir is '/dev/null/x'"),
        (["transcribe"], "the following arguments are required"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "required"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(cli: Cli, arguments: list[str], sentence: str) -> None:
    ended = cli.run(*arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_engine_that_cannot_load_is_exit_code_2(cli: Cli, recordings: Path) -> None:
    ended = cli.run("transcribe", str(recordings), script=Script(load_error="The checkpoint is odd; take another."))
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1] == "asr-api: The checkpoint is odd; take another."


def test_help_names_every_setting_and_loads_no_heavy_library(cli: Cli, tmp_path: Path) -> None:
    def help_of(*arguments: str) -> str:
        ended = run_command(tmp_path, sys.executable, "-m", "asr_api", *arguments, "--help", COLUMNS="200")
        return ended.stdout.decode()

    assert cli.run("--version") == Ended(0, f"asr-api {__version__}\n", "")
    assert "3 a source is truncated" in " ".join(help_of("transcribe").split())
    assert {"serve", "transcribe", "models"} <= set(help_of().replace("|", " ").split())
    served, transcribed = help_of("serve"), help_of("transcribe")
    for name, field in Settings.model_fields.items():
        assert flag_of(name) in served
        assert (flag_of(name) in transcribed) is not is_server_only(field)
    heavy = {"numpy", "fastapi", "tqdm", "huggingface_hub"}
    code = f"import sys, asr_api.cli.main; print(sorted({heavy} & {{*sys.modules}}))"
    assert run_command(tmp_path, sys.executable, "-c", code).stdout == b"[]\n"


def test_an_unwritable_tmpdir_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    for arguments in (["serve", "--port", "0"], ["transcribe", "a.wav"], ["bench"]):
        ended = cli.run(*arguments)
        assert (ended.code, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
        assert ended.stderr.startswith(f"asr-api: TMPDIR is '{tmp_path}/gone', which cannot be written")


def local_models(ended: Ended) -> list[str]:
    return [line.split()[0] for line in ended.stdout.split("\n\n")[0].splitlines()[1:]]


def test_models_creates_no_cache_folder_and_needs_a_readable_one(cli: Cli, tmp_path: Path) -> None:
    assert local_models(cli.run("models", "--cache-dir", "new"))[0] == "builtin"
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    sentence = "asr-api: CACHE_DIR is 'file', which is not a readable folder; name another one.\n"
    assert cli.run("models", "--cache-dir", "file") == Ended(2, "", sentence)


@pytest.mark.parametrize("config", ["[]", '{"model_type": "whis'])
def test_a_damaged_model_in_the_cache_is_left_out_of_the_list(cli: Cli, tmp_path: Path, config: str) -> None:
    for name in ("damaged", "whole"):
        snapshot = tmp_path / f"models--some--{name}" / "snapshots" / "1"
        snapshot.mkdir(parents=True)
        for file in ("config.json", "tokenizer.json", "model.safetensors"):
            (snapshot / file).write_text(config if (name, file) == ("damaged", "config.json") else "{}")
    listed = cli.run("models")
    assert (listed.code, listed.stderr) == (0, "")
    assert local_models(listed)[0] == "builtin"
    assert local_models(listed)[-1] == "some/whole"


def test_models_lists_the_short_names(cli: Cli, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--openai--whisper-small" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        (snapshot / file).write_text("{}")
    rows = {line.split()[0]: line for line in cli.run("models").stdout.splitlines() if line}
    assert rows["small"].split()[1:3] == ["*", "openai/whisper-small"]
    assert rows["turbo"].split()[1] == "openai/whisper-large-v3-turbo"
    assert {model.name for model in KNOWN_MODELS} <= rows.keys()
