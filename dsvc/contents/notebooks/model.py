"""Notebooks of every format version as cells, and how they are written again in the form they were read in.

The format is nbformat's (https://nbformat.readthedocs.io/en/latest/format_description.html). Versions 1 to 3 name some
fields otherwise and keep cells in worksheets; the names in use stand in `Fields`. Nothing is imported for that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dsvc.contents.driver import Source, UnfitError

LIMIT = 256 << 20  # bytes of a notebook that is read; they grow by the images in them
_TOKEN = re.compile(r"\w+|[^\w\s]")
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fields:
    """What a format version calls the source of a cell and the counter of its runs."""

    code: str
    text: str
    counter: str


_BY_MAJOR = {
    1: Fields("code", "text", "prompt_number"),
    2: Fields("input", "source", "prompt_number"),
    3: Fields("input", "source", "prompt_number"),
    4: Fields("source", "source", "execution_count"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its JSON as it is in the file, and what is compared."""

    raw: Json
    kind: str
    source: str
    source_key: str
    counter_key: str
    tokens: frozenset[str]

    @property
    def id(self) -> str | None:
        """The id of the cell, from format 4.5 on."""
        found = self.raw.get("id")
        return found if isinstance(found, str) else None

    @property
    def outputs(self) -> list[Json]:
        """What the cell printed, empty for cells without code."""
        found = self.raw.get("outputs")
        return found if isinstance(found, list) else []

    @property
    def counter(self) -> int | None:
        """The number of the run that wrote the outputs."""
        found = self.raw.get(self.counter_key)
        return found if isinstance(found, int) else None


@dataclass(frozen=True, slots=True)
class Form:
    """How the JSON of a file is laid out."""

    indent: int | str | None
    ascii: bool
    end: str
    separators: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook: its JSON, version, cells and layout."""

    raw: Json
    major: int
    minor: int
    cells: tuple[Cell, ...]
    form: Form

    @property
    def metadata(self) -> Json:
        """What is said of the whole notebook."""
        found = self.raw.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def language(self) -> str:
        """The language of its code, empty where it is not said."""
        for key, inner in (("language_info", "name"), ("kernelspec", "language"), ("kernelspec", "name")):
            found = self.metadata.get(key)
            if isinstance(found, dict) and isinstance(found.get(inner), str):
                return str(found[inner])
        return ""


def read(source: Source | None) -> Notebook | None:
    """Read a notebook; None for none.

    Raises:
        UnfitError: for what is no notebook, with the place of the first mistake.
    """
    if source is None:
        return None
    try:
        text = source.read(LIMIT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnfitError("not UTF-8") from error
    try:
        raw = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise UnfitError(f"no JSON: {error.msg} in line {error.lineno}") from error
    except RecursionError as error:
        raise UnfitError("nested too deeply") from error
    except UnfitError:
        raise
    except ValueError as error:  # Python reads no integers of more than some thousand digits
        raise UnfitError("a number with too many digits") from error
    if not isinstance(raw, dict):
        raise UnfitError("a notebook is a JSON object")
    major, minor = raw.get("nbformat", 1), raw.get("nbformat_minor", 0)
    if not _is_count(major) or not _is_count(minor):
        raise UnfitError("nbformat is no number")
    fields = _BY_MAJOR.get(major)
    if fields is None:
        raise UnfitError(f"notebook format {major} is not known")
    cells = tuple(_cell(cell, number, fields) for number, cell in enumerate(_places(raw, major), 1))
    for key in ("metadata",):
        if not isinstance(raw.get(key, {}), dict):
            raise UnfitError(f"{key} is no object")
    return Notebook(raw, major, minor, cells, _form(text))


def write(raw: Json, form: Form) -> bytes:
    """Write a notebook's JSON in the layout of a file."""
    dumped = json.dumps(raw, indent=form.indent, ensure_ascii=form.ascii, separators=form.separators) + form.end
    try:
        return dumped.encode("utf-8")
    except UnicodeEncodeError:  # half a character in a string
        return (json.dumps(raw, indent=form.indent, separators=form.separators) + form.end).encode("ascii")


def with_cells(raw: Json, major: int, cells: list[Json]) -> Json:
    """Return the JSON of a notebook with other cells."""
    if major in (1, 4):
        return {**raw, "cells": cells}
    sheets = raw.get("worksheets") or [{"cells": [], "metadata": {}}]
    return {**raw, "worksheets": [{**sheets[0], "cells": cells}]}


def with_source(cell: Json, key: str, text: str) -> Json:
    """Return a cell with another source, in lines where it was in lines."""
    known = cell.get(key)
    value: object = text if isinstance(known, str) else text.splitlines(keepends=True)
    return {**cell, key: value}


def joined(value: object) -> str:
    """Return a text that may be written as a list of lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    raise UnfitError("a text is neither text nor a list of lines")


def settle_ids(cells: Sequence[Json], *, wanted: bool) -> list[Json]:
    """Give each cell an id of its own where the format has ids, and none where it has not.

    New ids follow from what is in the cell, so that two machines make the same.
    """
    if not wanted:
        return [{key: value for key, value in cell.items() if key != "id"} for cell in cells]
    from blake3 import blake3

    taken: set[str] = set()
    settled: list[Json] = []
    for number, cell in enumerate(cells):
        name = cell.get("id")
        salt = 0
        while not isinstance(name, str) or not _ID.fullmatch(name) or name in taken:
            content = json.dumps([number, salt, cell.get("source"), cell.get("cell_type")]).encode("ascii")
            name = blake3(content).hexdigest(4)
            salt += 1
        taken.add(name)
        settled.append({**cell, "id": name})
    return settled


def _object(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnfitError("a key stands twice in one object")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _places(raw: Json, major: int) -> Iterator[object]:
    if major in (1, 4):
        cells = raw.get("cells")
    else:
        sheets = raw.get("worksheets")
        if not isinstance(sheets, list) or len(sheets) > 1 or not all(isinstance(sheet, dict) for sheet in sheets):
            raise UnfitError("a notebook of this version has one worksheet")
        cells = sheets[0].get("cells") if sheets else []
    if not isinstance(cells, list):
        raise UnfitError("a notebook has a list of cells")
    yield from cells


def _cell(raw: object, number: int, fields: Fields) -> Cell:
    if not isinstance(raw, dict) or not isinstance(raw.get("cell_type"), str):
        raise UnfitError(f"cell {number} has no type")
    kind = raw["cell_type"]
    key = fields.code if kind == "code" else fields.text
    try:
        source = joined(raw.get(key, ""))
    except UnfitError as error:
        raise UnfitError(f"cell {number}: {error}") from error
    outputs = raw.get("outputs", [])
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise UnfitError(f"cell {number}: outputs are no list of objects")
    for name in ("metadata", "attachments"):
        if not isinstance(raw.get(name, {}), dict):
            raise UnfitError(f"cell {number}: {name} is no object")
    return Cell(raw, kind, source, key, fields.counter, frozenset(_TOKEN.findall(source[:20_000])))


def _form(text: str) -> Form:
    inner = re.match(r"[{\[]\r?\n([ \t]+)", text)
    indent: int | str | None = None
    if inner is not None:
        indent = len(inner[1]) if not inner[1].strip(" ") else inner[1]
    loose = inner is not None or '": ' in text[:200]
    separators = (",", ": ") if inner is not None else (", ", ": ") if loose else (",", ":")
    end = "\n" if text.endswith("\n") else ""
    return Form(indent, text.isascii() and "\\u" in text, end, separators)
