"""What a model says that it needs, in a `runtime-requirements.txt`, against what there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

REQUIREMENTS: Final = "runtime-requirements.txt"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def missing_requirements(text: str, version_of: Callable[[str], str | None]) -> list[tuple[str, str]]:
    """Return the lines that are not met, each with the version that there is instead or an empty text.

    `version_of` returns the version of a package by its name, None where it is not there. Options, addresses and what
    is for other systems are no lines that can be checked. Without `packaging` names alone are compared.
    """
    missing = []
    for line, name in _lines(text):
        there = version_of(name)
        if there is None or not _satisfies(line, there):
            missing.append((line, there or ""))
    return missing


def told(missing: list[tuple[str, str]]) -> str:
    """Return such lines for a message."""
    return ", ".join(f"{line} (there is {there})" if there else line for line, there in missing[:10])


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        found = _NAME.match(line)
        if found is not None and " @ " not in line and _is_for_here(line):
            yield line, found[0]


def _is_for_here(line: str) -> bool:
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ModuleNotFoundError:
        return True
    try:
        marker = Requirement(line).marker
    except InvalidRequirement:
        return True
    return marker is None or marker.evaluate()


def _satisfies(line: str, there: str) -> bool:
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ModuleNotFoundError:
        return True
    try:
        return Requirement(line).specifier.contains(there, prereleases=True)
    except InvalidRequirement:
        return True
