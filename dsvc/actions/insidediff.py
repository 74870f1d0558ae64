"""How two versions of a file differ by what is inside: cells, rows, keys, tensors, pixels."""

from __future__ import annotations

from typing import NamedTuple

from dsvc.actions.filediff import FileDiff, Sides
from dsvc.contents.driver import ContentDiff, ContentSummary, Driver, Settings, Source, UnfitError
from dsvc.contents.drivers import by_head, by_name, chosen
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.tree import FILE_KINDS, Entry

_TRIPPED = (RecursionError, ArithmeticError, LookupError, TypeError, ValueError)
"""What a driver may raise over a content that nobody has thought of; lines are shown then."""


class Inside(NamedTuple):
    """A difference by content, or why there is none (`note`, which may be empty); `binary` hides the lines too."""

    diff: ContentDiff | None = None
    note: str | None = None
    binary: bool = False


def inside(file: FileDiff, sides: Sides, *, context: int = 3) -> Inside:
    """Compare a file by the driver that its attributes, name or first bytes choose; without one reads nothing."""
    found = _chosen(file, sides, context)
    if not isinstance(found, _Chosen):
        return found
    try:
        diff = found.driver.diff(found.old, found.new, found.settings)
    except ObjectMissingError:
        return Inside()  # that it is purged is said where lines are compared
    except UnfitError as error:
        return Inside(note=f"not read as {found.driver.NAME}: {error}")
    except _TRIPPED as error:
        return Inside(note=f"not read as {found.driver.NAME}: {type(error).__name__}")
    return Inside(diff) if diff.lines else Inside(note="")


def inside_page(file: FileDiff, sides: Sides) -> str | None:
    """Return the difference of a file as the inside of an HTML element, None where lines are to be shown."""
    found = _chosen(file, sides, 3)
    if not isinstance(found, _Chosen):
        return None
    try:
        return found.driver.page(found.old, found.new, found.settings)
    except (ObjectMissingError, *_TRIPPED):
        return None


def content_summary(
    store: ObjectStore, entry: Entry, path: bytes, settings: Settings | None = None
) -> ContentSummary | str | None:
    """Say what is in a file; None where no driver knows, a sentence where it failed."""
    settings = settings or Settings(path)
    source = Source(entry.size, lambda: store.file_chunks(entry.id))
    name = chosen(path, settings.attributes, "diff") or by_head(source.head(_HEAD))
    driver = by_name(name) if name is not None else None
    if driver is None:
        return None
    try:
        return driver.summary(source, settings)
    except UnfitError as error:
        return f"not read as {driver.NAME}: {error}"
    except _TRIPPED as error:
        return f"not read as {driver.NAME}: {type(error).__name__}"


_HEAD = 64


class _Chosen(NamedTuple):
    driver: Driver
    old: Source | None
    new: Source | None
    settings: Settings


def _chosen(file: FileDiff, sides: Sides, context: int) -> _Chosen | Inside:
    old, new = file.old, file.new
    if file.same_content() or any(entry is not None and entry.kind not in FILE_KINDS for entry in (old, new)):
        return Inside()
    attributes = sides.attributes.of(file.path)
    name = chosen(file.path, attributes, "diff")
    if name == "binary":
        return Inside(binary=True)
    if name is None:
        try:
            head = sides.new_head(file.path, new) if new is not None else b""
            head = head if new is not None or old is None else sides.old_head(old)
        except ObjectMissingError:
            return Inside()
        name = by_head(head)
    driver = by_name(name) if name is not None else None
    if driver is None:
        return Inside()
    before = Source(old.size, lambda: sides.old_chunks(old)) if old is not None else None
    after = None
    if new is not None:
        after = Source(new.size, lambda: sides.new_chunks(file.path, new), sides.new_place(file.path, new))
    return _Chosen(driver, before, after, Settings(file.path, attributes, context))
