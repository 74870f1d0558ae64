"""JSON documents with a long list, written while the list is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dsvc.commands.output import Output
from dsvc.commands.path_text import exact_json


def stream_json(
    out: Output,
    schema: str,
    payload: Mapping[str, Any],
    *,
    key: str,
    items: Iterable[Mapping[str, Any]],
    version: int = 1,
) -> None:
    """Print one JSON document that begins with `schema` and `version` and ends with the list `key` of `items`.

    Each item stands on a line of its own, and memory does not grow with their number.
    """
    head = _one_line({"schema": schema, "version": version, **payload})
    out.text(f"{head[:-1]}, {json.dumps(key)}: [")
    separator = "\n"
    for item in items:
        out.text(separator + _one_line(item))
        separator = ",\n"
    out.text("]}\n" if separator == "\n" else "\n]}\n")


def _one_line(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return json.dumps(exact_json(dict(value)), ensure_ascii=True) if "\\ud" in text else text
