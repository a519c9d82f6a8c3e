"""A MODEL_ID becomes the folder of a complete checkpoint, or one error sentence; tried with a hub on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_api.engines.checkpoints.resolve import BUILTIN, list_cached, resolve_checkpoint
from asr_api.errors import CheckpointError
from tests.engines.checkpoints.fake_hub import (
    WHOLE,
    Hub,
    error_of,
    resolve_elsewhere,
    resolved,
    run_python,
    serve,
    write_files,
)


def test_cached_checkpoint_needs_no_request_and_an_incomplete_one_is_completed(tmp_path: Path) -> None:
    with serve(Hub(WHOLE)) as hub:
        folder = resolved(tmp_path, hub)
        weights = folder / "model.safetensors"
        assert weights.read_bytes() == WHOLE["model.safetensors"]
        assert not any("pytorch_model.bin" in path for path in hub.requested)
        hub.requested.clear()
        assert (resolved(tmp_path, hub), hub.requested) == (folder, [])
        weights.unlink()
        assert resolved(tmp_path, hub) == folder
        assert weights.is_file()
    assert [cached.path for cached in list_cached(tmp_path) if cached.model_id == "some/model"] == [folder]
    assert list_cached(tmp_path)[0].model_id == BUILTIN


def test_a_repository_of_ctranslate2_is_downloaded_and_safetensors_are_preferred(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.bin": b"", "vocabulary.txt": b"", "tokenizer.json": b"{}", "x.bin": b""}
    with serve(Hub(files)) as hub:
        assert {path.name for path in resolved(tmp_path / "1", hub).iterdir()} == {*files} - {"x.bin"}
    with serve(Hub(files | WHOLE)) as hub:
        names = {path.name for path in resolved(tmp_path / "2", hub).iterdir()}
    assert "model.safetensors" in names
    assert "model.bin" not in names


def test_the_usual_cache_of_the_hub_is_searched(tmp_path: Path) -> None:
    with serve(Hub(WHOLE)) as hub:
        folder = resolved(tmp_path / "hub", hub)
    assert resolved(tmp_path / "other", hub, HF_HOME=str(tmp_path)) == folder, "the hub is not there any more"


def test_a_name_without_an_owner_is_no_hub_id(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="did you mean small;"):
        resolve_checkpoint("smal", revision=None, cache_dir=tmp_path)


def test_damaged_cache_is_named(tmp_path: Path) -> None:
    with serve(Hub(WHOLE)) as hub:
        resolved(tmp_path, hub)
        (ref,) = tmp_path.glob("*/refs/main")
        ref.write_bytes(b"\xff\xfe")
        error = error_of(resolve_elsewhere("some/model", tmp_path, hub.url))
    assert f"MODEL_ID=some/model is damaged in {tmp_path}: delete its folder there" in error


def test_vocabulary_and_adapters_are_downloaded_without_pickles(tmp_path: Path) -> None:
    wanted = ["vocab.json", "preprocessor_config.json", "processor_config.json", "sentencepiece.bpe.model"]
    wanted += ["adapter.deu.safetensors", "model.safetensors"]
    unwanted = ["adapter.deu.bin", "adapter.abk.safetensors", "language_model/5gram.bin", "trap.py"]
    files = dict.fromkeys([*wanted, *unwanted], b"{}") | {"config.json": b'{"model_type": "wav2vec2"}'}
    with serve(Hub(files)) as hub:
        assert {path.name for path in resolved(tmp_path, hub).iterdir()} == {"config.json", *wanted}


@pytest.mark.parametrize(
    ("model_id", "files", "sentence"),
    [
        ("some/other", WHOLE, "is not on the hub"),
        ("some/model", {"config.json": b"{}", "pytorch_model.bin": b""}, "pickled"),
    ],
)
def test_missing_checkpoint_is_refused(tmp_path: Path, model_id: str, files: dict[str, bytes], sentence: str) -> None:
    with serve(Hub(files)) as hub:
        assert sentence in error_of(resolve_elsewhere(model_id, tmp_path, hub.url))


def test_local_folder_is_used_in_place(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "checkpoint", WHOLE)
    assert resolve_checkpoint(str(folder), revision=None, cache_dir=tmp_path).folder == folder


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_incomplete_folder_is_refused(tmp_path: Path, missing: str) -> None:
    folder = write_files(tmp_path, {name: data for name, data in WHOLE.items() if name != missing})
    with pytest.raises(CheckpointError, match=missing):
        resolve_checkpoint(str(folder), revision=None, cache_dir=tmp_path)


@pytest.mark.parametrize(
    "model_id", ["./nope", "/nope", "a b", "../../x", "a/b/c", "", "~unknown-user/x", "a" * 300 + "/b"]
)
def test_invalid_model_id_is_refused(tmp_path: Path, model_id: str) -> None:
    with pytest.raises(CheckpointError, match="starts without any download"):
        resolve_checkpoint(model_id, revision=None, cache_dir=tmp_path)


def test_no_telemetry(tmp_path: Path) -> None:
    """The hub does not learn about torch or the tool that started the process.

    Fails when the constant that `disable_telemetry` sets is gone, or no longer has an effect.
    """
    torch = write_files(tmp_path / "packages" / "torch-9.9.9.dist-info", {"METADATA": b"Name: torch\nVersion: 9.9.9\n"})
    write_files(torch.parent / "torch", {"__init__.py": b""})
    environment = {"PYTHONPATH": str(torch.parent), "AI_AGENT": "some-tool"}
    with_telemetry = (
        "import sys; from huggingface_hub import constants, snapshot_download\n"
        "assert constants.HF_HUB_DISABLE_TELEMETRY is False\n"
        "snapshot_download(sys.argv[1], cache_dir=sys.argv[2], allow_patterns='config.json')"
    )
    for is_allowed in (True, False):  # otherwise the test would prove nothing
        with serve(Hub(WHOLE)) as hub:
            if is_allowed:
                folder = str(tmp_path / "first")
                result = run_python(with_telemetry, "some/model", folder, HF_ENDPOINT=hub.url, **environment)
                assert result.returncode == 0, result.stderr
            else:
                resolved(tmp_path / "second", hub, **environment)
        assert any("torch/" in agent for agent in hub.agents) is is_allowed
        assert any("harness" in path for path in hub.requested) is is_allowed  # a list of known tools
