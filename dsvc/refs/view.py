"""A view: all refs of a repository at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dsvc.objects import mapdiff, mapedit, sortedmap
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, CommitId, Kind, ObjectId, ViewId
from dsvc.objects.sortedmap import MapKind, NodeStore
from dsvc.refs.names import ONCE

_OBJECT, _SYMBOLIC = 1, 2
_KINDS = frozenset(map(int, Kind))


class Direct(NamedTuple):
    """A ref that points to an object."""

    kind: Kind
    id: ObjectId


class Symbolic(NamedTuple):
    """A ref that stands for another one, which need not exist yet."""

    target: str


Ref = Direct | Symbolic


def _check(names: Sequence[bytes], values: Sequence[Any]) -> None:
    for name, value in zip(names, values, strict=True):
        try:
            name.decode()
        except UnicodeDecodeError as error:
            raise BadEncodingError("a ref's name is not UTF-8") from error
        _decode(value)


def _decode(value: object) -> Ref:
    kinds = [type(field) for field in value] if isinstance(value, tuple) else []  # True is no 1, and 1.0 neither
    match value:
        case (1, int(kind), bytes(to)) if kinds == [int, int, bytes] and kind in _KINDS and len(to) == ID_LENGTH:
            return Direct(Kind(kind), ObjectId(to))
        case (2, str(name)) if kinds == [int, str]:
            return Symbolic(name)
    raise BadEncodingError("a ref in a view is not of its form")


def _encode(ref: Ref) -> tuple[object, ...]:
    if isinstance(ref, Direct):
        return (_OBJECT, int(ref.kind), ref.id)
    return (_SYMBOLIC, ref.target)


VIEWS = MapKind(Kind.VIEW, lambda _value: 0, _check)


class View(NamedTuple):
    """All refs at one moment, by name; immutable."""

    store: NodeStore
    id: ViewId

    @classmethod
    def empty(cls, store: NodeStore) -> View:
        """Return the view without refs."""
        return cls(store, ViewId(sortedmap.build(store, VIEWS, ()).id))

    def get(self, name: str) -> Ref | None:
        """Return a ref, or None; a name that is no UTF-8 is none of a ref."""
        value = sortedmap.get(self.store, VIEWS, self.id, name.encode("utf-8", "surrogateescape"))
        return None if value is None else _decode(value)

    def resolve(self, name: str) -> tuple[str, Direct | None]:
        """Follow symbolic refs from `name`; return the last name and what it points to, None where it is unborn."""
        for _ in range(8):
            ref = self.get(name)
            if not isinstance(ref, Symbolic):
                return name, ref
            name = ref.target
        raise BadEncodingError(f"the symbolic ref {name} goes round in a circle")

    def commit(self, name: str) -> CommitId | None:
        """Return the commit that a ref leads to, or None where it is unborn or no commit."""
        _, ref = self.resolve(name)
        return CommitId(ref.id) if ref is not None and ref.kind == Kind.COMMIT else None

    def items(self, prefix: str = "") -> Iterator[tuple[str, Ref]]:
        """Yield (name, ref) in order of names, of those that begin with `prefix`."""
        start = prefix.encode("utf-8", "surrogateescape")
        for name, value in sortedmap.items_with_prefix(self.store, VIEWS, self.id, start):
            yield name.decode(), _decode(value)

    def tips(self) -> Iterator[tuple[str, Direct]]:
        """Yield (name, ref) of the refs to objects, in order of names, without those that are made once.

        Of these there may be a million, and no history follows from them.
        """
        start = b""
        for prefix in (*sorted(name.encode() for name in ONCE), None):
            for name, value in sortedmap.items(self.store, VIEWS, self.id, start=start):
                if prefix is not None and name >= prefix:
                    break
                ref = _decode(value)
                if isinstance(ref, Direct):
                    yield name.decode(), ref
            start = mapdiff.behind(prefix) or b"" if prefix is not None else b""

    def changed(self, changes: Mapping[str, Ref | None]) -> View:
        """Return the view in which these refs have these values; None removes one."""
        encoded = [(name.encode(), None if ref is None else _encode(ref)) for name, ref in changes.items()]
        return View(self.store, ViewId(mapedit.update(self.store, VIEWS, self.id, encoded).id))

    def differences(self, newer: View, prefix: str = "") -> Iterator[tuple[str, Ref | None, Ref | None]]:
        """Yield (name, here, there) of the refs that differ in `newer` and begin with `prefix`, in order of names.

        `newer` may be of another repository: what both have in common is not read.
        """
        found = mapdiff.diff(self.store, VIEWS, self.id, newer.id, new_store=newer.store, prefix=prefix.encode())
        for name, old, new in found:
            yield name.decode(), None if old is None else _decode(old), None if new is None else _decode(new)
