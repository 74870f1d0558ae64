"""Say which rule ignores a path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dsvc.contents.path_rules import Rule
from dsvc.objects import trees
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class CheckIgnoreResult:
    """A path and the rule that decides about it: None where no rule does, a negated one where it is taken back in."""

    path: bytes
    rule: Rule | None

    def is_ignored(self) -> bool:
        """Say whether the path is left out."""
        return self.rule is not None and not self.rule.negated


def check_ignore(
    workspace: Workspace, paths: Iterable[bytes], *, tracked_too: bool = False
) -> Iterator[CheckIgnoreResult]:
    """Yield for each path which rule decides about it.

    A path of HEAD's commit, or one that was added, is never ignored: none of its rules is told, unless `tracked_too`.
    """
    rules = workspace.ignore_rules()
    store = workspace.repo.store
    known = None if tracked_too else workspace.index().tree
    for path in paths:
        if known is not None and path and trees.lookup(store, known, path) is not None:
            yield CheckIgnoreResult(path, None)
            continue
        full = workspace.place(path)
        is_directory = path.endswith(b"/") or (os.path.isdir(full) and not os.path.islink(full))
        yield CheckIgnoreResult(path, rules.match(path.rstrip(b"/"), is_directory=is_directory))
