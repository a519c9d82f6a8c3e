"""Folders of the settings: the fallback of the cache folder, and a folder for uploads that cannot be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from asr_api.errors import SettingsError
from asr_api.settings.folders import check_spool_folder, find_cache_folder
from asr_api.settings.settings import Settings, read_settings


def test_the_cache_folder_falls_back_only_when_it_is_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Settings.model_fields["cache_dir"], "default", tmp_path / "data")
    Settings.model_rebuild(force=True)
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
        cache = find_cache_folder(read_settings({}))
        assert cache.path == tmp_path / "own" / "asr-api"
        assert cache.note is not None
        assert str(tmp_path / "data") in cache.note
        assert list(tmp_path.iterdir()) == []  # a download creates the folder

        (tmp_path / "own").write_text("")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as without a home folder
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
    assert closed.problem == f"CACHE_DIR is '{closed.path}', which cannot be written; change its owner or name another."


def test_an_unwritable_folder_for_uploads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    check_spool_folder()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    sentence = r"^TMPDIR is '.*gone', which cannot be written; set it to a folder that can"
    with pytest.raises(SettingsError, match=sentence):
        check_spool_folder()
    monkeypatch.delenv("TMPDIR")
    check_spool_folder()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))  # as where no usual folder can be written
    with pytest.raises(SettingsError, match=r"^TMPDIR is not set, and no usual folder"):
        check_spool_folder()
