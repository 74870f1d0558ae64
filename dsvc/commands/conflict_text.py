"""Conflicts as lines and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsvc.actions.state import Conflict
from dsvc.commands.context import Context
from dsvc.commands.entry_text import kind_word
from dsvc.commands.path_text import path_json, quote_path
from dsvc.objects.reference import shown_id
from dsvc.objects.tree import Entry


def show_conflicts(context: Context, conflicts: Sequence[Conflict]) -> None:
    """Print conflicts to stdout, one a line, with the files that hold the sides."""
    for conflict in conflicts:
        others = [quote_path(p) for p in conflict.files if p != conflict.path]
        beside = f" (see {', '.join(others)})" if others else ""
        kind = context.out.paint(f"CONFLICT ({conflict.kind})", "red")
        context.out.line(f"{kind}: {quote_path(conflict.path)}{beside}{_missing(conflict)}")


def conflict_json(conflict: Conflict) -> dict[str, Any]:
    """A conflict as an object of a JSON document."""
    return {
        **path_json(conflict.path),
        "kind": conflict.kind,
        "base": _entry_json(conflict.base),
        "ours": _entry_json(conflict.ours),
        "theirs": _entry_json(conflict.theirs),
        "files": [path_json(path) for path in conflict.files],
    }


def conflict_letters(conflict: Conflict) -> str:
    """What each side did, in git's letters: AA both added it, DU we deleted it, UD they did, UU both changed it."""
    sides = conflict.base is not None, conflict.ours is not None, conflict.theirs is not None
    return {
        (False, True, True): "AA",
        (False, True, False): "AU",
        (False, False, True): "UA",
        (True, False, False): "DD",
        (True, False, True): "DU",
        (True, True, False): "UD",
    }.get(sides, "UU")


def _missing(conflict: Conflict) -> str:
    if not conflict.kind.endswith("delete"):
        return ""
    return ": deleted by us" if conflict.ours is None else ": deleted by them" if conflict.theirs is None else ""


def _entry_json(entry: Entry | None) -> dict[str, Any] | None:
    return None if entry is None else {"id": shown_id(entry).hex(), "kind": kind_word(entry), "size": entry.size}
