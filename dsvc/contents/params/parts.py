"""The text of a parameter file as parts with keys, and the three-way merge of parts.

A part is the text of one key with the comments above it. Merging moves whole texts and never writes a value anew, so
that comments, order and layout stay; what it comes to is compared with the merge of the values themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dsvc.contents.driver import MergeLabels, UnfitError
from dsvc.contents.keyed import ABSENT, key_below, same
from dsvc.contents.text_merge import TextMergeFailedError, merge


@dataclass(slots=True)
class Part:
    """The text of a key: alone, or a head, the parts below it by their names, and a tail.

    `text` is all of it. `value` is what it stands for.
    """

    text: str
    value: Any
    head: str = ""
    below: dict[str, Part] | None = None
    tail: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """How parts are put together: what stands between two, a conflict of texts in markers, and keys of names."""

    between: str = ""
    mark: Callable[[list[tuple[str, str]], bool], str] = lambda sides, _last: _marked(sides)
    join: Callable[[str, str], str] = key_below


@dataclass(slots=True)
class PartMerge:
    """A merge in progress: the keys in conflict, and those that were merged as lines."""

    labels: MergeLabels
    form: Form
    marked: bool
    conflicts: list[str] = field(default_factory=list)
    by_lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def merge(
        self, base: Part | None, ours: Part | None, theirs: Part | None, key: str, *, last: bool = True
    ) -> str | None:
        """Return the merged text of a key, None where it is removed; `last` says that nothing follows in its object."""
        texts = [part.text if part is not None else None for part in (base, ours, theirs)]
        if texts[1] == texts[2] or texts[2] == texts[0]:
            return texts[1]
        if texts[1] == texts[0]:
            return texts[2]
        if ours is not None and theirs is not None:
            if ours.below is not None and theirs.below is not None:
                return self._inner(base, ours, theirs, key)
            found = self._same_value(base, ours, theirs, key)
            if found is not None:
                return found
        elif base is not None and (ours or theirs) is not None:
            kept = ours or theirs
            assert kept is not None
            if same(kept.value, base.value):  # only its comments changed
                return None
        favor = self.labels.favor
        if favor is not None:
            return {"ours": texts[1], "theirs": texts[2], "base": texts[0]}[favor]
        self.conflicts.append(key)
        if not self.marked:
            return texts[1]
        shown = [(self.labels.ours, texts[1]), (self.labels.base, texts[0]), (self.labels.theirs, texts[2])]
        if not self.labels.show_base:
            del shown[1]
        return self.form.mark([(label.decode("utf-8", "replace"), text or "") for label, text in shown], last)

    def _same_value(self, base: Part | None, ours: Part, theirs: Part, key: str) -> str | None:
        """Merge texts by lines where only one side, or both alike, changed the value, and lists; None where not."""
        old = base.value if base is not None else ABSENT
        alike = same(ours.value, theirs.value) or same(ours.value, old) or same(theirs.value, old)
        lists = isinstance(ours.value, list) and isinstance(theirs.value, list) and isinstance(old, list)
        if not alike and not lists:
            return None
        merged = _by_lines(base.text if base is not None else "", ours.text, theirs.text)
        if merged is not None:
            if lists:
                self.by_lines.append(key)
            return merged
        if not alike:
            return None
        taken, other = (theirs, "ours") if same(ours.value, old) else (ours, "theirs")
        self.notes.append(f"the text of {other} around {key} was left out, its value was not changed there")
        return taken.text

    def _inner(self, base: Part | None, ours: Part, theirs: Part, key: str) -> str:
        assert ours.below is not None
        assert theirs.below is not None
        under = base.below if base is not None and base.below is not None else {}
        names = _order(under, ours.below, theirs.below)
        pieces: list[tuple[str, bool]] = []
        gone = {name for name in names if self._is_gone(name, under, ours.below, theirs.below)}
        staying = [name for name in names if name not in gone]
        for name in staying:
            before = len(self.conflicts)
            sides = under.get(name), ours.below.get(name), theirs.below.get(name)
            text = self.merge(*sides, self.form.join(key, name), last=name == staying[-1])
            if text is not None:
                pieces.append((text, len(self.conflicts) > before and text.lstrip("\n").startswith("<<<<<<< ")))
        body = ""
        for number, (text, in_conflict) in enumerate(pieces):
            body += text
            if number + 1 < len(pieces) and not in_conflict:
                body += self.form.between
        head = self._text(base.head if base is not None and base.below is not None else None, ours.head, theirs.head)
        tail = self._text(base.tail if base is not None and base.below is not None else None, ours.tail, theirs.tail)
        return head + body + tail

    def _is_gone(
        self, name: str, base: Mapping[str, Part], ours: Mapping[str, Part], theirs: Mapping[str, Part]
    ) -> bool:
        if name not in base or (name in ours and name in theirs):
            return False
        kept = ours.get(name) or theirs.get(name)
        return kept is None or same(kept.value, base[name].value)

    def _text(self, base: str | None, ours: str, theirs: str) -> str:
        if theirs in (ours, base):
            return ours
        if ours == base:
            return theirs
        return _by_lines(base or "", ours, theirs) or ours


def _order(base: Mapping[str, Part], ours: Mapping[str, Part], theirs: Mapping[str, Part]) -> list[str]:
    """Return all names: those of ours, and what theirs has behind the name that it follows there."""
    names = list(ours)
    before: str | None = None
    for name in theirs:
        if name not in ours:
            at = names.index(before) + 1 if before is not None and before in names else len(names) if before else 0
            while at < len(names) and before is not None and names[at] not in theirs and names[at] not in base:
                at += 1  # behind what ours added in the same place
            names.insert(at, name)
        before = name
    return names


def _by_lines(base: str, ours: str, theirs: str) -> str | None:
    sides = [text.encode("utf-8", "surrogatepass") for text in (base, ours, theirs)]
    try:
        found = merge(sides[0], sides[1], sides[2], ours_label=b"", theirs_label=b"", base_label=b"")
    except TextMergeFailedError:
        return None
    return found.content.decode("utf-8", "surrogatepass") if not found.conflicts else None


def _marked(sides: list[tuple[str, str]]) -> str:
    """Return texts of whole lines as a conflict in git's form: ours, perhaps the base, theirs."""
    signs = ["<<<<<<<", "|||||||"] if len(sides) == 3 else ["<<<<<<<"]
    text = ""
    for sign, (label, side) in zip(signs, sides, strict=False):
        text += f"{sign} {label}\n{_ended(side)}"
    label, side = sides[-1]
    return f"{text}=======\n{_ended(side)}>>>>>>> {label}\n"


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def matches(expected: Any, found: Any, key: str, free: set[str]) -> bool:
    """Say whether a value is the expected one, keys in `free` apart."""
    if key in free:
        return True
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(
            matches(value, found[name], key_below(key, str(name)), free) for name, value in expected.items()
        )
    return same(expected, found)


def lead(lines: list[str], at: int, floor: int, column: int) -> int:
    """Return where the comments and blank lines directly above line `at` begin, not above line `floor`.

    Comments count where they are indented as the key is.
    """
    while at > floor:
        line = lines[at - 1]
        stripped = line.strip()
        if stripped and not (stripped.startswith("#") and len(line) - len(line.lstrip(" ")) == column):
            break
        at -= 1
    return at


def unique(pairs: Iterator[tuple[str, Part]]) -> dict[str, Part]:
    """Return parts by name.

    Raises:
        UnfitError: for a name that stands twice.
    """
    found: dict[str, Part] = {}
    for name, part in pairs:
        if name in found:
            raise UnfitError(f"{name} stands twice")
        found[name] = part
    return found
