"""Documents are compared with the code. `python -m tests.test_docs` writes the settings table of the README anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import asr_api
from asr_api.settings.settings import Settings, settings_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- settings:begin -->\n", "<!-- settings:end -->"
FOLDERS = ("benchmarks", "docs", "src")
VARIABLES_OF_OTHERS = {"HF_HUB_OFFLINE", "HF_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPTIMUM_CLI", "PYTHON"}
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])


def readme_with_table() -> str:
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + settings_table().strip() + "\n" + END + rest.partition(END)[2]


def test_the_settings_table_of_the_readme_is_that_of_the_code() -> None:
    assert README.read_text(encoding="utf-8") == readme_with_table(), "run: python -m tests.test_docs"


def test_every_variable_that_the_documents_set_exists() -> None:
    known = {name.upper() for name in Settings.model_fields} | VARIABLES_OF_OTHERS
    for page in PAGES:
        used = set(re.findall(r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)=", page.read_text(encoding="utf-8")))
        assert used <= known, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda page: page.stem)
def test_a_decision_fits_on_a_screen(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("\n") <= 40
    assert re.match(rf"# {page.stem[:4]}: ", text)
    assert "What would change our mind" in text


def test_the_changelog_starts_with_this_version() -> None:
    newest = re.search(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == asr_api.__version__
    assert f'version = "{asr_api.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


if __name__ == "__main__":
    README.write_text(readme_with_table(), encoding="utf-8")
