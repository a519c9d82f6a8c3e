"""API keys: the variable, the file, and the sentence for each mistake in them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from asr_api.errors import SettingsError
from asr_api.request import AccountLimits
from asr_api.settings.api_keys import ApiKeys, read_api_keys
from asr_api.settings.settings import read_settings

ALICE, BOB = "alice-0123456789", "bob-0123456789-x"


def keys_of(text: str | None = None, file: Path | None = None) -> ApiKeys:
    given = {"api_keys": text, "api_keys_file": None if file is None else str(file)}
    return read_api_keys(read_settings({name: value for name, value in given.items() if value is not None}))


def name_of(keys: ApiKeys, *candidates: str) -> str | None:
    found = keys.find(candidates)
    return None if found is None else found.name


def test_without_keys_there_are_none() -> None:
    assert not read_api_keys(read_settings({}))


def test_the_variable_names_keys() -> None:
    keys = keys_of(f"alice:{ALICE}, {BOB}")
    assert keys
    assert [name_of(keys, key) for key in (ALICE, BOB, "other", "")] == ["alice", "key-2", None, None]
    assert name_of(keys, "other", ALICE) == "alice"
    assert name_of(keys, "\udcff") is None


def test_a_file_adds_limits_and_may_hold_hashes_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    digest = hashlib.sha256(BOB.encode()).hexdigest()
    alice_table = f'[alice]\nkey = "{ALICE}"\nmax_requests = 4\npriority = 2'
    file.write_text(f'{alice_table}\n[bob]\nsha256 = "{digest}"\naudio_s_per_hour = 60')
    keys = keys_of(None, file)
    alice, bob = keys.find([ALICE]), keys.find([BOB])
    assert alice is not None
    assert bob is not None
    assert (alice.limits, alice.priority) == (AccountLimits(max_requests=4), 2)
    assert (bob.limits, bob.priority) == (AccountLimits(audio_s_per_hour=60), 0)
    assert digest not in repr(bob)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("short", "Entry 1 of API_KEYS has a key that is not 16 to 512 visible ASCII"),
        (f"alice:{ALICE},", "Entry 2 of API_KEYS has a key"),
        (f"al ice:{ALICE}", "Entry 1 of API_KEYS has a name"),
        (f"a:{ALICE},b:{ALICE}", "have the same key twice"),
        (f"a:{ALICE},a:{BOB}", "have the same name twice"),
    ],
)
def test_a_mistake_in_the_variable_has_one_sentence_without_the_key(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        keys_of(text)
    assert problem in str(caught.value)
    assert ALICE not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "which has no key"),
        ("key =\nx = 1", "which is not TOML (at line 1"),
        (b"\xff", "it is not UTF-8"),
        (f'key = "{ALICE}"', "[key] in API_KEYS_FILE is not a table"),
        ("[a]", "must have either key or sha256"),
        (f'[a]\nkey = "{ALICE}"\nsha256 = "{"0" * 64}"', "must have either key or sha256"),
        ('[a]\nsha256 = "xyz"', "a sha256 that is not 64 hexadecimal digits"),
        (f'[a]\nkey = "{ALICE}"\nmax_requests = 0', "a wrong max_requests: input should be greater than or equal to 1"),
        (f'[a]\nkey = "{ALICE}"\nrate = 1', "a wrong rate: it must be max_requests, audio_s_per_hour or priority"),
        (f'["a b"]\nkey = "{ALICE}"', "has a name that is not"),
    ],
)
def test_a_mistake_in_the_file_has_one_sentence(tmp_path: Path, text: str | bytes, problem: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as caught:
        keys_of(None, file)
    assert problem in str(caught.value)
    assert ALICE not in str(caught.value)


def test_a_file_that_is_not_there_has_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read \(No such file or directory\)"):
        keys_of(None, tmp_path / "none.toml")
