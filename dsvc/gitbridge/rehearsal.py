"""Find out which git ids commits made by dsvc have, without writing them.

An export remembers them in the derived map only. Where that map is lost, or another clone made the export, the commits
would come back from git as strangers; their ids follow from their content, so they are computed again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from dsvc.gitbridge.commitexport import CommitExporter
from dsvc.gitbridge.gitmap import GitMap, ref_commits
from dsvc.gitbridge.gitsource import GitSource
from dsvc.gitbridge.gitwriter import GitWriter
from dsvc.objects.ids import CommitId
from dsvc.progress import Silent
from dsvc.repo.repository import Repository


def rehearse(repo: Repository, source: GitSource, ids: GitMap, *, threshold: int) -> None:
    """Add to `ids` the commits that refs reach and that have no git id yet, as an export to `source` would name them.

    Where commits that they stand on came from another git repository nothing is added: they cannot be in this one.
    """
    known = ids.oids()
    tips = [commit_id for commit_id in ref_commits(repo) if commit_id not in known]
    if not tips or not all(source.has(known[below]) for below in _boundary(repo, tips, known)):
        return
    with tempfile.TemporaryDirectory(prefix="dsvc-git-") as folder:
        writer = GitWriter(source, Path(folder), lfs=source.lfs(dry=True), rehearsal=True)
        try:
            CommitExporter(repo, writer, ids, threshold=threshold).commits(tips, Silent())
        finally:
            writer.abandon()


def _boundary(repo: Repository, tips: list[CommitId], known: dict[CommitId, bytes]) -> set[CommitId]:
    """Return the known commits on which unknown ones stand."""
    found: set[CommitId] = set()
    seen = set(tips)
    stack = list(tips)
    while stack:
        for parent in repo.commit(stack.pop()).parents:
            if parent in known:
                found.add(parent)
            elif parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return found
