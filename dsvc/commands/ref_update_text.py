"""How commands tell which refs a fetch or a push moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsvc.actions.ref_update import RefUpdate
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.ref_text import SHORT
from dsvc.refs.names import HEADS, TAGS, short_name
from dsvc.refs.view import Direct

_WORDS = {"new": "new", "deleted": "deleted", "rejected": "rejected"}


def update_json(update: RefUpdate) -> dict[str, Any]:
    """One ref as `--json` shows it; names are full ones."""
    return {
        "theirs": update.theirs,
        "ours": update.ours,
        "old": _hex(update.old),
        "new": _hex(update.new),
        "outcome": update.outcome,
        "reason": update.reason or None,
    }


def show_updates(context: Context, updates: Sequence[RefUpdate], *, pushed: bool) -> None:
    """Tell people a line a ref, with arrows in the direction of the transfer; what stayed the same is left out."""
    shown = [update for update in updates if update.outcome != "same"]
    rows = [(_mark(u), _what(u), *_names(u, pushed=pushed), u) for u in shown]
    width = max((len(row[1]) for row in rows), default=0)
    left = max((len(row[2]) for row in rows), default=0)
    for mark, what, source, target, update in rows:
        arrow = f"{source:<{left}} -> {target}" if source else target
        colour = {"rejected": "red", "forced": "yellow", "deleted": "red"}.get(update.outcome, "green")
        reason = f"  ({update.reason})" if update.reason else ""
        forced = "  (forced)" if update.outcome == "forced" else ""
        line = f" {context.out.paint_error(mark, colour)} {what:<{width}}  {arrow}{forced}{reason}"
        context.out.note(line)


def show_runs(context: Context, names: Sequence[str]) -> None:
    """Tell people how many runs came along; there may be thousands, so none is named."""
    if names:
        count = counted(len({name.split("/")[1] for name in names}), "run")
        context.out.note(f" {context.out.paint_error('*', 'green')} {count}")


def _mark(update: RefUpdate) -> str:
    return {"new": "*", "moved": " ", "forced": "+", "deleted": "-", "rejected": "!", "same": "="}[update.outcome]


def _what(update: RefUpdate) -> str:
    if update.outcome in _WORDS:
        kind = "branch" if update.theirs.startswith(HEADS) else "tag" if update.theirs.startswith(TAGS) else "ref"
        word = _WORDS[update.outcome]
        return f"[{word} {kind}]" if word == "new" else f"[{word}]"
    dots = "..." if update.outcome == "forced" else ".."
    return f"{_hex(update.old, SHORT)}{dots}{_hex(update.new, SHORT)}"


def _names(update: RefUpdate, *, pushed: bool) -> tuple[str, str]:
    theirs = short_name(update.theirs)
    ours = short_name(update.ours) if update.ours else ""
    if update.new is None:
        return "", theirs if pushed else ours
    return (ours, theirs) if pushed else (theirs, ours)


def _hex(ref: Direct | None, digits: int | None = None) -> str | None:
    return None if ref is None else ref.id.hex()[:digits]
