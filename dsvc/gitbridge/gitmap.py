"""Which git commit is which dsvc commit: a derived file, rebuilt from the commits' metadata when it is missing.

Layout (docs/formats/git.md): the magic, a byte of flags, the number of tips (4 bytes, big endian), that many dsvc
ids, then records of a git id (20 bytes) and a dsvc id (32 bytes), at the end the BLAKE3 of all this. Tips are the
dsvc commits all of whose ancestors were looked at: a map is trusted as far as the repository's refs still reach
them, for what a branch's deletion released may have been collected since.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from dsvc.atomic import write_file
from dsvc.gitbridge.gittree import Oid
from dsvc.gitbridge.origin import KEY, commit_origin
from dsvc.objects.ids import ID_LENGTH, CommitId, Kind, ObjectId, content_id
from dsvc.refs.names import HEADS, REMOTES, TAGS
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository

_MAGIC = b"dsvc git-map 1\n"
_ODD = 1
_OID = 20
_RECORD = _OID + ID_LENGTH


class GitMap:
    """Pairs of commits, both ways; about 250 bytes of memory a pair."""

    __slots__ = ("commits", "odd", "tips")

    def __init__(self) -> None:
        self.commits: dict[Oid, CommitId] = {}
        self.tips: set[bytes] = set()
        self.odd = False  # whether some commit records oddities

    def oids(self) -> dict[CommitId, Oid]:
        """Return the map from dsvc commits to git's."""
        return {commit_id: oid for oid, commit_id in self.commits.items()}

    def save(self, path: Path) -> None:
        """Write the map; a disk that refuses leaves none, which costs the next command a rebuild."""
        parts = [_MAGIC, bytes([_ODD if self.odd else 0]), len(self.tips).to_bytes(4, "big"), *sorted(self.tips)]
        parts += [oid + commit_id for oid, commit_id in self.commits.items()]
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            body = b"".join(parts)
            write_file(path, body + content_id(body), durable=False)


def load_map(repo: Repository, path: Path | None) -> GitMap:
    """Return the map of a repository: from the file as far as it can be trusted, from the commits otherwise."""
    saved = _read(path) if path is not None else None
    start = ref_commits(repo)
    if saved is not None:
        met = _collect(repo, start, saved)
        if met >= saved.tips:
            saved.tips = set(start)
            return saved
    found = GitMap()
    _collect(repo, start, found)
    found.tips = set(start)
    return found


def ref_commits(repo: Repository) -> list[CommitId]:
    """Return the commits that branches, tags and remotes' branches point to."""
    found: dict[CommitId, None] = {}
    for prefix in (HEADS, REMOTES, TAGS):
        for _, ref in repo.view().items(prefix):
            if isinstance(ref, Direct):
                kind, target = repo.peel(ref.kind, ref.id)
                if kind == Kind.COMMIT:
                    found[CommitId(target)] = None
    return list(found)


def _collect(repo: Repository, start: list[CommitId], into: GitMap) -> set[bytes]:
    """Add the origins of all commits from `start` down to the map's tips; return the tips that were met."""
    met: set[bytes] = set()
    seen: set[bytes] = set(start)
    stack = list(start)
    while stack:
        commit_id = stack.pop()
        if commit_id in into.tips:
            met.add(commit_id)
            continue
        commit = repo.commit(commit_id)
        if KEY in commit.metadata:
            origin = commit_origin(commit)
            if origin is not None and len(origin.id) == _OID:
                into.commits[origin.id] = commit_id
                into.odd |= origin.odd is not None
        for parent in commit.parents:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return met


def _read(path: Path) -> GitMap | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    data, checksum = data[:-ID_LENGTH], data[-ID_LENGTH:]
    head = len(_MAGIC) + 5
    if not data.startswith(_MAGIC) or len(data) < head or content_id(data) != checksum:
        return None
    tips_end = head + int.from_bytes(data[head - 4 : head], "big") * ID_LENGTH
    if len(data) < tips_end or (len(data) - tips_end) % _RECORD:
        return None
    found = GitMap()
    found.odd = bool(data[head - 5] & _ODD)
    found.tips = {data[i : i + ID_LENGTH] for i in range(head, tips_end, ID_LENGTH)}
    for at in range(tips_end, len(data), _RECORD):
        commit_id = CommitId(ObjectId(data[at + _OID : at + _RECORD]))
        found.commits[data[at : at + _OID]] = commit_id
    return found
