"""Documents are compared with the code. `python -m tests.test_docs` writes the settings table of the README anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import asr_api
from asr_api import errors
from asr_api.metrics import Metrics
from asr_api.settings.api_keys import read_api_keys
from asr_api.settings.settings import Settings, read_settings, settings_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- settings:begin -->\n", "<!-- settings:end -->"
FOLDERS = ("benchmarks", "deploy", "docs", "src")
SECURITY, OPERATIONS = ROOT / "SECURITY.md", ROOT / "docs/operations.md"
VARIABLES_OF_OTHERS = {
    *(
        "CA_BUNDLE",
        "CUDA_VISIBLE_DEVICES",
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_TOKEN_FILE",
        "PIP_CONFIG_FILE",
        "SALAD_API_KEY",
    ),
    *("HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPTIMUM_CLI"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME", "PYTEST_FUZZ_S", "PYTEST_MUTATIONS", "PYTHON", "TMPDIR"),
}
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
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {asr_api.__version__}\n" in citation


def test_the_tests_of_the_security_policy_exist() -> None:
    """Each link to a test file is followed by the names of tests in it, or by none."""
    parts = re.split(r"\]\((tests/[^)]+)\)", SECURITY.read_text(encoding="utf-8"))
    named = [
        (file, set(re.findall(r"`(test_\w+)`", text))) for file, text in zip(parts[1::2], parts[2::2], strict=True)
    ]
    assert sum(len(tests) for _, tests in named) > 20
    for file, tests in named:
        assert tests <= set(re.findall(r"def (test_\w+)", (ROOT / file).read_text(encoding="utf-8"))), file


@pytest.mark.parametrize("page", [SECURITY, OPERATIONS], ids=lambda page: page.stem)
def test_settings_and_metrics_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = {name.upper() for name in Settings.model_fields} | {"TMPDIR"}
    assert {name for name in re.findall(r"`([A-Z][A-Z_]{3,})[=`]", text) if not name.startswith("OTEL_")} <= known
    (metrics := Metrics()).for_model("")
    shown = set(re.findall(r"^(\w+)", metrics.render().decode(), re.MULTILINE))
    assert set(re.findall(r"\b(?:asr|process)_[a-z_]+", text)) <= shown


def test_the_operations_page_lists_every_metric_with_its_help() -> None:
    listed = re.findall(
        r"^\| `(asr_\w+?)(?:_total|_bucket)?` \| (.+) \|$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE
    )
    families = [family for family in Metrics().registry.collect() if family.name.startswith("asr_")]
    assert listed == [(family.name, family.documentation) for family in families]


def test_the_operations_page_lists_every_label_with_its_values() -> None:
    rows = re.findall(
        r"^- `(asr_\w+?)(?:_total|_bucket)` has `(\w+)`: (.+)\.$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE
    )
    listed = {(family, label): re.findall(r"`(\w+)`", values) for family, label, values in rows}
    (metrics := Metrics()).for_model("")
    known: dict[tuple[str, str], list[str]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            for label in sample.labels.keys() - {"model", "le"}:
                values = known.setdefault((family.name, label), [])
                values += {sample.labels[label]} - set(values)
    assert listed == known


def test_the_error_codes_of_the_operations_page_exist() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (`.+?) \|", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE)
    named = {(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert len(named) >= 6
    assert named <= {(error.status, error.code) for error in vars(errors).values() if hasattr(error, "code")}


def test_the_key_file_of_the_operations_page_is_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.+?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)
    digests = (f'"{digit * 64}"' for digit in "ab")
    (file := tmp_path / "keys.toml").write_text(re.sub('"…"', lambda _: next(digests), example))
    assert read_api_keys(read_settings({"api_keys_file": str(file)}))


if __name__ == "__main__":
    README.write_text(readme_with_table(), encoding="utf-8")
