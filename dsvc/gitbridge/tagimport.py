"""Bring git's tag objects in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dsvc.gitbridge.gitcommit import BadGitCommitError, parse_tag
from dsvc.gitbridge.gitsource import TAG, TYPE_NAMES, GitSource
from dsvc.gitbridge.gittree import Oid
from dsvc.gitbridge.origin import KEY, Origin, seal_tag
from dsvc.objects.ids import Kind
from dsvc.objects.values import Tag
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository

_TYPES = {name: number for number, name in TYPE_NAMES.items()}


def import_tag(
    repo: Repository, raw: bytes, *, oid: Oid, target: Callable[[int, Oid], Direct | None]
) -> Direct | None:
    """Store a tag object; `target` imports what it points to. None when that cannot be pointed to."""
    git = parse_tag(raw)
    pointed = target(tag_type(git.target_type), git.target)
    if pointed is None:
        return None
    tag = Tag(pointed.id, pointed.kind, git.name, git.tagger, git.message)
    tag = replace(tag, metadata={KEY: Origin(oid, raw).metadata(seal_tag(tag))})
    return Direct(Kind.TAG, repo.put_tag(tag))


def peel_tag(source: GitSource, oid: Oid) -> tuple[int, Oid]:
    """Follow git's tag objects; return the type and id of what lies behind them."""
    kind = source.header(oid)[0]
    while kind == TAG:
        tag = parse_tag(source.read(oid))
        kind, oid = tag_type(tag.target_type), tag.target
    return kind, oid


def tag_type(name: str) -> int:
    """Return git's number of an object type.

    Raises:
        BadGitCommitError: for a word that is none.
    """
    try:
        return _TYPES[name]
    except KeyError:
        raise BadGitCommitError(f"a git tag points to a {name!r}, which is no type of object") from None
