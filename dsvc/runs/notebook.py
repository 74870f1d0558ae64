"""Notebooks as commands: `analysis.ipynb [EXECUTED.ipynb] [NAME=VALUE | --NAME VALUE]...`.

The form is nbformat 4 (https://nbformat.readthedocs.io). As papermill has it, a cell with the tag `parameters` holds
defaults, and a cell with the tag `injected-parameters` behind it sets what is given.
"""

from __future__ import annotations

import ast
import json
import keyword
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dsvc.errors import RequestError, UsageError
from dsvc.objects.codec import Value
from dsvc.runs.params import is_option, params_of_words, parse_assignment, parse_value
from dsvc.runs.values import clean_text, storable

SUFFIX: Final = ".ipynb"
LOG: Final = "notebook"  # name of the executed notebook among the logs of a run
META: Final = "notebook"  # name of the metadata
_LARGEST = 256 << 20  # bytes
_MOST_ERRORS = 100
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class BadNotebookError(RequestError):
    """A file is no notebook."""


@dataclass(frozen=True, slots=True)
class NotebookCall:
    """A notebook to execute: its path as it was given, where its executed form shall lie, and values for its names."""

    path: str
    executed: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict)


def is_notebook(words: Sequence[str | bytes]) -> bool:
    """Say whether a command line begins with the name of a notebook."""
    return bool(words) and isinstance(words[0], str) and words[0].endswith(SUFFIX)


def parse_call(words: Sequence[str]) -> NotebookCall:
    """Return what a command line asks for.

    Raises:
        UsageError: for a word that is neither a notebook nor a value.
    """
    rest = [*words[1:]]
    executed = rest.pop(0) if rest and rest[0].endswith(SUFFIX) and "=" not in rest[0] else None
    values: dict[str, Value] = {}
    at = 0
    while at < len(rest):
        word = rest[at]
        if word in ("-p", "--param", "--parameter") and at + 1 < len(rest):
            name, value = parse_assignment(rest[at + 1])
            values[name] = value
            at += 2
        elif word.startswith("--") and "=" in word:
            values |= params_of_words(["", word])
            at += 1
        elif word.startswith("--") and len(word) > 2:
            takes = at + 1 < len(rest) and not is_option(rest[at + 1])
            values |= params_of_words(["", *rest[at : at + 1 + takes]])
            at += 1 + takes
        elif "=" in word:
            name, value = parse_assignment(word)
            values[name] = value
            at += 1
        else:
            raise UsageError(
                f"{word!r} is no value for the notebook", hint=f"dsvc run {words[0]} [EXECUTED{SUFFIX}] lr=0.1"
            )
    for name in values:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise UsageError(f"the parameter {name!r} can be no name in a notebook", hint="lr=0.1")
    return NotebookCall(words[0], executed, values)


def call_words(call: NotebookCall) -> list[str]:
    """Return the command line of a call, from which `parse_call` makes the same."""
    words = [call.path, *([call.executed] if call.executed is not None else [])]
    for name, value in call.values.items():
        text = value if isinstance(value, str) and parse_value(value) == value else json.dumps(_plain(value))
        words.append(f"--{name}={text}")
    return words


def read_notebook(path: Path) -> dict[str, Any]:
    """Return the JSON of a notebook of form 4.

    Raises:
        BadNotebookError: when it cannot be read or is none.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise BadNotebookError(f"{path.name} has more than {_LARGEST >> 20} MiB")
        found: Any = json.loads(data)
    except OSError as error:
        raise BadNotebookError(f"the notebook {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadNotebookError(f"{path} is no notebook: {error}") from error
    cells = found.get("cells") if isinstance(found, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells) or found.get("nbformat") != 4:
        raise BadNotebookError(f"{path} is no notebook of nbformat 4", hint="jupyter nbconvert --to notebook makes one")
    return dict(found)


def language(document: Mapping[str, Any]) -> str:
    """Return the name of the language of a notebook, in small letters."""
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    for name, key in (("kernelspec", "language"), ("language_info", "name")):
        found = metadata.get(name)
        if isinstance(found, dict) and isinstance(found.get(key), str):
            return str(found[key]).lower()
    return "python"


def defaults(document: Mapping[str, Any]) -> dict[str, Value]:
    """Return what the cell with the tag `parameters` sets: names of plain values, in Python."""
    found: dict[str, Value] = {}
    for cell in document["cells"]:
        if "parameters" not in _tags(cell):
            continue
        try:
            body = ast.parse(text_of(cell.get("source"))).body
        except (SyntaxError, ValueError, RecursionError):
            break
        for line in body:
            match line:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    pass
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    pass
                case _:
                    continue
            try:
                found[name] = storable(ast.literal_eval(value))
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
        break
    return found


def cell_of_values(values: Mapping[str, Value]) -> dict[str, Any] | None:
    """Return the cell that sets these names in Python; None where there are none."""
    if not values:
        return None
    lines = ["# Parameters", *(f"{name} = {_literal(value)}" for name, value in values.items())]
    return {
        "cell_type": "code",
        "id": "injected-parameters",
        "execution_count": None,
        "metadata": {"tags": ["injected-parameters"]},
        "outputs": [],
        "source": "\n".join(lines),
    }


def report(document: Mapping[str, Any]) -> dict[str, Value]:
    """Return how many code cells an executed notebook has, how many came to an end, and which failed.

    An error is a map: `cell`, its number among all cells from 1, `name`, `text`.
    """
    errors: list[Value] = []
    code = executed = 0
    for number, cell in enumerate(document["cells"], 1):
        if cell.get("cell_type") != "code" or not text_of(cell.get("source")).strip():
            continue
        code += 1
        executed += isinstance(cell.get("execution_count"), int)
        for output in outputs_of(cell):
            if output.get("output_type") == "error" and len(errors) < _MOST_ERRORS:
                name, text = (clean_text(str(output.get(key, ""))) for key in ("ename", "evalue"))
                errors.append({"cell": number, "name": name, "text": text})
    return {"cells": code, "executed": executed, **({"errors": tuple(errors)} if errors else {})}


def has_failed(cell: Mapping[str, Any]) -> bool:
    """Say whether a cell ended by an exception that its tags do not allow."""
    return "raises-exception" not in _tags(cell) and any(
        output.get("output_type") == "error" for output in outputs_of(cell)
    )


def failure(document: Mapping[str, Any]) -> str:
    """Return what is to be said of the last cell that failed, its traceback included."""
    for number, cell in reversed([*enumerate(document["cells"], 1)]):
        for output in outputs_of(cell):
            if has_failed(cell) and output.get("output_type") == "error":
                trace = _ESCAPES.sub("", "\n".join(map(str, output.get("traceback", ()))))
                text = f"cell {number}: {output.get('ename')}: {output.get('evalue')}"
                return clean_text(f"{text}\n{trace}" if trace else text, 8000)
    return ""


def printed(cell: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts that a cell printed or showed."""
    for output in outputs_of(cell):
        data = output.get("data")
        if output.get("output_type") == "stream":
            yield text_of(output.get("text"))
        elif isinstance(data, dict):
            yield text_of(data.get("text/plain")) + "\n"


def outputs_of(cell: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the outputs of a cell."""
    found = cell.get("outputs")
    return [output for output in found if isinstance(output, dict)] if isinstance(found, list) else []


def text_of(value: object) -> str:
    """Return a text that may be a list of lines."""
    if isinstance(value, list):
        return "".join(map(str, value))
    return value if isinstance(value, str) else ""


def _tags(cell: Mapping[str, Any]) -> Sequence[object]:
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return tags if isinstance(tags, list) else ()


def _literal(value: Value) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {_literal(item)}" for name, item in value.items()) + "}"
    return repr(value)


def _plain(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
