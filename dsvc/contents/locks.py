"""The driver for lockfiles: uv.lock, poetry.lock, pdm.lock, pylock.toml, Cargo.lock and requirements, by package.

A package's text is moved as it is. Nothing is resolved anew here: a merge is a function of its three contents, and a
note names the command that checks the result. `package-lock.json` has keys for its packages, and is merged as JSON.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from dsvc.contents.driver import (
    ContentDiff,
    ContentMerge,
    ContentSummary,
    Line,
    MergeLabels,
    Settings,
    Source,
    UnfitError,
)
from dsvc.contents.params import toml_text
from dsvc.contents.params.parts import Form, Part, PartMerge
from dsvc.contents.sizes import counted

NAME = "lock"
MERGE_LIMIT = 64 << 20

_LIMIT = 64 << 20
_SHOWN = 200
_FORM = Form(join=lambda _, name: name)
_PACKAGE = re.compile(r"\[\[packages?\]\][ \t]*(?:#.*)?$")
_TABLE = re.compile(r"\[\[?\s*([A-Za-z0-9_\"'-]+)")
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(.*?)\s*(?:\\|#.*)?$")
_CHECKS = {
    "uv.lock": "uv lock", "poetry.lock": "poetry lock", "pdm.lock": "pdm lock",
    "Cargo.lock": "cargo update --workspace",
}  # fmt: skip


def diff(old: Source | None, new: Source | None, settings: Settings) -> ContentDiff:
    """Say which packages came, went and have another version."""
    before, after = (_versions(source, settings) if source is not None else {} for source in (old, new))
    lines: list[Line] = []
    rows: list[dict[str, Any]] = []
    for name in sorted({*before, *after}):
        a, b = before.get(name), after.get(name)
        if a == b:
            continue
        change = "added" if a is None else "removed" if b is None else "changed"
        rows.append({"package": name, "change": change, "old": a and a[0], "new": b and b[0]})
        if a is None or b is None:
            tone, sign, version = ("added", "+", b) if a is None else ("removed", "-", a)
            lines.append(
                Line("added" if tone == "added" else "removed", f"{sign}{name} {version and version[0]}".rstrip())
            )
        else:
            same = a[0] == b[0]
            lines.append(
                Line("changed", f" {name} {a[0]}, other files or markers" if same else f" {name} {a[0]} -> {b[0]}")
            )
    counts = Counter(row["change"] for row in rows)
    if old is None or new is None or lines:
        told = ", ".join(f"{counts[word]:,} {word}" for word in ("changed", "added", "removed") if counts[word])
        lines.insert(0, Line("head", f"{counted(max(len(before), len(after)), 'package')}{': ' if told else ''}{told}"))
    more = len(lines) - _SHOWN
    lines = [*lines[:_SHOWN], *([Line("dim", f" ... {more:,} more")] if more > 0 else [])]
    return ContentDiff(tuple(lines) if rows else (), {"kind": NAME, "packages": rows})


def merge(base: Source | None, ours: Source, theirs: Source, labels: MergeLabels, settings: Settings) -> ContentMerge:
    """Merge package by package; one that both sides changed in two ways is a conflict."""
    texts = [_text(source) if source is not None else None for source in (base, ours, theirs)]
    if any(text is not None and "\r" in text for text in texts):
        raise UnfitError("line ends of Windows")
    sides = [_parts(text, settings) if text is not None else None for text in texts]
    work = PartMerge(labels, _FORM, marked=True)
    text = work.merge(sides[0], sides[1], sides[2], "")
    assert text is not None
    if not work.conflicts:
        _parts(text, settings)  # it can still be read, and no package stands twice
    notes = [f"{key or 'all of it'}: changed by both sides" for key in work.conflicts] + work.notes
    name = settings.path.rpartition(b"/")[2].decode("utf-8", "replace")
    if texts[1] != texts[2] and name in _CHECKS and text not in (texts[1], texts[2]):
        notes.append(f"'{_CHECKS[name]}' says whether these packages fit together")
    return ContentMerge((text.encode("utf-8", "surrogatepass"),), len(work.conflicts), tuple(notes))


def summary(source: Source, settings: Settings) -> ContentSummary:
    """Say how many packages there are."""
    found = _versions(source, settings)
    lines = [Line("plain", counted(len(found), "package"))]
    lines += [Line("plain", f"  {name} {version}".rstrip()) for name, (version, _) in [*sorted(found.items())][:_SHOWN]]
    rows = [{"package": name, "version": version} for name, (version, _) in sorted(found.items())]
    return ContentSummary(tuple(lines), {"kind": NAME, "packages": rows}, instead=False)


def page(old: Source | None, new: Source | None, settings: Settings) -> str | None:
    """Leave it to the lines."""
    del old, new, settings
    return None


def _text(source: Source) -> str:
    try:
        return source.read(_LIMIT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnfitError("not UTF-8") from error


def _versions(source: Source, settings: Settings) -> dict[str, tuple[str, str]]:
    """Return version and text of each package."""
    whole = _parts(_text(source), settings)
    assert whole.below is not None
    return {name: (str(part.value), part.text) for name, part in whole.below.items() if not name.startswith("\0")}


def _parts(text: str, settings: Settings) -> Part:
    """Return a lockfile as a head, its packages by name, and a tail.

    Raises:
        UnfitError: for another text, and where two packages cannot be told apart.
    """
    lines = text.splitlines(keepends=True)
    blocks = list(_requirements(lines)) if settings.suffix in ("txt", "in") else list(_tables(text, lines))
    names = Counter(name for name, *_ in blocks)
    below: dict[str, Part] = {}
    for name, version, start, end in blocks:
        key = f"{name} {version}".rstrip() if names[name] > 1 else name
        if key in below:
            raise UnfitError(f"{key} stands twice")
        block = "".join(lines[start:end])
        below[key] = Part(block if block.endswith("\n") else block + "\n", version)
    first = blocks[0][2] if blocks else len(lines)
    last = blocks[-1][3] if blocks else len(lines)
    return Part(text, None, "".join(lines[:first]), below, "".join(lines[last:]))


def _tables(text: str, lines: list[str]) -> Iterator[tuple[str, str, int, int]]:
    """Yield name, version, first line and the line behind the last one of each `[[package]]`."""
    known = toml_text.values(text)
    listed = known.get("package", known.get("packages"))
    starts = [number for number, line in enumerate(lines) if _PACKAGE.match(line)]
    if not isinstance(listed, list) or len(listed) != len(starts):
        raise UnfitError("its packages are not listed one by one")
    end = len(lines)
    for number in range(starts[-1] + 1, len(lines)) if starts else ():
        found = _TABLE.match(lines[number])
        if found is not None and found[1].strip("\"'") not in ("package", "packages"):
            end = number
            break
    for package, start, behind in zip(listed, starts, [*starts[1:], end], strict=True):
        tables = [found[1] for line in lines[start + 1 : behind] if (found := _TABLE.match(line)) is not None]
        if not isinstance(package, dict) or not set(tables) <= {"package", "packages"}:
            raise UnfitError("something else stands between its packages")
        yield str(package.get("name")), str(package.get("version", "")), start, behind


def _requirements(lines: list[str]) -> Iterator[tuple[str, str, int, int]]:
    """Yield the same for requirements: what is indented or continued belongs to the one above, comments to the next."""
    start: int | None = None
    name = version = ""
    floor = 0
    for number, line in enumerate(lines):
        continued = number > 0 and lines[number - 1].rstrip("\n").endswith("\\")
        if continued or not line.strip() or line[0] in " \t#":
            continue
        at = number
        while at > floor and lines[at - 1].startswith("#"):
            at -= 1
        if start is not None:
            yield name, version, start, at
        found = _REQUIREMENT.match(line.rstrip("\n"))
        if found is not None:
            name, version = re.sub(r"[-_.]+", "-", found[1]).lower(), found[2]
        else:
            name, version = f"\0{line.strip()}", ""  # an option
        start, floor = at, number + 1
    if start is not None:
        yield name, version, start, len(lines)
