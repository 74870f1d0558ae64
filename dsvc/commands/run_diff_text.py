"""How the difference of two runs is shown to people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsvc.actions.runs_diff import PinChange, RunsDiff, ValueChange
from dsvc.commands.context import Context
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.run_text import pin_json, plain_json, shell_text, value_text
from dsvc.history.treediff import Change
from dsvc.objects.codec import Value
from dsvc.runs.names import short_key


def print_diff(context: Context, found: RunsDiff) -> None:
    """Print what differs, old beside new."""
    out = context.out
    names = [short_key(run.key) for run in (found.old, found.new)]
    if found.is_same():
        out.line(f"{names[0]} and {names[1]}: no difference")
        return
    rows: list[list[str]] = []
    for title, changes in (("", found.facts), ("Parameters", found.params), ("Metrics", found.metrics)):
        rows += _section(title, [_value_row(change) for change in changes])
    for title, pins in (("Inputs", found.inputs), ("Outputs", found.outputs)):
        rows += _section(title, [_pin_row(change) for change in pins])
    code = [[quote_path(c.path), *(_id(e.id if e else None) for e in (c.old, c.new))] for c in _code(found)]
    rows += _section("Code", code)
    out.table(rows, header=["", *names])
    if found.code is None:
        out.note("the code cannot be compared: the state that one of them began from is not here")


def _code(found: RunsDiff) -> Sequence[Change]:
    met = {change.path for change in (*found.inputs, *found.outputs)}
    return [change for change in found.code or () if change.path not in met]


def _section(title: str, rows: list[list[str]]) -> list[list[str]]:
    return [[title], *([f"  {row[0]}", *row[1:]] for row in rows)] if title and rows else rows


def _value_row(change: ValueChange) -> list[str]:
    return [change.name, _text(change.name, change.old), _text(change.name, change.new)]


def _text(name: str, value: Value) -> str:
    if value is None:
        return "-"
    if name == "command" and isinstance(value, tuple):
        return shell_text([word for word in value if isinstance(word, (str, bytes))])
    return value[:10] if name == "environment" and isinstance(value, str) else value_text(value)


def _pin_row(change: PinChange) -> list[str]:
    return [quote_path(change.path), *(_id(pin.id if pin is not None else None) for pin in (change.old, change.new))]


def _id(found: bytes | None) -> str:
    return found.hex()[:10] if found is not None else "-"


def diff_json(found: RunsDiff) -> dict[str, Any]:
    """The difference of two runs as an object of a JSON document."""
    return {
        "old": found.old.key.hex(),
        "new": found.new.key.hex(),
        "same": found.is_same(),
        "facts": [_value_json(change) for change in found.facts],
        "params": [_value_json(change) for change in found.params],
        "metrics": [_value_json(change) for change in found.metrics],
        "inputs": [_pin_json(change) for change in found.inputs],
        "outputs": [_pin_json(change) for change in found.outputs],
        "code": None
        if found.code is None
        else [
            {**path_json(c.path), "old": c.old.id.hex() if c.old else None, "new": c.new.id.hex() if c.new else None}
            for c in found.code
        ],
    }


def _value_json(change: ValueChange) -> dict[str, Any]:
    return {"name": change.name, "old": plain_json(change.old), "new": plain_json(change.new)}


def _pin_json(change: PinChange) -> dict[str, Any]:
    return {
        **path_json(change.path),
        "old": pin_json(change.old) if change.old is not None else None,
        "new": pin_json(change.new) if change.new is not None else None,
    }
