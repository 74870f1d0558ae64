"""The driver for parameters and settings: JSON, YAML and TOML, by key."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from dsvc.contents.driver import (
    ContentDiff,
    ContentMerge,
    ContentSummary,
    Line,
    MergeLabels,
    Settings,
    Source,
    UnfitError,
)
from dsvc.contents.keyed import ABSENT, Difference, KeyMerge, differences, key_below, text_of
from dsvc.contents.notebooks.diffing import difference_document
from dsvc.contents.params import json_text, toml_text, yaml_text
from dsvc.contents.params.parts import PartMerge, matches
from dsvc.contents.sizes import counted
from dsvc.contents.text_lines import text_lines

NAME = "params"
MERGE_LIMIT = 16 << 20

_LIMIT = 16 << 20
_LONGEST = 72  # characters of a value on one line


def diff(old: Source | None, new: Source | None, settings: Settings) -> ContentDiff:
    """Compare key by key. A file that is new or gone is shown by lines: it says the same."""
    if old is None or new is None:
        return ContentDiff((), {})
    before, after = (_form(source, settings).values(_text(source)) for source in (old, new))
    found = list(differences(before, after))
    lines = tuple(line for difference in found for line in _lines(difference, settings.context))
    return ContentDiff(lines, {"kind": NAME, "keys": [difference_document(difference) for difference in found]})


def _lines(difference: Difference, context: int) -> Iterator[Line]:
    key = difference.key or "(all)"
    old, new = difference.old, difference.new
    if difference.change == "changed":
        if isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
            yield Line("changed", f"{key}:")
            yield from text_lines(old, new, context=context)
        else:
            a, b = text_of(old), text_of(new)
            if len(a) + len(b) <= 2 * _LONGEST:
                yield Line("changed", f"{key}: {a} -> {b}")
            else:
                yield Line("changed", f"{key}:")
                yield from (Line("removed", f"  -{_short(a)}"), Line("added", f"  +{_short(b)}"))
        return
    tone, sign, value = ("added", "+", new) if old is ABSENT else ("removed", "-", old)
    for below, item in _leaves(value, key):
        yield Line("added" if tone == "added" else "removed", f"{sign}{below}: {_short(text_of(item))}")


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, key_below(key, str(name)))
    else:
        yield key, value


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def merge(
    base: Source | None, ours: Source, theirs: Source, labels: MergeLabels, settings: Settings
) -> ContentMerge:
    """Merge key by key; texts of keys are moved as they are, with their comments."""
    form = _form(ours, settings)
    texts = [_text(source) if source is not None else None for source in (base, ours, theirs)]
    if any(text is not None and (text.startswith("\ufeff") or "\r" in text) for text in texts):
        raise UnfitError("line ends of Windows")
    known = [form.values(text) if text is not None else ABSENT for text in texts]
    sides = [form.parts(text) if text is not None else None for text in texts]
    plain = PartMerge(labels, form.FORM, marked=False)
    text = plain.merge(sides[0], sides[1], sides[2], "")
    assert text is not None

    def settle(_key: str, old: Any, mine: Any, other: Any) -> Any:
        return {"theirs": other, "base": old}.get(labels.favor or "", mine)

    expected = KeyMerge(settle, tables=form is toml_text).merge(known[0], known[1], known[2])
    if not matches(expected, form.values(text), "", set(plain.by_lines)):
        raise UnfitError("moving its keys did not come to the values that were expected")
    if plain.conflicts:
        marked = PartMerge(labels, form.FORM, marked=True)
        text = marked.merge(sides[0], sides[1], sides[2], "")
        assert text is not None
    notes = [f"{key or 'all of it'} ({_sides(key, known)})" for key in plain.conflicts] + plain.notes
    return ContentMerge((text.encode("utf-8", "surrogatepass"),), len(plain.conflicts), tuple(notes))


def _sides(key: str, known: list[Any]) -> str:
    words = []
    for label, value in zip(("base", "ours", "theirs"), known, strict=True):
        found = dict(_flat(value, "")).get(key, ABSENT)
        words.append(f"{label} {'none' if found is ABSENT else _short(text_of(found))}")
    return ", ".join(words)


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield each key with its value, those that hold others too."""
    yield key, value
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, key_below(key, str(name)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _flat(item, f"{key}[{number}]")


def summary(source: Source, settings: Settings) -> ContentSummary:
    """Say how many keys there are; the text itself is what people read."""
    form = _form(source, settings)
    value = form.values(_text(source))
    leaves = sum(1 for _ in _leaves(value, ""))
    name = form.__name__.rpartition(".")[2].removesuffix("_text").upper()
    top = [str(key) for key in value] if isinstance(value, dict) else []
    lines = (Line("plain", f"{name}: {counted(leaves, 'value')}"), *(Line("plain", f"  {key}") for key in top[:50]))
    return ContentSummary(lines, {"kind": NAME, "form": name, "values": leaves, "keys": top}, instead=False)


def page(old: Source | None, new: Source | None, settings: Settings) -> str | None:
    """Leave it to the lines."""
    del old, new, settings
    return None


def _form(source: Source, settings: Settings) -> Any:
    """Return the module for the text's form: by the suffix, else by what the text begins with."""
    forms: dict[str, ModuleType] = {"json": json_text, "yaml": yaml_text, "yml": yaml_text, "toml": toml_text}
    form = forms.get(settings.suffix)
    if form is not None:
        return form
    head = source.head(512).lstrip()
    if head.startswith((b"{", b"[\n", b"[{")):
        return json_text
    return toml_text if b" = " in head or head.startswith(b"[") else yaml_text


def _text(source: Source) -> str:
    try:
        text = source.read(_LIMIT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnfitError("not UTF-8") from error
    return text
