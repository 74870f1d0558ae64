"""How many files a commit or a merge changed, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from dsvc.history.treediff import Change, diff_trees
from dsvc.objects.ids import CommitId
from dsvc.workspace import Workspace

_COMPARED: Final = 1000  # new and deleted files; of more only equal content tells that they were renamed


def changes_between(workspace: Workspace, old: CommitId | None, new: CommitId) -> list[Change]:
    """The files in which a commit differs from another one, or from none."""
    before = workspace.tree_of(old) if old is not None else None
    return list(diff_trees(workspace.repo.store, before, workspace.tree_of(new)))


def change_counts(workspace: Workspace, changes: Sequence[Change]) -> str:
    """`2 changed, 1 new, 1 renamed`, or `no files changed`."""
    letters = _letters(workspace, changes)
    words = {"M": "changed", "A": "new", "R": "renamed", "D": "deleted"}
    parts = [f"{letters[letter]:,} {word}" for letter, word in words.items() if letters[letter]]
    return ", ".join(parts) or "no files changed"


def _letters(workspace: Workspace, changes: Sequence[Change]) -> Counter[str]:
    found = Counter("A" if c.old is None else "D" if c.new is None else "M" for c in changes)
    if not (found["A"] and found["D"]):
        return found
    if max(found["A"], found["D"]) > _COMPARED:
        from dsvc.history.renames import detect

        renamed = len(detect(changes, empty_files=False).renames)
        return found + Counter({"R": renamed}) - Counter({"A": renamed, "D": renamed})
    from dsvc.actions.filediff import Sides, paired

    files, _ = paired(changes, Sides.of(workspace.repo))
    return Counter("M" if file.status == "T" else file.status for file in files)
