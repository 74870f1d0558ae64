"""What `dsvc status` prints. It knows nothing of the parser: see `short_way`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dsvc.actions.status import StatusResult, status
from dsvc.commands.context import Context
from dsvc.commands.distance_text import distance_counts
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.status_text import status_letter, status_lines
from dsvc.history.treediff import Change
from dsvc.objects.reference import shown_id
from dsvc.refs.names import short_name

if TYPE_CHECKING:
    from dsvc.actions.filediff import FileDiff


@dataclass(frozen=True, slots=True)
class Form:
    """How it is asked for: the options of the command."""

    short: bool = False
    branch: bool = False
    porcelain: bool = False
    zero: bool = False
    untracked: Literal["no", "normal", "all"] = "normal"
    json: bool = False


def show_status(context: Context, paths: Sequence[str], form: Form) -> None:
    """Print what a commit would take."""
    workspace = context.workspace()
    selected = [p for p in (workspace.repo_path(p, context.directory) for p in paths) if p]
    result = status(workspace, paths=selected, all_files=form.untracked == "all" or form.json, ids=form.json)
    untracked = form.untracked != "no"
    if form.json:
        _json(context, result)
    elif form.short or form.porcelain or form.zero:
        _short(context, result, branch=form.branch, zero=form.zero, untracked=untracked)
    else:
        for line in status_lines(result, context.out.paint, untracked=untracked):
            context.out.line(line)
    for skipped in result.skipped:
        context.out.warn(f"{quote_path(skipped.path)} cannot be versioned: {skipped.reason}")


def _rows(result: StatusResult, *, untracked: bool) -> list[tuple[str, bytes, bytes | None]]:
    """Return (letters, path, old path of a renamed file) in git's order."""
    conflicts = {c.path: c for c in result.state.conflicts} if result.state else {}
    rows: list[tuple[str, bytes, bytes | None]] = []
    if conflicts:
        from dsvc.commands.conflict_text import conflict_letters

        rows += [(conflict_letters(conflict), path, None) for path, conflict in conflicts.items()]
    rows += [(f" {status_letter(c)}", c.path, None) for c in result.changes if c.path not in conflicts]
    rows += [("A ", c.path, None) for c in result.added if c.path not in conflicts]
    rows += [("R ", file.path, file.old_path) for file in result.renamed]
    rows.sort(key=lambda row: row[2] or row[1])
    if untracked:
        rows += [("??", path, None) for path in result.new if path not in conflicts]
    return rows


def _short(context: Context, result: StatusResult, *, branch: bool, zero: bool, untracked: bool) -> None:
    out = context.out
    lines: list[bytes] = []
    if branch:
        name = short_name(result.branch) if result.branch else "HEAD (no branch)"
        lines.append(f"## {name}{_short_distance(result)}".encode())
    for letters, path, old_path in _rows(result, untracked=untracked):
        if zero:  # as git does: the new name first
            lines += [letters.encode() + b" " + path, *([old_path] if old_path is not None else [])]
            continue
        shown = quote_path(path) if old_path is None else f"{quote_path(old_path)} -> {quote_path(path)}"
        lines.append(f"{letters} {shown}".encode("utf-8", "surrogateescape"))
    end = b"\0" if zero else b"\n"
    if lines:
        out.raw(end.join(lines) + end)


def _short_distance(result: StatusResult) -> str:
    """What git's `## main...origin/main [ahead 1]` says behind the branch."""
    if result.distance is None:
        return ""
    counts = distance_counts(result.distance)
    return f"...{result.distance.shown}" + (f" [{counts}]" if counts else "")


def _json(context: Context, result: StatusResult) -> None:
    def row(change: Change) -> dict[str, object]:
        return {
            **path_json(change.path),
            "change": {"M": "modified", "D": "deleted", "A": "added", "T": "type"}[status_letter(change)],
            "old": shown_id(change.old).hex() if change.old else None,
            "new": shown_id(change.new).hex() if change.new else None,
            "size": change.new.size if change.new else None,
        }

    state = result.state
    context.out.json(
        "dsvc.status",
        {
            "branch": short_name(result.branch) if result.branch else None,
            "commit": result.commit_id.hex() if result.commit_id else None,
            "upstream": _upstream_json(result),
            "clean": result.is_clean(),
            "changes": [row(c) for c in result.changes],
            "added": [row(c) for c in result.added],
            "renamed": [_renamed_json(file) for file in result.renamed],
            "new": [path_json(p) for p in result.new],
            "conflicts": [{**path_json(c.path), "kind": c.kind} for c in state.conflicts] if state else [],
            "under_way": state.verb if state else "bisect" if result.bisecting else None,
            "unclaimed": [path_json(path) for path in result.unclaimed],
            "absent": [path_json(path) for path in result.absent],
            "skipped": [{**path_json(s.path), "reason": s.reason} for s in result.skipped],
        },
    )


def _upstream_json(result: StatusResult) -> dict[str, object] | None:
    found = result.distance
    if found is None:
        return None
    return {"name": found.shown, "ahead": found.ahead, "behind": found.behind, "gone": found.gone}


def _renamed_json(file: FileDiff) -> dict[str, object]:
    old_names = {f"old_{key}": value for key, value in path_json(file.old_path).items()}
    ids = {"old": shown_id(file.old).hex() if file.old else None, "new": shown_id(file.new).hex() if file.new else None}
    return {**path_json(file.path), **old_names, "score": file.score, **ids}
