"""Prints pip constraints that hold every dependency of pyproject.toml at the lowest version it allows."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:>=|==)([^,;\s]+)")


def lowest_versions(requirements: Iterable[str]) -> list[str]:
    """`name==floor` for each requirement `name>=floor`. One without a floor is an error."""
    found = []
    for requirement in requirements:
        match = REQUIREMENT.match(requirement)
        if match is None:
            message = f"{requirement!r} has no lowest version; write it as name>=version"
            raise ValueError(message)
        found.append(f"{match[1]}=={match[2]}")
    return found


def main(extras: Iterable[str]) -> None:
    """extras: those whose dependencies are constrained, too"""
    pyproject = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    requirements = list(project["dependencies"])
    for extra in extras:
        requirements += project["optional-dependencies"][extra]
    print("\n".join(lowest_versions(requirements)))  # noqa: T201  # the output of a script


if __name__ == "__main__":
    main(sys.argv[1:])
