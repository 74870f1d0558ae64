"""Merge requests as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from dsvc.actions.request import ListedRequest, Preview, ShownRequest
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.date_text import date_text, iso_text
from dsvc.commands.diff_options import DiffForm
from dsvc.commands.diff_text import print_diff
from dsvc.commands.output import Output
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.ref_text import SHORT, subject
from dsvc.commands.request_runs_text import show_compared
from dsvc.refs.names import short_name
from dsvc.requests.merge_request import MergeRequest, Recorded
from dsvc.requests.standing import Standing
from dsvc.workspace import Workspace

_COLORS: Final = {"open": "green", "closed": "red", "merged": "magenta"}
_MOST_COMMITS: Final = 20  # that are listed; the newest of more


def plain(text: str) -> str:
    """Text of somebody else without what could play with a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def list_rows(out: Output, found: list[ListedRequest], *, now: datetime, states: bool) -> list[tuple[str, ...]]:
    """Requests as rows of a table; with `states` each says what became of it."""
    rows = []
    for one in found:
        request = one.request
        opening = request.opening
        rows.append(
            (
                out.paint(str(request.number), _COLORS[request.state]),
                *((request.state,) if states else ()),
                plain(request.title),
                _way_text(request),
                plain(opening.name),
                _when(opening, now),
                ", ".join(_notes(one)),
            )
        )
    return rows


def _notes(one: ListedRequest) -> Iterator[str]:
    standing, request = one.standing, one.request
    if request.state == "open" and standing.wanted:
        yield f"{len(standing.counted)} of {counted(standing.wanted, 'approval')}"
    elif standing.counted:
        yield counted(len(standing.counted), "approval")
    if request.comments:
        yield counted(request.comments, "comment")


def show_request(context: Context, workspace: Workspace, shown: ShownRequest) -> None:
    """Print a request: what it is about, what it would bring, and all that was said."""
    out, now, request = context.out, context.now(), shown.request
    opening = request.opening
    out.line(out.paint(f"Request {request.number}: {plain(request.title)}", "bold"))
    state = out.paint(request.state, _COLORS[request.state])
    out.line(f"{state}, {_way_text(request)}, by {plain(opening.name)}, {_when(opening, now)}")
    if opening.event.text.strip():
        out.line()
        _indented(out, opening.event.text)
    out.line()
    _show_commits(out, workspace, shown)
    print_diff(context, shown.preview.diff, DiffForm(stat=True))
    show_compared(context, shown.runs, target=short_name(request.target))
    said = request.events[1:]
    if said:
        out.line()
        for recorded in said:
            _show_event(out, request, recorded, now=now)
    out.line()
    for line in _outlook(out, shown):
        out.line(line)


def _way_text(request: MergeRequest) -> str:
    event = request.opening.event
    source = event.source or request.head.hex()[:SHORT]
    if event.source_url:
        source += f" of {event.source_url}"
    return f"{plain(source)} -> {plain(short_name(request.target))}"


def _when(recorded: Recorded, now: datetime) -> str:
    author, witness = recorded.event.author, recorded.witness
    time, zone = (witness.time, witness.zone) if witness is not None else (author.time, author.zone)
    return date_text(time, zone, style="relative", now=now)


def _show_commits(out: Output, workspace: Workspace, shown: ShownRequest) -> None:
    commits = shown.preview.commits
    if len(commits) > _MOST_COMMITS:
        out.line(f"{len(commits):,} commits, of which the newest are:")
    for commit_id in commits[-_MOST_COMMITS:]:
        message = subject(workspace.repo.commit(commit_id).message)
        out.line(f"{out.paint(commit_id.hex()[:SHORT], 'yellow')} {plain(message)}")


def _show_event(out: Output, request: MergeRequest, recorded: Recorded, *, now: datetime) -> None:
    event = recorded.event
    short = event.commit.hex()[:SHORT] if event.commit is not None else ""
    match event.kind:
        case "comment":
            what = "said"
        case "approve":
            what = f"{out.paint('approved', 'green')} {short}"
            if event.commit != request.head:
                what += " (an earlier version)"
        case "withdraw":
            what = "took the approval back"
        case "update":
            what = f"brought {short}" if short else f"called it {plain(event.title)!r}"
        case "close":
            what = out.paint("closed it", "red")
        case "reopen":
            what = "opened it again"
        case "merge":
            result = event.result.hex()[:SHORT] if event.result is not None else ""
            what = f"{out.paint('merged it', 'magenta')}: {result}"
        case _:
            what = event.kind
    signed = ", signed" if event.signature is not None else ""
    out.line(f"{out.paint(plain(recorded.name), 'cyan')} {what}, {_when(recorded, now)}{signed}")
    if event.text.strip():
        _indented(out, event.text)


def _indented(out: Output, text: str) -> None:
    for line in plain(text).strip("\n").split("\n"):
        out.line(f"    {line}".rstrip())


def _outlook(out: Output, shown: ShownRequest) -> Iterator[str]:
    request, standing, preview = shown.request, shown.standing, shown.preview
    target = short_name(request.target)
    if request.state == "open":
        yield f"Approvals: {_approvals(standing)}"
        if not shown.enforced and (standing.wanted or standing.counted):
            yield f"           advice only: {shown.name} enforces nothing, and people say themselves who they are"
        yield f"Merge:     {_merge_text(out, preview, target, request.number)}"
    elif preview.way is not None:
        words = {"merge": "as a merge commit", "squash": "as one commit", "fast-forward": "by moving the branch"}
        yield f"Merged:    {words[preview.way]}, into {target}"
    if shown.moved_to is not None:
        name = request.opening.event.source
        now = shown.moved_to.hex()[:SHORT]
        yield f"Branch:    {plain(name)} is at {now} by now; 'dsvc request update {request.number} {now}' brings that"
    if request.unreadable:
        yield f"{counted(request.unreadable, 'thing')} said here cannot be read"


def _approvals(standing: Standing) -> str:
    names = ", ".join(plain(said.name) for said in standing.counted) or "none"
    text = f"{len(standing.counted)} of {standing.wanted} ({names})" if standing.wanted else names
    others = [f"the one by {plain(said.name)} is {reason}" for said, reason in standing.others]
    return "; ".join([text, *others])


def _merge_text(out: Output, preview: Preview, target: str, number: int) -> str:
    match preview.mergeable:
        case "yes" | "fast-forward":
            text = out.paint("no conflicts", "green")
            return text + (f", {target} has nothing else" if preview.mergeable == "fast-forward" else "")
        case "conflicts":
            paths = sorted({c.path for c in preview.conflicts})
            named = ", ".join(quote_path(path) for path in paths[:8]) + (", ..." if len(paths) > 8 else "")
            return f"{out.paint('conflicts', 'red')} in {named}; 'dsvc request checkout {number}' to settle them"
        case "contained":
            return f"{target} has all of it already"
        case "unrelated":
            return f"nothing in common with {target}"
    return f"there is no branch {target} any more"


def request_json(request: MergeRequest, standing: Standing) -> dict[str, Any]:
    """A request as an object of a JSON document."""
    opening, ending = request.opening, request.ending
    return {
        "number": request.number,
        "state": request.state,
        "title": request.title,
        "author": _who_json(opening),
        "opened": _time(opening),
        "ended": _time(ending) if ending is not None else None,
        "target": short_name(request.target),
        "source": opening.event.source or None,
        "source_url": opening.event.source_url or None,
        "head": request.head.hex(),
        "comments": request.comments,
        "approvals": {
            "wanted": standing.wanted,
            "counted": [_who_json(said) for said in standing.counted],
            "others": [{**_who_json(said), "reason": reason} for said, reason in standing.others],
        },
    }


def event_json(recorded: Recorded) -> dict[str, Any]:
    """An event of a request as an object of a JSON document."""
    event = recorded.event
    return {
        "id": recorded.id.hex(),
        "event": event.kind,
        "author": _who_json(recorded),
        "time": _time(recorded),
        "title": event.title or None,
        "text": event.text or None,
        "commit": event.commit.hex() if event.commit is not None else None,
        "base": event.base.hex() if event.base is not None else None,
        "result": event.result.hex() if event.result is not None else None,
        "signed": event.signature is not None,
    }


def preview_json(shown: ShownRequest) -> dict[str, Any]:
    """What merging a request would come to, as an object of a JSON document."""
    preview = shown.preview
    return {
        "mergeable": preview.mergeable,
        "target_commit": preview.target_commit.hex() if preview.target_commit is not None else None,
        "base": preview.base.hex() if preview.base is not None else None,
        "commits": [commit.hex() for commit in preview.commits],
        "conflicts": [{**path_json(c.path), "kind": c.kind} for c in preview.conflicts],
        "way": preview.way,
    }


def _who_json(recorded: Recorded) -> dict[str, Any]:
    author, witness = recorded.event.author, recorded.witness
    return {"name": author.name, "email": author.email, "account": witness.account if witness is not None else None}


def _time(recorded: Recorded) -> str:
    witness = recorded.witness
    if witness is not None:
        return iso_text(witness.time, witness.zone)
    return iso_text(recorded.event.author.time, recorded.event.author.zone)
