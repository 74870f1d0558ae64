"""The derived index of runs: one SQLite file that can be deleted at any time and is made again from the records.

It knows for which view it was made and follows the newest one by what differs between the two, so that ten thousand
runs are decoded once. A file that is damaged, of another version, or held by somebody else is no error: it is made
again, or left out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

from dsvc.errors import DsvcError, IntegrityError
from dsvc.objects import trees
from dsvc.objects.ids import Kind, ObjectId, RunId, ViewId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import EntryKind
from dsvc.refs.names import RUNS
from dsvc.refs.view import Direct, Ref, View
from dsvc.runs.names import RERUN_OF, RunKey, parse_ref, removal_ref
from dsvc.runs.notes import Note, decode_note, labels_after
from dsvc.runs.pins import Pin, Pins, PinState, Seen, read_pins
from dsvc.runs.record import Run, decode_run
from dsvc.runs.summary import Summary, pack_summary, summarize, unpack_summary, with_labels

VERSION = 3
_MOST_PINS = 100_000  # of one run and side
_INPUT, _OUTPUT = 0, 1
_TABLES = """
CREATE TABLE made (view BLOB NOT NULL);
CREATE TABLE runs (key BLOB PRIMARY KEY, start INTEGER NOT NULL, parent BLOB, executed INTEGER NOT NULL, base BLOB,
                   summary BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE notes (key BLOB, note BLOB, payload BLOB NOT NULL, PRIMARY KEY (key, note)) WITHOUT ROWID;
CREATE TABLE pins (file BLOB, side INTEGER, key BLOB, path BLOB, state INTEGER, seen INTEGER,
                   PRIMARY KEY (file, side, key, path)) WITHOUT ROWID;
CREATE INDEX written ON pins (path) WHERE side = 1;
"""


class Meeting(NamedTuple):
    """That a run met a file with some content: as an input or as an output, at which path, and how surely."""

    key: RunKey
    path: bytes
    is_output: bool
    state: PinState
    seen: Seen


@dataclass(slots=True)
class _Changes:
    """What has to be written for a newer view."""

    runs: dict[RunKey, ObjectId] = field(default_factory=dict)
    notes: dict[tuple[RunKey, RunKey], ObjectId] = field(default_factory=dict)
    gone: set[RunKey] = field(default_factory=set)
    gone_notes: set[tuple[RunKey, RunKey]] = field(default_factory=set)


class RunIndex:
    """An open index that stands for `view`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path, store: ObjectStore, view: View) -> Self:
        """Open the index at `path` and bring it up to a view; in memory where the file cannot be used.

        Raises:
            IntegrityError: when a record or a note cannot be read.
        """
        for attempt in range(2):
            with suppress(sqlite3.Error, OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(path, timeout=5, isolation_level=None)
                try:
                    return cls._brought_up(connection, store, view)
                except sqlite3.OperationalError:  # it is locked, the disk is full, or it may not be written
                    connection.close()
                    break
                except sqlite3.Error:  # it is damaged
                    connection.close()
                    if attempt == 0:
                        path.unlink(missing_ok=True)
                except BaseException:
                    connection.close()
                    raise
        return cls._brought_up(sqlite3.connect(":memory:", isolation_level=None), store, view)

    @classmethod
    def _brought_up(cls, connection: sqlite3.Connection, store: ObjectStore, view: View) -> Self:
        connection.execute("PRAGMA synchronous = OFF")  # it can be made again
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        index = cls(connection)
        made = connection.execute("SELECT view FROM made").fetchone() if version == VERSION else None
        if made is not None and made[0] == view.id:
            return index
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    connection.execute(f'DROP TABLE "{name}"')
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            made = connection.execute("SELECT view FROM made").fetchone()
            index._apply(store, index._changes(store, view, made[0] if made else None))
            connection.execute("DELETE FROM made")
            connection.execute("INSERT INTO made VALUES (?)", (view.id,))
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return index

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading.

    def summaries(self) -> Iterator[Summary]:
        """Yield all runs, the newest first."""
        noted = {key for (key,) in self._connection.execute("SELECT DISTINCT key FROM notes")}
        for key, data in self._connection.execute("SELECT key, summary FROM runs ORDER BY start DESC, key DESC"):
            summary = unpack_summary(data)
            yield self._labelled(summary) if key in noted else summary

    def summary(self, key: RunKey) -> Summary | None:
        """Return one run, None where there is none of that key."""
        row = self._connection.execute("SELECT summary FROM runs WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._labelled(unpack_summary(row[0]))

    def is_repetition(self, key: RunKey) -> bool:
        """Say whether a run repeated another one: that one is the origin of what both wrote."""
        row = self.summary(key)
        return row is not None and RERUN_OF in row.labels

    def origin(self, met: Sequence[Meeting], path: bytes, strangers: Container[RunKey] = ()) -> Meeting | None:
        """Return which of these wrote a file rather than the others.

        That is one that did so surely, at this path, is none of `strangers`, and did not repeat a run.
        """
        if len(met) < 2:
            return met[0] if met else None
        return min(
            met,
            key=lambda m: (m.state != PinState.PINNED, m.path != path, m.key in strangers, self.is_repetition(m.key)),
        )

    def keys(self) -> list[RunKey]:
        """Return the keys of all runs in order."""
        return [RunKey(key) for (key,) in self._connection.execute("SELECT key FROM runs ORDER BY key")]

    def outer_keys(self) -> list[RunKey]:
        """Return the keys of the runs that were executed and are not inside another one, in order."""
        rows = self._connection.execute("SELECT key FROM runs WHERE parent IS NULL AND executed ORDER BY key")
        return [RunKey(key) for (key,) in rows]

    def began_at(self, commit_id: bytes) -> list[RunKey]:
        """Return the runs that began while a commit was checked out, in order."""
        rows = self._connection.execute("SELECT key FROM runs WHERE base = ? AND executed ORDER BY key", (commit_id,))
        return [RunKey(key) for (key,) in rows]

    def inside(self, key: RunKey) -> list[RunKey]:
        """Return the runs that took place inside a run, in order."""
        rows = self._connection.execute("SELECT key FROM runs WHERE parent = ? ORDER BY key", (key,))
        return [RunKey(found) for (found,) in rows]

    def notes(self, key: RunKey) -> list[Note]:
        """Return the notes to a run in the order in which they were made."""
        rows = self._connection.execute("SELECT payload FROM notes WHERE key = ? ORDER BY note", (key,))
        return sorted((decode_note(payload) for (payload,) in rows), key=lambda note: note.time)

    def meetings(self, files: Iterable[bytes], *, outputs: bool | None = None) -> dict[bytes, list[Meeting]]:
        """Return which runs met files of these ids, as inputs and outputs, or one of both; the newest run first."""
        found: dict[bytes, list[Meeting]] = {}
        sides = (_INPUT, _OUTPUT) if outputs is None else (_OUTPUT,) if outputs else (_INPUT,)
        query = "SELECT key, path, state, seen FROM pins WHERE file = ? AND side = ? ORDER BY key DESC"
        for file in files:
            for side in sides:
                for key, path, state, seen in self._connection.execute(query, (file, side)):
                    meeting = Meeting(RunKey(key), path, side == _OUTPUT, PinState(state), Seen(seen))
                    found.setdefault(file, []).append(meeting)
        return found

    def written(self, path: bytes) -> list[RunKey]:
        """Return the runs that wrote something at a path, the newest first."""
        query = "SELECT DISTINCT key FROM pins WHERE path = ? AND side = 1 ORDER BY key DESC"
        return [RunKey(key) for (key,) in self._connection.execute(query, (path,))]

    def written_files(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield path and id of everything that a run wrote inside of working copies, each pair once."""
        query = "SELECT DISTINCT path, file FROM pins WHERE side = 1 AND state = 1 ORDER BY path"
        for path, file in self._connection.execute(query):
            if not path.startswith(b"/"):
                yield path, file

    def without_outputs(self) -> list[RunKey]:
        """Return the runs that wrote nothing inside of working copies that is known, in order."""
        query = "SELECT key FROM runs EXCEPT SELECT key FROM pins WHERE side = 1 AND state = 1 ORDER BY key"
        return [RunKey(key) for (key,) in self._connection.execute(query)]

    def read_by(self, keys: Collection[RunKey]) -> Iterator[tuple[RunKey, bytes, bytes]]:
        """Yield what these runs surely read inside of working copies: run, path and id."""
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._connection.execute("DELETE FROM wanted")
        self._connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((key,) for key in keys))
        query = "SELECT key, path, file FROM pins WHERE side = 0 AND state = 1 AND key IN (SELECT key FROM wanted)"
        for key, path, file in self._connection.execute(query):
            if not path.startswith(b"/"):
                yield RunKey(key), path, file

    def _labelled(self, summary: Summary) -> Summary:
        notes = [note for note in self.notes(summary.key) if note.labels]
        return with_labels(summary, labels_after(summary.labels, notes)) if notes else summary

    # Following the view.

    def _changes(self, store: ObjectStore, view: View, made: bytes | None) -> _Changes:
        changes = _Changes()
        if made is not None:
            with suppress(IntegrityError):  # that view was collected
                for name, _, new in View(store, ViewId(ObjectId(made))).differences(view):
                    if name.startswith(RUNS):
                        self._change(changes, name, new)
                self._drop_removed(changes, view)
                return changes
            changes = _Changes()
        known = {RunKey(key) for (key,) in self._connection.execute("SELECT key FROM runs")}
        known_notes = set(self._connection.execute("SELECT key, note FROM notes"))
        for name, ref in view.items(RUNS):
            parsed = parse_ref(name)
            if parsed is None:
                continue
            if parsed.note is None and parsed.key in known and not parsed.is_removal:
                known.discard(parsed.key)
            elif parsed.note is not None and (parsed.key, parsed.note) in known_notes:
                known_notes.discard((parsed.key, parsed.note))
            else:
                self._change(changes, name, ref)
        changes.gone |= known
        changes.gone_notes |= known_notes
        self._drop_removed(changes, view)
        return changes

    @staticmethod
    def _change(changes: _Changes, name: str, ref: Ref | None) -> None:
        parsed = parse_ref(name)
        if parsed is None:
            return
        target = ref.id if isinstance(ref, Direct) and ref.kind == Kind.RUN else None
        if parsed.is_removal:
            if target is not None:
                changes.gone.add(parsed.key)
        elif parsed.note is not None:
            if target is None:
                changes.gone_notes.add((parsed.key, parsed.note))
            else:
                changes.notes[parsed.key, parsed.note] = target
        elif target is None:
            changes.gone.add(parsed.key)
        else:
            changes.runs[parsed.key] = target

    @staticmethod
    def _drop_removed(changes: _Changes, view: View) -> None:
        """Leave out runs that were removed: that wins, also where the record is still there."""
        for key in list(changes.runs):
            if view.get(removal_ref(key)) is not None:
                del changes.runs[key]
                changes.gone.add(key)

    def _apply(self, store: ObjectStore, changes: _Changes) -> None:
        with closing(self._connection.cursor()) as cursor:
            for key in changes.gone:
                for table in ("runs", "notes", "pins"):
                    cursor.execute(f"DELETE FROM {table} WHERE key = ?", (key,))  # noqa: S608 - fixed names
            cursor.executemany("DELETE FROM notes WHERE key = ? AND note = ?", changes.gone_notes)
            for key, target in changes.runs.items():
                run = decode_run(store.get(target, Kind.RUN))
                summary = summarize(run, RunId(target))
                executed = run.authority != "correction"
                row = (key, run.start, run.parent, executed, run.base, pack_summary(summary))
                cursor.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", row)
                cursor.executemany("INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?, ?, ?)", _rows(store, run))
            for (key, note), target in changes.notes.items():
                payload = store.get(target, Kind.RUN)
                decode_note(payload)
                cursor.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (key, note, payload))


def _rows(store: ObjectStore, run: Run) -> Iterator[tuple[object, ...]]:
    for side, pins in ((_INPUT, run.inputs), (_OUTPUT, run.outputs)):
        for pin in islice(_files(store, pins), _MOST_PINS):
            yield pin.id, side, run.key, pin.path, int(pin.state), int(pin.seen)


def _files(store: ObjectStore, pins: Pins) -> Iterator[Pin]:
    """Yield the pins that have an id, and below a folder the files in it, as they were met with it."""
    with suppress(DsvcError):  # its table was not fetched, say
        for pin in read_pins(store, pins):
            if pin.id is None:
                continue
            yield pin
            if pin.kind == EntryKind.TREE:
                with suppress(DsvcError):
                    for path, entry in trees.walk(store, pin.id, pin.path + b"/"):
                        kind, file = EntryKind(entry.kind), ObjectId(entry.id)
                        yield pin._replace(path=path, kind=kind, id=file, size=entry.size)
