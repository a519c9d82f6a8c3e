"""Settings from the environment and from flags: defaults, empty variables, errors, and the table of the README."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from asr_api.errors import SettingsError
from asr_api.settings.declaration import flag_of
from asr_api.settings.settings import Settings, read_settings, settings_table


def test_defaults_are_those_of_the_original_server() -> None:
    settings = read_settings({})
    assert (settings.host, settings.port, settings.model_id) == ("*", 8000, "openai/whisper-large-v3")
    assert (settings.cache_dir, settings.n_slots, settings.max_new_tokens) == (Path("/data"), 16, 128)
    assert (settings.window_s, settings.stride_s, settings.flash_attention_2) == (30, 12, None)
    assert (settings.max_requests, settings.max_media_bytes) == (64, 512 * 2**20)


def test_flags_take_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert (settings.n_slots, settings.max_requests, settings.window_s) == (4, 16, 24)
    assert settings.stride_s == pytest.approx(0.4 * 24)
    assert settings.flash_attention_2 is False
    hosts = "a.example *.b.example xn--bcher-kva.example *.xn--fa-hia.example xn--x.example 10.0.0.7"
    assert settings.allowed_media_domains == tuple(hosts.split())
    assert settings.allow_private_cidrs == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert (settings.log_level, settings.salad_machine_id) == ("warning", "m1")


def test_the_default_language_is_a_code_or_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, code in (("German", "de"), ("auto", None), ("Auto", None)):
        monkeypatch.setenv("DEFAULT_LANGUAGE", value)
        assert read_settings({}).default_language == code


@pytest.mark.parametrize("name", ["API_KEYS", "API_KEYS_FILE"])
def test_empty_keys_open_no_server(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises(SettingsError, match=f"^{name} is ''; it must be .* Unset it for a server without keys\\.$"):
        read_settings({})


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if not name.startswith("api_keys")])
def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name.upper(), "")
    default = read_settings({}).model_dump()
    if name == "allowed_local_media_path":
        assert default.pop(name) == ""  # empty switches local paths off
    monkeypatch.delenv(name.upper())
    assert default.items() <= read_settings({}).model_dump().items()


BAD_HOSTS = [
    ",,", " , ", "*", "*.", ".example.org", "example.org.", "a..example", "*.*.example", "a.*.example", "*example.org",
    "http://example.org", "example.org:80", "example.org/path", "user@example.org", "bücher.example:80", "-a.example",
    "bücher.example/path", "[::1]", "::1", "exa mple.org", "0177.0.0.1", "a-.example",
]  # fmt: skip
BAD_VALUES = [
    *(("BATCH_SIZE", value, "a whole number from 1 to 256") for value in ("0", "many", "1.5")),
    ("PORT", "65536", "a whole number from 0 to 65535"),
    ("MAX_NEW_TOKENS", "445", "a whole number from 1 to 444"),
    *(("CHUNK_LENGTH_S", value, "a number from 1 to 30") for value in ("60", "nan")),
    ("STRIDE_LENGTH_S", "15", "less than half of CHUNK_LENGTH_S, 15 s. The default is 0.4 × CHUNK_LENGTH_S."),
    ("STRIDE_LENGTH_S", "-1", "a number above 0"),
    ("MAX_AUDIO_S", "inf", "a number above 0"),
    ("MAX_REQUESTS", "0", "a whole number of at least 1. The default is 4 × BATCH_SIZE."),
    *((name, "-1", "a number of at least 0") for name in ("SHUTDOWN_TIMEOUT_S", "RESULT_CACHE_S")),
    ("FLASH_ATTENTION_2", "maybe", "1 or 0. By default it is used if it is available."),
    ("BEAM_SIZE", "11", "a whole number from 1 to 10"),
    ("VAD", "maybe", "1 or 0"),
    ("CONDITION_ON_PREVIOUS_TEXT", "often", "1 or 0"),
    ("DEFAULT_LANGUAGE", "klingon", "a language of Whisper, such as en, or auto. By default it is detected."),
    ("LOG_LEVEL", "loud", "debug, info, warning or error"),
    ("COMPUTE_TYPE", "int9", "auto, float32, int8 or int8_bfloat16. The default is auto."),
    *(("ALLOWED_MEDIA_DOMAINS", entry, "host names such as example.org or *.example.org") for entry in BAD_HOSTS),
    ("ALLOW_PRIVATE_CIDRS", ",,", "networks such as 10.0.0.0/8, separated by commas. By default there are none."),
    ("ALLOW_PRIVATE_CIDRS", "10.0.0.0/99", "networks such as 10.0.0.0/8"),
    (
        "ALLOWED_LOCAL_MEDIA_PATH",
        "/nowhere",
        "a folder that exists, or empty to switch local paths off. By default only",
    ),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD_VALUES)
def test_bad_values(monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings({})
    assert str(caught.value).startswith(f"{name} is '{value}'; it must be {allowed}")
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_the_error_names_the_bad_host_of_several() -> None:
    with pytest.raises(SettingsError, match=r"ALLOWED_MEDIA_DOMAINS is 'b.example:80'; it must be host names"):
        read_settings({"allowed_media_domains": "a.example, b.example:80"})


def test_every_bad_value_has_one_sentence() -> None:
    """Also when the default of another setting depends on it."""
    with pytest.raises(SettingsError) as caught:
        read_settings({"port": "x", "batch_size": "0"})
    assert str(caught.value) == (
        "BATCH_SIZE is '0'; it must be a whole number from 1 to 256. The default is 16. "
        "PORT is 'x'; it must be a whole number from 0 to 65535. The default is 8000."
    )


def test_the_metrics_need_another_port_than_the_main_one() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"port": "9100", "metrics_port": "9100"})
    assert str(caught.value) == (
        "METRICS_PORT is '9100'; it must be another port than PORT, 9100. By default metrics are on the main port."
    )
    assert read_settings({"port": "0", "metrics_port": "9100"}).metrics_port == 9100


def test_every_setting_has_a_row_with_its_flag_and_default() -> None:
    rows = settings_table().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| `{name.upper()}`" for name in Settings.model_fields]
    assert all(f"`{flag_of(name)}`" in row for name, row in zip(Settings.model_fields, rows, strict=True))
    assert all(row.count(" | ") == 3 and "  " not in row for row in rows)
    assert "| `--batch-size` | `16` |" in rows[4]
