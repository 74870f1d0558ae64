"""JSON documents with a long list, written while the list is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dsvc.commands.output import Output


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
    head = json.dumps({"schema": schema, "version": version, **payload}, ensure_ascii=True)
    out.text(f"{head[:-1]}, {json.dumps(key)}: [")
    separator = "\n"
    for item in items:
        out.text(separator + json.dumps(item, ensure_ascii=True))
        separator = ",\n"
    out.text("]}\n" if separator == "\n" else "\n]}\n")
