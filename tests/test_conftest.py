"""What every test can rely on, wherever the checkout is and whoever runs it."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_nothing_is_in_the_current_folder_nor_beside_it() -> None:
    assert [str(path) for path in Path("../..").rglob("*")] == ["../../parent", "../../parent/nowhere"]


def test_the_home_is_not_that_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert Path.home().is_relative_to(tmp_path_factory.getbasetemp())
