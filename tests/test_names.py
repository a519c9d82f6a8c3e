"""Names: retired words stay out of identifiers and file names, and one name means one thing."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import asr_api

PACKAGE = Path(asr_api.__file__).parent
ROOT = Path(__file__).parent.parent
FOLDERS = (PACKAGE, ROOT / "tests", ROOT / "benchmarks")
FILES = sorted(path for folder in FOLDERS for path in folder.rglob("*.py"))

# A retired word as a whole word of a name -> what to say instead.
RETIRED = {
    "arena": "shared buffers",
    "bear": "start",
    "born": "started",
    "bury": "reap",
    "dice": "random number generator",
    "draft": "candidate (of decoding)",
    "ear": "encoder",
    "entrance": "lifecycle",
    "exchange": "request limits",
    "gate": "middleware",
    "hear": "transcribe",
    "heard": "transcribed, or the noun: transcript, tokens, words",
    "hearing": "long-form transcription",
    "hears": "transcribes",
    "judge": "assess",
    "ladder": "temperature fallback",
    "lane": "request queue",
    "lanes": "request queues",
    "life": "child process, lifetime",
    "looks": "alignment weights",
    "mourn": "handle the exit",
    "nursery": "fork server",
    "room": "package, module",
    "rooms": "packages, modules",
    "rung": "temperature",
    "rungs": "temperatures",
    "stamp": "timestamp",
    "stamps": "timestamps",
    "ticket": "queued window",
    "tickets": "queued windows",
    "twin": "reference op",
    "twins": "reference ops",
    "verdict": "decision",
    "welcome": "on ready",
    "wish": "option, request",
    "wished": "requested",
    "wishes": "options",
    "wing": "package",
    "wings": "packages",
}
# Names with a retired word in another sense; lanes of a GPU are in the kernels only.
ALLOWED = {"draft_tokens"}
KERNELS = PACKAGE / "engines/cuda/kernels"
ALLOWED_IN_KERNELS = {"lane", "lanes"}

# File names that may occur twice, because they mean the same in each folder.
SHARED_FILE_NAMES = {
    "__init__.py",
    "__main__.py",
    "engine.py",  # one for each kind of engine
    "kv_cache.py",
    "logmel.py",
    "main.py",  # the main function of a program
    "open_engine.py",
    "protocol.py",  # what two sides agree on
    "word_timestamps.py",
}
# Class names that may occur twice, because they mean the same in each file.
SHARED_CLASS_NAMES = {
    "_Sizes",  # of the tensors of one kernel
    "_Tensors",  # of one kernel
}


def words(name: str) -> list[str]:
    """The words of a snake_case or CamelCase name in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def retired_words(name: str) -> list[str]:
    for allowed in ALLOWED:
        name = name.replace(allowed, "")
    return [word for word in words(name) if word in RETIRED]


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Functions, classes, parameters, variables, attributes and aliases that a file defines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name
            case _:
                pass


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_use_the_words_of_the_field(path: Path) -> None:
    names = {*path.relative_to(ROOT).parts, *defined_names(ast.parse(path.read_text(encoding="utf-8")))}
    found = {(word, name) for name in names for word in retired_words(name)}
    if path.is_relative_to(KERNELS):
        found = {(word, name) for word, name in found if word not in ALLOWED_IN_KERNELS}
    assert not [f"{name}: say {RETIRED[word]}" for word, name in sorted(found)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("aggregate_gates", ["aggregate", "gates"]),
        ("HeardWindow", ["heard", "window"]),
        ("_draft2PCMStream", ["draft", "pcm", "stream"]),
        ("has_timestamps", ["has", "timestamps"]),
    ],
)
def test_a_name_is_split_into_its_words(name: str, expected: list[str]) -> None:
    assert words(name) == expected


def test_a_class_name_means_one_thing() -> None:
    classes = Counter(
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in classes.items() if count > 1} <= SHARED_CLASS_NAMES


def test_a_file_name_means_one_thing() -> None:
    names = Counter(path.name for path in PACKAGE.rglob("*.py"))
    assert {name for name, count in names.items() if count > 1} <= SHARED_FILE_NAMES
