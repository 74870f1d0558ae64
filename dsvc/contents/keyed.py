"""Differences and three-way merges of nested values (objects, lists, scalars), named by key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal, NamedTuple

_PLAIN_KEY = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


class _Absent:
    """What stands where there is no value."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return what messages call it."""
        return "nothing"


ABSENT: Final = _Absent()


class Difference(NamedTuple):
    """A key at which two values differ; ABSENT where a side does not have it."""

    key: str
    old: Any
    new: Any

    @property
    def change(self) -> Literal["added", "removed", "changed"]:
        """What happened to the key."""
        return "added" if self.old is ABSENT else "removed" if self.new is ABSENT else "changed"


def key_below(key: str, name: str) -> str:
    """Return the key of a member: `a.b`, or `a["b c"]` for names that are no words."""
    if name and all(char in _PLAIN_KEY for char in name):
        return f"{key}.{name}" if key else name
    return f"{key}[{json.dumps(name, ensure_ascii=False)}]"


def same(a: Any, b: Any) -> bool:
    """Return whether two values are equal and of equal type: 1, 1.0 and true differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float) and a != a and b != b:  # noqa: PLR0124 - NaN equals itself here
        return True
    return type(a) is type(b) and bool(a == b)


def differences(old: Any, new: Any, key: str = "") -> Iterator[Difference]:
    """Yield where two values differ, in the order of the old one, new keys behind it."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in old.items():
            below = key_below(key, str(name))
            if name in new:
                yield from differences(value, new[name], below)
            else:
                yield Difference(below, value, ABSENT)
        for name, value in new.items():
            if name not in old:
                yield Difference(key_below(key, str(name)), ABSENT, value)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _lists(old, new, key)
    elif not same(old, new):
        yield Difference(key, old, new)


def _lists(old: list[Any], new: list[Any], key: str) -> Iterator[Difference]:
    if len(old) == len(new):
        for number, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from differences(a, b, f"{key}[{number}]")
        return
    matcher = SequenceMatcher(None, [text_of(item) for item in old], [text_of(item) for item in new], autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            continue
        for number in range(max(b - a, d - c)):
            if a + number < b and c + number < d:
                yield from differences(old[a + number], new[c + number], f"{key}[{a + number}]")
            elif a + number < b:
                yield Difference(f"{key}[{a + number}]", old[a + number], ABSENT)
            else:
                yield Difference(f"{key}[{c + number}]", ABSENT, new[c + number])


def text_of(value: Any) -> str:
    """Return a value as one line of JSON, other types as they print themselves."""
    return json.dumps(value, ensure_ascii=False, default=str)


@dataclass(slots=True)
class KeyMerge:
    """A three-way merge of values."""

    settle: Callable[[str, Any, Any, Any], Any]
    """Returns what is taken at (key, base, ours, theirs) where both sides changed it otherwise."""
    tables: bool = False
    """Lists of objects that are as long on all sides are merged one by one; other lists are one value."""

    def merge(self, base: Any, ours: Any, theirs: Any, key: str = "") -> Any:
        """Merge values; ABSENT stands for one that a side does not have."""
        if same(ours, theirs) or same(base, theirs):
            return ours
        if same(base, ours):
            return theirs
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            below = base if isinstance(base, Mapping) else {}
            merged = {}
            for name in [*ours, *(name for name in theirs if name not in ours)]:
                value = self.merge(
                    below.get(name, ABSENT),
                    ours.get(name, ABSENT),
                    theirs.get(name, ABSENT),
                    key_below(key, str(name)),
                )
                if value is not ABSENT:
                    merged[name] = value
            return merged
        if self.tables and _are_tables(base, ours, theirs):
            sides = zip(base, ours, theirs, strict=True)
            return [self.merge(*side, f"{key}[{number}]") for number, side in enumerate(sides)]
        return self.settle(key, base, ours, theirs)


def _are_tables(*sides: Any) -> bool:
    return all(isinstance(side, list) and all(isinstance(item, dict) for item in side) for side in sides) and (
        len({len(side) for side in sides}) == 1
    )
