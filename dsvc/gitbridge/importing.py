"""Bring a git history in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dsvc.gitbridge.gitcommit import BadGitCommitError, GitCommit, compose_commit, parse_commit
from dsvc.gitbridge.gitmap import GitMap, load_map, ref_commits
from dsvc.gitbridge.gitsource import BLOB, COMMIT, TAG, GitRef, GitSource
from dsvc.gitbridge.gittree import BadGitTreeError, Oid
from dsvc.gitbridge.leftpointers import left_pointers
from dsvc.gitbridge.lfs import LFS_THRESHOLD, missing_error
from dsvc.gitbridge.oddities import OddityFinder
from dsvc.gitbridge.origin import KEY, Origin, seal_commit
from dsvc.gitbridge.recent import Recent
from dsvc.gitbridge.refimport import RefMove, move_refs
from dsvc.gitbridge.tagimport import import_tag
from dsvc.gitbridge.treeimport import Base, TreeImporter
from dsvc.objects.files import is_small
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.values import Commit
from dsvc.progress import Progress, Silent
from dsvc.refs.names import BadRefNameError, check_name
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct, Symbolic
from dsvc.repo.repository import Repository

_REMEMBERED_COMMITS = 20_000
_PREFIXES = {"refs/heads/": "heads/", "refs/tags/": "tags/"}
_REMOTES = ("refs/remotes/", "remotes/git/")


Publish = Callable[[Transaction, list[RefMove], "str | None"], object]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did.

    `commits` were new; `moved` are the refs that changed; `diverged` those that were left because both sides have
    commits of their own; `unread` the names of git's refs that point to nothing that can be read; `head` is the full
    name of the branch that an unborn HEAD was pointed to.
    """

    commits: int
    moved: tuple[RefMove, ...]
    diverged: tuple[RefMove, ...]
    unread: tuple[str, ...]
    head: str | None
    warnings: tuple[str, ...]


def import_git(
    repo: Repository,
    git_path: Path,
    *,
    publish: Publish,
    map_path: Path | None = None,
    head: str | None = None,
    lfs: bool = False,
    remotes: bool = False,
    force: bool = False,
    lfs_threshold: int = LFS_THRESHOLD,
    progress: Progress | None = None,
) -> ImportResult:
    """Bring branches, tags and the commits below them from the git repository at `git_path` into `repo`.

    `publish` is called once, when there is something to publish, with a transaction that sets all refs, with what
    moves in it, and with the branch that HEAD is pointed to if so. Importing again brings what is new. `map_path`
    keeps the derived map of ids. `head` names a worktree's HEAD: when that is unborn, it is pointed to the branch
    that git's HEAD names. `lfs` replaces LFS pointers by their content, `remotes` brings git's remote branches as
    remotes/git/…, `force` moves branches and tags that have diverged. `lfs_threshold` is the one of `export_git`, by
    which commits that came from here are known again.

    Raises:
        NotGitError, UnusableGitError, GitObjectMissingError: for the git repository. BadGitTreeError: for a name
            that dsvc refuses. LfsMissingError: naming all LFS objects that are missing. Nothing is published then.
    """
    progress = progress or Silent()
    source = GitSource(git_path)
    try:
        importer = _Importer(repo, source, load_map(repo, map_path), lfs=lfs, lfs_threshold=lfs_threshold)
        targets, unread, warnings = _targets(importer, source, remotes=remotes, progress=progress)
        if importer.trees.missing_lfs:
            missing = importer.trees.missing_lfs.items()
            raise missing_error(f"{path.decode('utf-8', 'backslashreplace')} ({sha})" for sha, path in missing)
        head_branch = source.head_branch()
    except BaseException:
        repo.store.abandon()
        raise
    finally:
        source.close()
    transaction = repo.transaction()
    moved, diverged = move_refs(repo, transaction, targets, force=force)
    pointed = None
    if head is not None and head_branch is not None and transaction.view.resolve(head)[1] is None:
        branch = head_branch.removeprefix("refs/")
        if branch in targets and transaction.view.get(head) != Symbolic(branch):
            transaction.set(head, Symbolic(branch))
            pointed = branch
    if moved or pointed:
        try:
            publish(transaction, moved, pointed)
        except BaseException:
            repo.store.abandon()
            raise
    else:
        repo.store.abandon()
    ids = importer.map
    if map_path is not None and not diverged:
        ids.tips |= set(ref_commits(repo))
        ids.save(map_path)
    left = left_pointers(repo, targets) if lfs else None
    warnings += [left] if left is not None else []
    return ImportResult(importer.count, tuple(moved), tuple(diverged), tuple(unread), pointed, tuple(warnings))


def _targets(
    importer: _Importer, source: GitSource, *, remotes: bool, progress: Progress
) -> tuple[dict[str, Direct], list[str], list[str]]:
    """Import what git's refs reach; return the refs to set by dsvc name, those that cannot be read, and warnings."""
    wanted: list[tuple[str, GitRef]] = []
    unread: list[str] = []
    warnings: list[str] = []
    for ref in source.refs():
        shown = ref.decode("utf-8", "backslashreplace") if isinstance(ref, bytes) else ref.name
        name = _dsvc_name(shown, remotes=remotes)
        if name is None:
            continue
        if isinstance(ref, bytes):
            if shown.encode() == ref:
                unread.append(shown)
            else:
                warnings.append(f"{shown} has a name that dsvc refuses and was left out")
            continue
        try:
            wanted.append((check_name(name), ref))
        except BadRefNameError:
            warnings.append(f"{ref.name} has a name that dsvc refuses and was left out")
    progress.start("Importing history", unit="commits")
    importer.commits([ref.oid for _, ref in wanted if _leads_to_commit(source, ref)], progress)
    progress.finish()
    targets: dict[str, Direct] = {}
    for name, ref in wanted:
        target = importer.target(ref.type, ref.oid)
        if target is None or (name.startswith("heads/") and target.kind != Kind.COMMIT):
            warnings.append(f"{ref.name} points to a large blob or not to a commit and was left out")
        else:
            targets[name] = target
    return targets, unread, warnings


def _dsvc_name(name: str, *, remotes: bool) -> str | None:
    for prefix, short in (*_PREFIXES.items(), *([_REMOTES] if remotes else [])):
        if name.startswith(prefix):
            return short + name[len(prefix) :]
    return None


def _leads_to_commit(source: GitSource, ref: GitRef) -> bool:
    from dsvc.gitbridge.tagimport import peel_tag

    try:
        return (ref.type if ref.type != TAG else peel_tag(source, ref.oid)[0]) == COMMIT
    except BadGitCommitError as error:
        raise BadGitCommitError(f"{ref.name} cannot be imported: {error.message}", hint="git fsck") from error


class _Importer:
    """Commits on their way in."""

    def __init__(self, repo: Repository, source: GitSource, ids: GitMap, *, lfs: bool, lfs_threshold: int) -> None:
        self.map = ids
        self.count = 0
        self._repo = repo
        self._source = source
        self._lfs_threshold = lfs_threshold
        self.trees = TreeImporter(repo.store, source, lfs=source.lfs() if lfs else None)
        self.trees.met_odd |= ids.odd
        self._oddities = OddityFinder(source, self.trees.git_tree, lfs=lfs)
        self._bases: Recent[Oid, Base] = Recent(_REMEMBERED_COMMITS)

    def commits(self, tips: list[Oid], progress: Progress) -> None:
        """Import the commits that tips (commits or tags) reach."""
        from dsvc.gitbridge.tagimport import peel_tag

        self.trees.progress = progress
        known = self.map.commits
        peeled = {peel_tag(self._source, tip)[1] for tip in tips}
        if peeled - known.keys():
            from dsvc.gitbridge.rehearsal import rehearse

            rehearse(self._repo, self._source, self.map, threshold=self._lfs_threshold)
        for oid, raw in self._source.commits(sorted(peeled), known=known):
            try:
                known[oid] = self._commit(oid, raw)
            except (BadGitTreeError, BadGitCommitError) as error:
                message = f"git commit {oid.hex()} cannot be imported: {error.message}"
                raise type(error)(message, hint=error.hint) from error
            self.count += 1
            progress.advance(items=1)

    def target(self, kind: int, oid: Oid) -> Direct | None:
        """Import what a ref or tag points to; None for a blob that is too large to be pointed to."""
        if kind == COMMIT:
            return Direct(Kind.COMMIT, self.map.commits[oid])
        if kind == TAG:
            return import_tag(self._repo, self._source.read(oid), oid=oid, target=self.target)
        if kind == BLOB:
            file_id, size = self.trees.blob(oid, b"")
            return Direct(Kind.CHUNK, file_id) if is_small(size) else None
        return Direct(Kind.TREE, ObjectId(self.trees.tree(oid).id))

    def _commit(self, oid: Oid, raw: bytes) -> CommitId:
        git = parse_commit(raw)
        parents = tuple(self.map.commits[parent] for parent in git.parents)
        base = self._base(git.parents[0], parents[0]) if parents else None
        tree_id = TreeId(ObjectId(self.trees.tree(git.tree, base).id))
        self._bases.set(oid, Base(git.tree, tree_id))
        commit = Commit(tree_id, parents, git.author, git.committer, git.message)
        odd = None
        if self.trees.met_odd:
            odd = self._oddities.changes(base.oid if base else None, git.tree) or None
            self.map.odd |= odd is not None
        origin = Origin(oid, raw if compose_commit(git) != raw else None, odd)
        commit = replace(commit, metadata={KEY: origin.metadata(seal_commit(commit))})
        return self._repo.put_commit(commit)

    def _base(self, oid: Oid, commit_id: CommitId) -> Base:
        base = self._bases.get(oid)
        if base is None:
            parent: GitCommit = parse_commit(self._source.read(oid))
            base = Base(parent.tree, self._repo.commit(commit_id).tree)
        return base
