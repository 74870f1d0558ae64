"""Diff of tables beside daff, Oxen and SQL in DuckDB: `python bench/tables.py [ROWS]` (a million by default).

A CSV of five columns and one with 1,000 changed cells, 500 rows less and 500 more. Each runs in a process of its own,
once; time and the highest resident memory are told. Tools that are not installed (`pip install daff duckdb`, and a
Python with oxen as OXEN_PYTHON) are left out; words after ROWS choose some of dsvc, duckdb, oxen, parquet, daff; with
`dsvc merge` or `parquet merge` a merge with another descendant, which for Parquet has a column more, is made too.
"""

# ruff: noqa: PLC0415, S311, T201 -- a script that prints

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DSVC = """
import sys
from dsvc.contents import tables
from dsvc.contents.driver import Settings, Source
def source(path):
    def chunks():
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                yield piece
    import os
    return Source(os.path.getsize(path), chunks, os.fsencode(path))
name = sys.argv[1].rpartition("/")[2]
found = tables.diff(source(sys.argv[1]), source(sys.argv[2]), Settings(name.encode(), {"key": "id"}))
print({key: found.document[key] for key in ("changed", "added", "removed")})
"""

MERGE = DSVC.rpartition("name =")[0] + """
import pyarrow.parquet as pq
from dsvc.contents.driver import MergeLabels
base, ours = sys.argv[1:3]
theirs = ours + ".theirs"
found = tables.merge(*map(source, (base, ours, theirs)), MergeLabels(), Settings(b"t.parquet", {"key": "id"}))
with open(ours + ".merged", "wb") as file:
    for piece in found.content:
        file.write(piece)
print(pq.ParquetFile(ours + ".merged").metadata.num_rows, "rows")
"""

MERGE_TEXT = DSVC.rpartition("name =")[0] + """
from dsvc.contents.driver import MergeLabels
base, ours = sys.argv[1:3]
found = tables.merge(*map(source, (base, ours, ours + ".theirs")), MergeLabels(), Settings(b"t.csv", {"key": "id"}))
rows = sum(piece.count(b"\\n") for piece in found.content) - 1
print(rows, "rows,", found.conflicts, "conflicts")
"""

DUCKDB = """
import sys, duckdb
read = "read_parquet" if sys.argv[1].endswith("parquet") else "read_csv"
a, b = (f"{read}('{path}')" for path in sys.argv[1:3])
names = [row[0] for row in duckdb.sql(f"describe select * from {a}").fetchall() if row[0] != "id"]
differs = " or ".join(f'a."{name}" is distinct from b."{name}"' for name in names)
print(duckdb.sql(f'''select count(*) filter (a.id is not null and b.id is not null) changed,
    count(*) filter (a.id is null) added, count(*) filter (b.id is null) removed
    from {a} a full join {b} b on a.id = b.id where a.id is null or b.id is null or {differs}''').fetchall())
"""

DAFF = """
import sys, csv, daff
sides = [daff.PythonTableView(list(csv.reader(open(path)))) for path in sys.argv[1:3]]
flags = daff.CompareFlags()
flags.addPrimaryKey("id")
out = daff.PythonTableView([])
daff.TableDiff(daff.compareTables(*sides, flags).align(), flags).hilite(out)
print(out.height)
"""

OXEN = """
import sys, oxen
print(oxen.diff(sys.argv[1], sys.argv[2], keys=["id"]))
"""


def written(folder: Path, rows: int) -> tuple[Path, Path]:
    rng = random.Random(1)
    old, new = folder / "old.csv", folder / "new.csv"
    changed = set(rng.sample(range(rows), 1000))
    gone = set(rng.sample(range(rows), 500))
    with old.open("w") as a, new.open("w") as b:
        for file in (a, b):
            file.write("id,name,score,group,text\n")
        for number in range(rows):
            score = rng.random()
            a.write(f"{number},name {number},{score},{number % 7},text of row {number}\n")
            if number in gone:
                continue
            b.write(f"{number},name {number},{score + (number in changed)},{number % 7},text of row {number}\n")
        for number in range(rows, rows + 500):
            b.write(f"{number},new,0.5,1,text\n")
    return old, new


def theirs_of(base: Path, target: Path) -> None:
    """Write another descendant: a column more, and another 1 in 10,000 scores."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    source = parquet.ParquetFile(base)
    writer = None
    for batch in source.iter_batches(1 << 16):
        table = pa.Table.from_batches([batch])
        tens = compute.multiply(compute.divide(table["id"], 10_000), 10_000)
        hit = compute.equal(compute.subtract(table["id"], tens), 7)
        text = compute.if_else(hit, "other", table["text"])
        table = table.set_column(4, "text", text).append_column("half", compute.divide(table["id"], 2))
        writer = writer or parquet.ParquetWriter(target, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def theirs_of_text(base: Path, target: Path) -> None:
    """Write another descendant: another text in one row of 1,000."""
    with base.open() as source, target.open("w") as file:
        for number, line in enumerate(source):
            file.write(line.replace("text of row", "other text of") if number % 1000 == 7 else line)


def run(title: str, script: str, paths: tuple[Path, Path], python: str = sys.executable) -> None:
    start = time.perf_counter()
    command = [python, "-c", script, *map(str, paths)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    text = process.stdout.read().decode(errors="replace").strip().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    spent = time.perf_counter() - start
    said = text[-1][:60] if text and status == 0 else f"exit {status}"
    cpu = usage.ru_utime + usage.ru_stime
    print(f"| {title} | {spent:.1f} s | {cpu:.1f} s | {usage.ru_maxrss >> 10} MiB | {said} |", flush=True)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    only = set(sys.argv[2:])
    with tempfile.TemporaryDirectory(prefix="bench-tables-") as name:
        paths = written(Path(name), rows)
        print(f"{rows:,} rows, {paths[0].stat().st_size >> 20} MiB of CSV\n")
        print("| tool | time | processor | memory | what it found |")
        print("| --- | --- | --- | --- | --- |")

        def wanted(tool: str, module: str | None = None) -> bool:
            return (not only or tool in only) and (module is None or importlib.util.find_spec(module) is not None)

        if wanted("dsvc"):
            run("dsvc, CSV", DSVC, paths)
            if "merge" in only:
                theirs_of_text(paths[0], Path(f"{paths[1]}.theirs"))
                run("dsvc, merge of CSV", MERGE_TEXT, paths)
        if wanted("duckdb", "duckdb"):
            run("DuckDB SQL, CSV", DUCKDB, paths)
        if wanted("oxen"):
            python = os.environ.get("OXEN_PYTHON")
            if python:
                run("Oxen", OXEN, paths, python)
        if wanted("parquet", "pyarrow"):
            from pyarrow import csv, parquet

            files = tuple(path.with_suffix(".parquet") for path in paths)
            for path, file in zip(paths, files, strict=True):
                parquet.write_table(csv.read_csv(path), file)
            run("dsvc, Parquet", DSVC, (files[0], files[1]))
            if "merge" in only:
                theirs_of(files[0], Path(f"{files[1]}.theirs"))
                run("dsvc, merge of Parquet", MERGE, (files[0], files[1]))
            if wanted("duckdb", "duckdb"):
                run("DuckDB SQL, Parquet", DUCKDB, (files[0], files[1]))
        if wanted("daff", "daff"):
            run("daff", DAFF, paths)


if __name__ == "__main__":
    main()
