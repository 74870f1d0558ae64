"""What a commit would take, in lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dsvc.actions.state import WorktreeState, way_on
from dsvc.actions.status import StatusResult
from dsvc.commands.count_text import counted
from dsvc.commands.distance_text import distance_text
from dsvc.commands.path_text import quote_path
from dsvc.history.treediff import Change
from dsvc.objects.tree import FILE_KINDS
from dsvc.refs.names import short_name

Paint = Callable[..., str]
ABSENT_SHOWN = 10


def status_letter(change: Change) -> str:
    """Git's letter for a change: added, deleted, modified, of another type."""
    if change.new is None:
        return "D"
    if change.old is None:
        return "A"
    both_files = change.old.kind in FILE_KINDS and change.new.kind in FILE_KINDS
    return "M" if both_files or change.old.kind == change.new.kind else "T"


def status_lines(result: StatusResult, paint: Paint, *, untracked: bool) -> Iterator[str]:
    """Yield the lines of `dsvc status`; `paint` colours a text."""
    if result.branch:
        yield f"On branch {short_name(result.branch)}"
        if result.distance is not None:
            yield distance_text(result.distance, advice=result.state is None)
    elif result.commit_id:
        yield paint("Detached", "red") + f" at {result.commit_id.hex()[:10]}"
    if result.commit_id is None:
        yield "\nNo commits yet"
    if result.bisecting:
        yield "\nA bisection is under way: 'dsvc bisect good' or 'bad' goes on, 'dsvc bisect reset' ends it"
    state = result.state
    if state is not None:
        on = way_on(state.verb)
        yield f"\nA {_what(state)} is under way: 'dsvc {state.verb} --abort' takes it back"
        if not state.conflicts and on is not None:
            yield f"Nothing is in conflict any more: '{on}' goes on"
        if state.conflicts:
            yield "\nIn conflict (edit, then 'dsvc resolve PATH'):"
            for conflict in state.conflicts:
                yield "  " + paint(f"{conflict.kind + ':':<18}{quote_path(conflict.path)}", "red")
    conflicts = {c.path for c in state.conflicts} if state else set()
    words = {"M": "modified:", "D": "deleted:", "A": "added:", "T": "other kind:"}
    changes = [c for c in (*result.changes, *result.added) if c.path not in conflicts]
    lines = {c.path: (status_letter(c), words[status_letter(c)], quote_path(c.path)) for c in changes}
    for file in result.renamed:
        lines[file.old_path] = ("R", "renamed:", f"{quote_path(file.old_path)} -> {quote_path(file.path)}")
    if lines:
        yield "\nChanges that 'dsvc commit' takes (put back with 'dsvc restore PATH'):"
        for _, (letter, word, text) in sorted(lines.items()):
            colour = {"A": "green", "R": "green", "D": "red"}.get(letter, "yellow")
            yield "  " + paint(f"{word:<12}{text}", colour)
    new = [p for p in result.new if p not in conflicts]
    if new and untracked:
        yield "\nNew files that 'dsvc commit' takes too (keep out with .dsvcignore):"
        for path in new:
            yield "  " + paint(quote_path(path), "green")
    if result.unclaimed:
        yield "\nUnclaimed (runs write these, and no run explains what they are now):"
        for path in result.unclaimed:
            yield "  " + paint(quote_path(path), "magenta")
    yield from _absent_lines(result)
    if result.is_clean():
        yield "Nothing to commit, working copy clean" if result.commit_id else "\nNothing to commit"


def _absent_lines(result: StatusResult) -> Iterator[str]:
    """Yield what is absent and not deleted, the first few paths of what may be a million."""
    if not result.absent:
        return
    yield "\nAbsent, not deleted: commits keep these ('dsvc data get PATH' brings what was not purged):"
    for path in result.absent[:ABSENT_SHOWN]:
        yield "  " + quote_path(path)
    more = len(result.absent) - ABSENT_SHOWN
    if more > 0:
        yield f"  ... and {more:,} more"
    if result.is_clean():
        yield ""


def _what(state: WorktreeState) -> str:
    """Name what is under way: a rebase with its branch, where it goes, and how much is left."""
    branch, onto = state.extra.get("branch"), state.extra.get("onto")
    if state.verb != "rebase" or not isinstance(branch, str) or not isinstance(onto, str):
        return state.verb
    left = f", {counted(len(state.todo), 'commit')} left after this one" if state.todo else ""
    return f"rebase{' of ' + short_name(branch) if branch else ''} onto {onto}{left}"
