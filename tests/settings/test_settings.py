"""Settings from the environment and from flags: defaults, empties, and one clear line for every bad value."""

from __future__ import annotations

import os
import tempfile
from ipaddress import ip_network
from pathlib import Path

import pytest

from asr_api.errors import SettingsError
from asr_api.settings.declaration import flag_of
from asr_api.settings.settings import Settings, check_spool_folder, find_cache_folder, read_settings, settings_table


def test_the_defaults_are_the_originals() -> None:
    settings = read_settings({})
    assert (settings.host, settings.port, settings.model_id) == ("*", 8000, "openai/whisper-large-v3")
    assert (settings.cache_dir, settings.batch_size, settings.max_new_tokens) == (Path("/data"), 16, 128)
    assert (settings.chunk_length_s, settings.stride_s, settings.flash_attention_2) == (30, 5, None)
    assert (settings.max_queued_requests, settings.max_media_bytes) == (64, 512 * 2**20)


def test_the_environment_is_read_and_flags_win(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BATCH_SIZE": "8",
        "CHUNK_LENGTH_S": "24",
        "FLASH_ATTENTION_2": "0",
        "ALLOWED_MEDIA_DOMAINS": " A.example, *.b.example,bücher.example,*.faß.example, xn--x.example,10.0.0.7,",
        "ALLOW_PRIVATE_CIDRS": "10.1.2.3/8,fd00::/8",
        "LOG_LEVEL": "WARNING",
        "SALAD_MACHINE_ID": "m1",
    }.items():
        monkeypatch.setenv(name, value)
    settings = read_settings({"batch_size": "4"})
    assert (settings.batch_size, settings.max_queued_requests, settings.stride_s) == (4, 16, 4)
    assert settings.flash_attention_2 is False
    hosts = "a.example *.b.example xn--bcher-kva.example *.xn--fa-hia.example xn--x.example 10.0.0.7"
    assert settings.allowed_media_domains == tuple(hosts.split())
    assert settings.allow_private_cidrs == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert (settings.log_level, settings.salad_machine_id) == ("warning", "m1")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name.upper(), "")
    default = read_settings({}).model_dump()
    if name == "allowed_local_media_path":
        assert default.pop(name) == ""  # here it means: off
    monkeypatch.delenv(name.upper())
    assert default.items() <= read_settings({}).model_dump().items()


NO_HOSTS = [
    ",,", " , ", "*", "*.", ".example.org", "example.org.", "a..example", "*.*.example", "a.*.example", "*example.org",
    "http://example.org", "example.org:80", "example.org/path", "user@example.org", "bücher.example:80", "-a.example",
    "bücher.example/path", "[::1]", "::1", "exa mple.org", "0177.0.0.1", "a-.example",
]  # fmt: skip
BAD = [
    ("BATCH_SIZE", "0", "a whole number from 1 to 256"),
    ("BATCH_SIZE", "many", "a whole number from 1 to 256"),
    ("BATCH_SIZE", "1.5", "a whole number from 1 to 256"),
    ("PORT", "65536", "a whole number from 0 to 65535"),
    ("MAX_NEW_TOKENS", "445", "a whole number from 1 to 444"),
    ("CHUNK_LENGTH_S", "60", "a number from 1 to 30"),
    ("CHUNK_LENGTH_S", "nan", "a number from 1 to 30"),
    ("STRIDE_LENGTH_S", "15", "less than half of CHUNK_LENGTH_S, 15 s"),
    ("STRIDE_LENGTH_S", "-1", "a number above 0"),
    ("MAX_AUDIO_S", "inf", "a number above 0"),
    ("MAX_REQUESTS", "0", "a whole number of at least 1"),
    ("SHUTDOWN_TIMEOUT_S", "-1", "a number of at least 0"),
    ("FLASH_ATTENTION_2", "maybe", "1 or 0"),
    ("BEAM_SIZE", "11", "a whole number from 1 to 10"),
    ("VAD", "maybe", "1 or 0"),
    ("CONDITION_ON_PREVIOUS_TEXT", "often", "1 or 0"),
    ("DEFAULT_LANGUAGE", "klingon", "a language that Whisper knows, such as en"),
    ("LOG_LEVEL", "loud", "debug, info, warning or error"),
    ("COMPUTE_TYPE", "int9", "auto, float32, int8 or int8_bfloat16"),
    *(("ALLOWED_MEDIA_DOMAINS", entry, "host names such as example.org or *.example.org") for entry in NO_HOSTS),
    ("ALLOW_PRIVATE_CIDRS", ",,", "networks such as 10.0.0.0/8"),
    ("ALLOW_PRIVATE_CIDRS", "10.0.0.0/99", "networks such as 10.0.0.0/8"),
    ("ALLOWED_LOCAL_MEDIA_PATH", "/nowhere/at/all", "a folder that exists, or empty"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_bad_value_names_itself_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings({})
    line = str(caught.value)
    assert line.startswith(f"{name} is ")
    assert value in line
    assert allowed in line
    assert "\n" not in line


def test_of_several_hosts_the_bad_one_is_named() -> None:
    with pytest.raises(SettingsError, match=r"ALLOWED_MEDIA_DOMAINS is 'b.example:80'; it must be host names"):
        read_settings({"allowed_media_domains": "a.example, b.example:80"})


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"PORT is 'x'.*BATCH_SIZE is '0'"):
        read_settings({"port": "x", "batch_size": "0"})


def test_the_cache_folder_falls_back_only_when_it_was_not_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Settings.model_fields["cache_dir"], "default", tmp_path / "data")
    Settings.model_rebuild(force=True)
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
        cache = find_cache_folder(read_settings({}))
        assert cache.path == tmp_path / "own" / "asr-api"
        assert cache.note is not None
        assert str(tmp_path / "data") in cache.note
        assert list(tmp_path.iterdir()) == []  # who downloads makes the folder

        (tmp_path / "own").write_text("")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where nobody knows a home
        for homeless in (str(tmp_path / "own"), ""):
            monkeypatch.setenv("XDG_CACHE_HOME", homeless)
            nowhere = find_cache_folder(read_settings({}))
            assert nowhere.problem is not None
            assert nowhere.problem.startswith("CACHE_DIR is not set, and neither")

        (tmp_path / "data").mkdir()
        assert find_cache_folder(read_settings({})).path == tmp_path / "data"
    finally:
        monkeypatch.undo()
        Settings.model_rebuild(force=True)

    chosen = find_cache_folder(read_settings({"cache_dir": str(tmp_path / "new" / "folder")}))
    assert (chosen.path, chosen.note, chosen.problem) == (tmp_path / "new" / "folder", None, None)
    closed = find_cache_folder(read_settings({"cache_dir": str(tmp_path / "own" / "below")}))
    assert closed.path == tmp_path / "own" / "below"
    assert (
        closed.problem
        == f"CACHE_DIR is '{closed.path}', which can't be written; change its owner or name another folder."
    )


def test_a_folder_for_uploads_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    check_spool_folder()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match=r"^TMPDIR is '.*gone', which can't be written; set it to one that can"):
        check_spool_folder()
    monkeypatch.delenv("TMPDIR")
    check_spool_folder()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))  # as where no usual folder is usable
    with pytest.raises(SettingsError, match=r"^TMPDIR is not set, and none of the usual folders"):
        check_spool_folder()


def test_every_setting_has_a_row_with_its_flag_and_default() -> None:
    rows = settings_table().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| `{name.upper()}`" for name in Settings.model_fields]
    assert all(f"`{flag_of(name)}`" in row for name, row in zip(Settings.model_fields, rows, strict=True))
    assert all(row.count(" | ") == 3 and "  " not in row for row in rows)
    assert "| `--batch-size` | `16` |" in rows[5]
