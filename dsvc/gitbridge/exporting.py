"""Write a history as git's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dsvc.gitbridge.commitexport import CommitExporter
from dsvc.gitbridge.gitmap import load_map, ref_commits
from dsvc.gitbridge.gittarget import GitTarget
from dsvc.gitbridge.gittree import Oid
from dsvc.gitbridge.lfs import LFS_THRESHOLD
from dsvc.gitbridge.refexport import GitRefMove, RefusedMove, set_refs
from dsvc.objects.ids import CommitId, Kind
from dsvc.progress import Progress, Silent
from dsvc.refs.names import HEADS, TAGS
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export did.

    `commits` were written; `moved` are git's refs that changed, `refused` those that were left, with the reason;
    `lost` holds the paths that git cannot hold, by the reason; `pointers` those that became LFS pointers now, and
    `unmarked` those of them for which no `.gitattributes` says so.
    """

    commits: int
    ids: Mapping[str, Oid]
    moved: tuple[GitRefMove, ...]
    refused: tuple[RefusedMove, ...]
    lost: Mapping[str, Collection[bytes]]
    pointers: Collection[bytes]
    unmarked: Collection[bytes]
    warnings: tuple[str, ...]
    created: bool


def export_git(
    repo: Repository,
    git_path: Path,
    *,
    refs: Collection[str] | None = None,
    map_path: Path | None = None,
    lfs_threshold: int = LFS_THRESHOLD,
    force: bool = False,
    head: str = "heads/main",
    progress: Progress | None = None,
) -> ExportResult:
    """Write branches and tags (full names in `refs`; None: all) and all below them to the git repository at a path.

    Where nothing is at `git_path` a bare repository is made, with HEAD at `head`. What was imported and is unchanged
    gets its old ids. Commits made by dsvc keep files above `lfs_threshold` bytes as LFS pointers. Objects are durable
    before the first ref moves. A branch of git that would lose commits, and a tag that differs, move with `force`
    only; a branch that a working copy of git's stands on never does. Safe to call again.

    Raises:
        NotGitError, UnusableGitError: for the git repository. ObjectMissingError: where content is not stored here.
    """
    target = GitTarget(git_path, branch=head.removeprefix(HEADS))
    try:
        ids = load_map(repo, map_path)
        exporter = CommitExporter(repo, target.objects, ids, threshold=lfs_threshold)
        chosen = _chosen(repo, refs)
        (progress or Silent()).start("Exporting history", unit="commits")
        exporter.commits(list(_commits_of(repo, chosen.values())), progress or Silent())
        (progress or Silent()).finish()
        wanted: dict[str, Oid] = {}
        for name, ref in chosen.items():
            oid = exporter.target_of(ref.kind, ref.id)
            if oid is None:
                exporter.warnings.append(f"{name} points to what git has no object for and was left out")
            else:
                wanted["refs/" + name] = oid
        target.objects.flush()
        moved, refused = set_refs(target, wanted, force=force)
    finally:
        target.close()
    if map_path is not None:
        ids.tips = set(ref_commits(repo))
        ids.save(map_path)
    return ExportResult(
        exporter.count,
        wanted,
        tuple(moved),
        tuple(refused),
        exporter.trees.lost,
        exporter.trees.pointers,
        exporter.trees.unmarked,
        tuple(exporter.warnings),
        target.created,
    )


def _chosen(repo: Repository, refs: Collection[str] | None) -> dict[str, Direct]:
    view = repo.view()
    if refs is None:
        found = [item for prefix in (HEADS, TAGS) for item in view.items(prefix)]
    else:
        found = [(name, ref) for name in sorted(refs) if (ref := view.get(name)) is not None]
    return {name: ref for name, ref in found if isinstance(ref, Direct)}


def _commits_of(repo: Repository, refs: Collection[Direct]) -> Iterator[CommitId]:
    for ref in refs:
        kind, target = repo.peel(ref.kind, ref.id)
        if kind == Kind.COMMIT:
            yield CommitId(target)
