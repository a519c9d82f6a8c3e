"""MemoryPlan that keep the code readable. An exception is named here, with its reason, or it is not one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import asr_api

PACKAGE = Path(asr_api.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 80
USUAL_FUNCTION_LINES = 40
MAX_PARAMETERS = 6
MAX_NESTING = 3

BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> list[Function]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def num_lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def nesting(node: ast.AST) -> int:
    """Depth of blocks below `node`; an elif stays on the level of its if, a nested function starts anew."""
    deepest = 0
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            is_elif = name == "orelse" and isinstance(node, ast.If) and isinstance(child, ast.If)
            deepest = max(deepest, nesting(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_has_one_concept_and_says_so(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= MAX_FILE_LINES
    assert ast.get_docstring(ast.parse(source)), "a file opens with what goes in, what comes out and what it ignores"
    for function in functions(path):
        arguments = function.args
        num_parameters = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
        num_parameters -= any(argument.arg in {"self", "cls"} for argument in arguments.args[:1])
        where = f"{path.name}:{function.lineno} {function.name}"
        assert num_lines(function) <= MAX_FUNCTION_LINES, where
        assert num_parameters <= MAX_PARAMETERS, where
        assert nesting(function) <= MAX_NESTING, where


def test_most_functions_fit_on_a_screen() -> None:
    lengths = sorted(num_lines(function) for path in FILES for function in functions(path))
    assert lengths[int(len(lengths) * 0.95)] <= USUAL_FUNCTION_LINES
