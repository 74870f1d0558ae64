"""What a run logged while it went on, gathered from its journal."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from dsvc.objects.codec import Value
from dsvc.runs import journal
from dsvc.runs.journal import read_events
from dsvc.runs.pins import ContentStore, StoredFile
from dsvc.runs.series import Point, Series, SeriesWriter

# The names of events, each with what follows it.
POINTS: Final = journal.POINTS  # time, step or None, then name and value in turn
PARAM: Final = "param"  # name, value
METRIC: Final = "metric"  # name, value
LABEL: Final = "label"  # name, text
INPUT: Final = "input"  # absolute path, signature of its stat or nothing
OUTPUT: Final = "output"  # absolute path
NAME: Final = "name"  # text
DESCRIPTION: Final = "description"  # text
ERROR: Final = "error"  # text
META: Final = "meta"  # name, value

_MOST_NAMES = 10_000
_MOST_FILES = 1_000_000


@dataclass(slots=True)
class Gathered:
    """Everything that was logged; a later value of one name replaces an earlier one. `refused` is what was too much."""

    params: dict[str, Value] = field(default_factory=dict)
    metrics: dict[str, Value] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Value] = field(default_factory=dict)
    inputs: dict[bytes, bytes] = field(default_factory=dict)
    outputs: dict[bytes, None] = field(default_factory=dict)
    name: str = ""
    description: str = ""
    error: str = ""
    series: tuple[Series, ...] = ()
    series_file: StoredFile | None = None
    refused: int = 0


def gather_events(path: Path, store: ContentStore, *, mask: Callable[[str], str]) -> Gathered:
    """Return what the events in the folder of a journal say; series are stored, texts in them as `mask` leaves them.

    Raises:
        OSError: when the disk refuses.
    """
    found = Gathered()
    with tempfile.TemporaryFile(dir=path) as spool:
        writer = SeriesWriter(cast("Any", spool))
        take: dict[str, Callable[..., None]] = {
            POINTS: lambda *words: _points(writer, mask, *words),
            PARAM: lambda name, value: _set(found, found.params, name, value),
            METRIC: lambda name, value: _set(found, found.metrics, name, value),
            LABEL: lambda name, text: _set(found, found.labels, name, str(text)),
            META: lambda name, value: _set(found, found.metadata, name, value),
            INPUT: lambda file, sig: _set(found, found.inputs, bytes(file), bytes(sig or b""), most=_MOST_FILES),
            OUTPUT: lambda file: _set(found, found.outputs, bytes(file), None, most=_MOST_FILES),
            NAME: lambda text: setattr(found, "name", str(text)),
            DESCRIPTION: lambda text: setattr(found, "description", str(text)),
            ERROR: lambda text: setattr(found, "error", str(text)),
        }
        for event in read_events(path):
            try:
                take[str(event[0])](*event[1:])
            except (KeyError, TypeError, ValueError):  # of a later version, or damaged
                found.refused += 1
        found.series, found.series_file = writer.finish(store)
        found.refused += writer.refused
    return found


def _points(writer: SeriesWriter, mask: Callable[[str], str], time: int, step: int | None, *rest: Value) -> None:
    if len(rest) % 2:
        raise ValueError
    pairs: Iterable[tuple[Value, Value]] = zip(rest[::2], rest[1::2], strict=True)
    for name, value in pairs:
        if not isinstance(name, str):
            raise TypeError
        kept = mask(value) if isinstance(value, str) else value
        writer.add(name, Point(writer.next_step(name) if step is None else step, time, kept))


def _set(found: Gathered, into: dict[Any, Any], name: Any, value: Any, *, most: int = _MOST_NAMES) -> None:
    if name in into or len(into) < most:
        into[name] = value
    else:
        found.refused += 1
