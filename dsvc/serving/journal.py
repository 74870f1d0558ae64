"""A sample of requests and answers on disk: lines of JSON while it grows, then Parquet. See docs/formats/feedback.md.

`NAME.journal` is written by a server that holds a lock on it; whoever gets the lock knows that the server has ended,
and makes what is there of it `NAME.parquet`, or `NAME.jsonl` where no library writes Parquet.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

SCHEMA: Final = "dsvc.feedback"
VERSION: Final = 1
_FIRST: Final = (SCHEMA, VERSION)
_PREFIX: Final = b"dsvc."  # of the file's metadata
Facts = Mapping[str, str]  # model, version, commit


class Journal:
    """One file that grows. Used by one thread."""

    def __init__(self, path: Path, facts: Facts) -> None:
        self.path, self.rows, self.size = path, 0, 0
        young = path.with_suffix(".new")  # until it is locked nobody may take it for one that was left behind
        self._file: BinaryIO = young.open("xb")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        young.rename(path)
        self._add({"schema": SCHEMA, "schema_version": VERSION, **facts})

    def add(self, moment: int, count: int, columns: Mapping[str, Any]) -> None:
        """Add the rows of one request; `moment` in microseconds since 1970, columns as lists of `count` values."""
        self._add([moment, count, columns])
        self.rows += count

    def _add(self, line: Any) -> None:
        self.size += self._file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")

    def flush(self) -> None:
        """Hand over to the system what was added: it survives the end of this process."""
        self._file.flush()

    def finish(self) -> Path | None:
        """Close it and return the finished file, None where there are no rows."""
        self._file.flush()
        found = finish(self.path)
        self._file.close()
        return found


def take_up(folder: Path) -> list[Path]:
    """Finish the journals in a folder whose servers have ended, however they ended; return the files."""
    found = []
    for path in sorted(folder.glob("*.journal")):
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and (made := finish(path)) is not None:
                found.append(made)
    return found


def finish(path: Path) -> Path | None:
    """Make the finished file of a journal, whole or not at all, and remove the journal; safe to call again."""
    made = to_parquet(path)
    if made is None and _has_rows(path):
        made = path.with_suffix(".jsonl")
        path.rename(made)
        return made
    path.unlink()
    return made


def to_parquet(path: Path) -> Path | None:
    """Write the rows of a file of lines beside it as Parquet.

    Return that file; None where there are no rows, or nothing here writes Parquet.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped, import-not-found, unused-ignore]
        from pyarrow import parquet
    except ModuleNotFoundError:
        return None
    lines = read_lines(path)
    facts = next(lines, None)
    requests = list(lines)
    if facts is None or not requests:
        return None
    count = sum(rows for _, rows, _ in requests)
    moments = [moment for moment, rows, _ in requests for _ in range(rows)]
    table: dict[str, Any] = {
        "_time": pa.array(moments, pa.timestamp("us", "UTC")),
        "_version": pa.array([facts.get("version", "")] * count, pa.string()),
    }
    for name in dict.fromkeys(name for _, _, columns in requests for name in columns):
        values = [each for _, rows, columns in requests for each in columns.get(name, [None] * rows)]
        table[name] = _array(pa, values)
    metadata = {_PREFIX + key.encode(): value.encode() for key, value in facts.items()}
    whole, half = path.with_suffix(".parquet"), path.with_suffix(f".part{os.getpid()}")
    try:
        parquet.write_table(pa.table(table).replace_schema_metadata(metadata), half, compression="zstd")
        half.rename(whole)
    finally:
        half.unlink(missing_ok=True)
    return whole


def read_lines(path: Path) -> Iterator[Any]:
    """Yield the facts of a file of lines, then (moment, count, columns) of each request; a torn end is left out.

    Nothing is yielded of what is no such file, or one of a later version.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file):
            try:
                found = json.loads(line)
            except ValueError:
                found = None
            if number == 0:
                if not isinstance(found, dict) or (found.get("schema"), found.get("schema_version")) != _FIRST:
                    return
                yield {key: str(value) for key, value in found.items() if key in ("model", "version", "commit")}
            elif _is_request(found):
                yield found


def facts_of(path: Path) -> Facts | None:
    """Return the model, version and commit that a finished file is of, None for what is no such file."""
    if path.suffix == ".jsonl":
        return next(read_lines(path), None)
    import pyarrow as pa
    from pyarrow import parquet

    try:
        metadata = parquet.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError):
        return None
    named = {key: value for key, value in metadata.items() if key.startswith(_PREFIX)}
    found = {key.removeprefix(_PREFIX).decode(): value.decode() for key, value in named.items()}
    return found if "model" in found else None


def _is_request(found: Any) -> bool:
    if not (isinstance(found, list) and len(found) == 3 and isinstance(found[2], dict)):
        return False
    return all(isinstance(column, list) and len(column) == found[1] for column in found[2].values())


def _has_rows(path: Path) -> bool:
    return sum(1 for _, _ in zip(read_lines(path), range(2), strict=False)) > 1


def _array(pa: Any, values: list[Any]) -> Any:
    try:
        found = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # of several types: as text
        return pa.array([each if each is None or isinstance(each, str) else json.dumps(each) for each in values])
    return found.cast(pa.float64()) if pa.types.is_null(found.type) else found
