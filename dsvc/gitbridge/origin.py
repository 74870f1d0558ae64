"""What an imported commit or tag keeps of git's object: its id, its bytes where they do not follow, its oddities.

It stands in the metadata under "git" (docs/formats/git.md). A seal over the other fields tells whether they are still
those that were imported: a commit that was made from it by `--amend` or a rebase and took the metadata along is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from blake3 import blake3

from dsvc.errors import RequestError
from dsvc.gitbridge.gittree import Oid
from dsvc.objects import codec
from dsvc.objects.codec import Value
from dsvc.objects.values import Commit, Person, Tag

KEY = "git"
_SEAL_BYTES = 16
_SEAL_CONTEXT = "dsvc git origin v1"
_PAGE = 10_000  # entries of one array
_MAX_ODD = 15 << 20  # bytes, below the codec's bound for a commit

Oddities = Mapping[bytes, "bytes | None"]  # see `Origin.odd`


class TooManyOdditiesError(RequestError):
    """A git commit differs from canonical form in more paths than one commit can hold."""


class Origin(NamedTuple):
    """The git object that a commit or tag was imported from.

    `raw` is the object's bytes, None where they follow from the other fields. `odd` is what git's tree has and dsvc's
    has not, as changes against the first parent: for a directory its listing (see `GitTree`), None when it is
    canonical again; for a file that is an LFS pointer in git the pointer's text, empty for the usual form, None when
    it is the content again.
    """

    id: Oid
    raw: bytes | None = None
    odd: Oddities | None = None

    def metadata(self, seal: bytes) -> dict[str, Value]:
        """Return the value for the metadata.

        Raises:
            TooManyOdditiesError: when the oddities do not fit into a commit.
        """
        fields: dict[str, Value] = {"id": self.id, "seal": seal}
        if self.raw is not None:
            fields["raw"] = self.raw
        if self.odd:
            if sum(len(p) + len(v or b"") + 16 for p, v in self.odd.items()) > _MAX_ODD:
                raise TooManyOdditiesError(
                    f"git commit {self.id.hex()} changes {len(self.odd)} paths with LFS pointers or odd modes, "
                    "more than one commit can record",
                    hint="import without --lfs",
                )
            fields["odd"] = _pages(sorted(self.odd.items()))
        return fields


def _pages(items: list[tuple[bytes, bytes | None]]) -> Value:
    return tuple(tuple(items[i : i + _PAGE]) for i in range(0, len(items), _PAGE))


def seal_commit(commit: Commit) -> bytes:
    """Return the seal over what a commit took from git."""
    return _seal(
        (commit.tree, *commit.parents), (*_person(commit.author), *_person(commit.committer), commit.message)
    )


def seal_tag(tag: Tag) -> bytes:
    """Return the seal over what a tag took from git."""
    return _seal((tag.target,), (int(tag.target_kind), tag.name, *_person(tag.tagger), tag.message))


def _person(person: Person | None) -> tuple[str | int, ...]:
    return () if person is None else (person.name, person.email, person.time, person.zone)


def _seal(ids: Iterable[bytes], rest: Iterable[str | int]) -> bytes:
    payload = codec.encode_plain([list(ids), list(rest)])
    return blake3(payload, derive_key_context=_SEAL_CONTEXT).digest(_SEAL_BYTES)


def commit_origin(commit: Commit) -> Origin | None:
    """Return the git commit that this one was imported from and still stands for, or None."""
    return _read(commit.metadata, seal_commit(commit)) if KEY in commit.metadata else None


def tag_origin(tag: Tag) -> Origin | None:
    """Return the git tag that this one was imported from and still stands for, or None."""
    return _read(tag.metadata, seal_tag(tag)) if KEY in tag.metadata else None


def _read(metadata: Mapping[str, Value], seal: bytes) -> Origin | None:
    fields = metadata[KEY]
    if not isinstance(fields, dict) or fields.get("seal") != seal:
        return None
    oid, raw, pages = fields.get("id"), fields.get("raw"), fields.get("odd", ())
    if not isinstance(oid, bytes) or not (raw is None or isinstance(raw, bytes)) or not isinstance(pages, tuple):
        return None
    odd: dict[bytes, bytes | None] = {}
    for page in pages:
        for item in page if isinstance(page, tuple) else ():
            match item:
                case (bytes(path), (None | bytes()) as value):
                    odd[path] = value
                case _:
                    return None
    return Origin(oid, raw, odd or None)
