"""Budgets that keep the code readable. An exception is named here, with its reason, or it is not one."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import asr_api

PACKAGE = Path(asr_api.__file__).parent
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Budget:
    file_lines: int
    function_lines: int
    usual_function_lines: int  # of 95% of the functions
    parameters: int
    nesting: int


BUDGETS = {
    PACKAGE: Budget(file_lines=300, function_lines=64, usual_function_lines=25, parameters=6, nesting=3),
    ROOT / "tests": Budget(file_lines=450, function_lines=80, usual_function_lines=30, parameters=6, nesting=4),
    ROOT / "benchmarks": Budget(file_lines=450, function_lines=80, usual_function_lines=30, parameters=6, nesting=4),
}
FILES = [(path, budget) for folder, budget in BUDGETS.items() for path in sorted(folder.rglob("*.py"))]

BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> list[Function]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def num_lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def num_parameters(node: Function) -> int:
    """Without `self` and `cls`."""
    arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    return len(arguments) - any(argument.arg in {"self", "cls"} for argument in arguments[:1])


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


def name_of(value: object) -> str:
    return value.relative_to(ROOT).as_posix() if isinstance(value, Path) else ""


@pytest.mark.parametrize(("path", "budget"), FILES, ids=name_of)
def test_a_file_keeps_its_budget(path: Path, budget: Budget) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= budget.file_lines
    for function in functions(path):
        where = f"{path.name}:{function.lineno} {function.name}"
        assert num_lines(function) <= budget.function_lines, where
        assert num_parameters(function) <= budget.parameters, where
        assert nesting(function) <= budget.nesting, where


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=name_of)
def test_a_file_says_in_its_first_line_what_is_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("folder", BUDGETS, ids=name_of)
def test_most_functions_fit_on_a_screen(folder: Path) -> None:
    lengths = sorted(num_lines(function) for path in folder.rglob("*.py") for function in functions(path))
    assert lengths[int(len(lengths) * 0.95)] <= BUDGETS[folder].usual_function_lines


SCRIPTS = sorted([*(PACKAGE / "page").rglob("*.js"), *(PACKAGE / "page").rglob("*.css")])


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_file_of_the_page_is_short_and_says_what_is_in_it(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert re.match(r"// \w|/\* \w", lines[0])
    if path.parent.name == "phrases":
        return
    assert len(lines) <= BUDGETS[PACKAGE].file_lines
    assert max(map(len, lines)) <= 120
