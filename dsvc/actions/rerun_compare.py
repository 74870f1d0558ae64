"""What a repetition of a run brought, beside what the run brought: by hashes, and by numbers within a tolerance."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from dsvc.errors import DsvcError
from dsvc.objects import trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import ObjectId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, EntryKind
from dsvc.runs.pins import Pin

Verdict = Literal["identical", "close", "different", "missing", "new", "ignored"]
_LONGEST: Final = 16 << 20  # bytes of a text whose numbers are compared
_NUMBER: Final = re.compile(rb"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])")


@dataclass(frozen=True, slots=True)
class OutputCheck:
    """A file that one of both wrote: with which content before and now, and whether that is the same.

    `close` is a text that differs only in numbers, and in these by no more than the tolerance.
    """

    path: bytes
    old: ObjectId | None
    new: ObjectId | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class MetricCheck:
    """A metric before and now; None where there is none."""

    name: str
    old: Value
    new: Value
    verdict: Verdict


def compare_outputs(
    store: ObjectStore, old: Iterable[Pin], new: Iterable[Pin], *, tolerance: float, ignore: Callable[[str], bool]
) -> Iterator[OutputCheck]:
    """Yield what became of each file in the working copy that one of both runs wrote, folders file by file."""
    before, after = _files(store, old), _files(store, new)
    for path in sorted(before.keys() | after.keys()):
        first, second = before.get(path), after.get(path)
        verdict: Verdict
        if ignore(path.decode("utf-8", "backslashreplace")):
            verdict = "ignored"
        elif first is None or second is None:
            verdict = "new" if first is None else "missing"
        elif first == second:
            verdict = "identical"
        else:
            verdict = "close" if _texts_are_close(store, first, second, tolerance) else "different"
        yield OutputCheck(path, first, second, verdict)


def _files(store: ObjectStore, pins: Iterable[Pin]) -> dict[bytes, ObjectId]:
    found: dict[bytes, ObjectId] = {}
    for pin in pins:
        if pin.id is None or pin.is_outside:
            continue
        if pin.kind != EntryKind.TREE:
            found[pin.path] = pin.id
            continue
        try:
            for path, entry in trees.walk(store, pin.id, pin.path + b"/"):
                if entry.kind in CONTENT_KINDS:
                    found[path] = ObjectId(entry.id)
        except DsvcError:  # it is not here: its id has to do
            found[pin.path] = pin.id
    return found


def _texts_are_close(store: ObjectStore, old: ObjectId, new: ObjectId, tolerance: float) -> bool:
    try:
        if not tolerance or max(store.file_size(old), store.file_size(new)) > _LONGEST:
            return False
        return texts_are_close(store.read_file(old), store.read_file(new), tolerance)
    except DsvcError:
        return False


def texts_are_close(old: bytes, new: bytes, tolerance: float) -> bool:
    """Say whether two texts differ only in numbers, each by at most `tolerance` of the larger one."""
    if b"\0" in old[:8192] or b"\0" in new[:8192] or _NUMBER.sub(b"0", old) != _NUMBER.sub(b"0", new):
        return False
    pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
    return all(first == second or is_close(float(first), float(second), tolerance) for first, second in pairs)


def is_close(old: float, new: float, tolerance: float) -> bool:
    """Say whether two numbers differ by at most `tolerance` of the larger one; NaN is close to NaN."""
    if math.isnan(old) or math.isnan(new):
        return math.isnan(old) and math.isnan(new)
    return math.isclose(old, new, rel_tol=tolerance, abs_tol=0.0)


def compare_metrics(
    old: Mapping[str, Value], new: Mapping[str, Value], *, tolerance: float, ignore: Callable[[str], bool]
) -> Iterator[MetricCheck]:
    """Yield what became of each metric, of a series its last value."""
    for name in sorted(old.keys() | new.keys()):
        first, second = old.get(name), new.get(name)
        verdict: Verdict
        if ignore(f"metrics.{name}"):
            verdict = "ignored"
        elif name not in new or name not in old:
            verdict = "missing" if name in old else "new"
        elif type(first) is type(second) and (first == second or _both_nan(first, second)):
            verdict = "identical"
        else:
            verdict = "close" if _numbers_are_close(first, second, tolerance) else "different"
        yield MetricCheck(name, first, second, verdict)


def _both_nan(old: Value, new: Value) -> bool:
    return isinstance(old, float) and isinstance(new, float) and math.isnan(old) and math.isnan(new)


def _numbers_are_close(old: Value, new: Value, tolerance: float) -> bool:
    if isinstance(old, bool) or isinstance(new, bool):
        return False
    if not (isinstance(old, (int, float)) and isinstance(new, (int, float))):
        return False
    try:
        return is_close(float(old), float(new), tolerance)
    except OverflowError:
        return False


def ignoring(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return what says whether a path, or `metrics.NAME`, matches one of some patterns with `*`."""
    chosen = tuple(patterns)
    return lambda name: any(fnmatchcase(name, pattern) for pattern in chosen)
