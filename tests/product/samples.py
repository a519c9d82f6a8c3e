"""The samples of the repository: their texts, and a server with the built-in model, which knows them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from tests.server.running import ROOT, Server, serving

SAMPLES = ROOT / "samples"


def sample_texts() -> dict[str, str]:
    """File name → text."""
    lines = (SAMPLES / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.partition("\t") for line in lines if line and not line.startswith("file\t")]
    return {name: text for name, _, text in rows}


def words(text: str) -> list[str]:
    """Lower-case words without punctuation: what two transcripts must share."""
    return "".join(c.lower() if c.isalnum() or c == "'" else " " for c in text).split()


def running_server(folder: Path) -> AbstractContextManager[Server]:
    return serving(folder, MODEL_ID="builtin")
