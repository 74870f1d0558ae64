"""Profiles of tables: exact where the table fits into the sample, close where it does not, the same from any source."""

from __future__ import annotations

import csv
import math
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from dsvc.errors import DsvcError
from dsvc.monitoring.profile import BadProfileError, parse_profile, profile_fields
from dsvc.monitoring.profiler import NoTableError, Profiler, TooManyColumnsError
from dsvc.monitoring.tables import MissingColumnError, profile_file, profile_table
from tests.commands.conftest import cli

__all__ = ["cli"]


def test_numbers_are_described_exactly():
    (column,) = profile_table({"a": np.array([5.0, 1, 2, 3, 4, math.nan, 6, 7, 8, 9, 10])}).columns
    assert (column.kind, column.type, column.count, column.missing) == ("number", "float", 10, 1)
    assert (column.low, column.high, column.mean) == (1, 10, 5.5)
    assert column.deviation == pytest.approx(np.arange(1, 11).std())
    assert column.edges == (1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert column.counts == (1,) * 10


def test_few_different_numbers_have_a_bin_each():
    (column,) = profile_table({"a": np.array([0, 1] * 50)}).columns
    assert (column.type, column.edges, column.counts) == ("integer", (0, 1), (50, 50, 0))


def test_categories_are_counted():
    texts = np.array([f"c{at % 30:02}" for at in range(300)] + ["c00"] * 5 + [None], dtype=object)
    (column,) = profile_table({"a": texts}).columns
    assert (column.kind, column.count, column.missing) == ("category", 305, 1)
    assert column.values[0] == ("c00", 15)
    assert len(column.values) == 20
    assert column.other == 100


def test_answers_are_classes_where_they_are_few_whole_numbers():
    labels = profile_table(np.zeros((4, 1)), outputs=np.array([2, 0, 2, 1])).outputs[0]
    assert (labels.name, labels.kind, labels.values) == ("predict", "category", (("2", 2), ("0", 1), ("1", 1)))
    numbers = profile_table(np.zeros((4, 1)), outputs=np.array([2.5, 0, 2, 1])).outputs[0]
    assert numbers.kind == "number"
    largest = profile_table(np.zeros((2, 1)), outputs=np.array([[0.1, 0.9], [0.7, 0.3]])).outputs[0]
    assert largest.values == (("0", 1), ("1", 1))


def test_a_large_table_is_sampled_and_its_bins_are_close():
    random = np.random.default_rng(3)
    profiler = Profiler()
    for _ in range(20):
        profiler.add({"a": random.exponential(size=20_000)})
    (column,) = profiler.finish().columns
    assert column.count == 400_000
    assert sum(column.counts) == pytest.approx(400_000, abs=20)
    for edge, share in zip(column.edges, np.arange(1, 10) / 10, strict=True):
        assert 1 - math.exp(-edge) == pytest.approx(share, abs=0.01)


def test_all_sources_of_one_table_say_the_same(tmp_path):
    rows = [[str(at % 7), f"{at / 3!r}", "red" if at % 3 else "", "" if at % 5 == 0 else str(at)] for at in range(500)]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["day", "size", "colour", "left"], *rows])
    columns = {
        "day": [int(row[0]) for row in rows],
        "size": [float(row[1]) for row in rows],
        "colour": [row[2] or None for row in rows],
        "left": [float(row[3]) if row[3] else None for row in rows],
    }
    table = pa.table(columns)
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=64)
    from_csv = profile_file(tmp_path / "t.csv")
    assert [(c.name, c.type, c.missing) for c in from_csv.columns] == [
        ("day", "integer", 0), ("size", "float", 0), ("colour", "string", 167), ("left", "float", 100),
    ]  # fmt: skip
    assert profile_file(tmp_path / "t.parquet") == from_csv
    assert profile_table(table) == from_csv


def test_a_target_stands_among_the_outputs(tmp_path):
    (tmp_path / "t.csv").write_text("a;b;y\n1;x;0\n2;y;1\n")
    found = profile_file(tmp_path / "t.csv", target="y", drop=["b"])
    assert ([c.name for c in found.columns], [c.name for c in found.outputs]) == (["a"], ["y"])
    with pytest.raises(MissingColumnError, match="no column 'z'; it has a, b, y"):
        profile_file(tmp_path / "t.csv", target="z")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no rows"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n3\n", "row 2 of .* has 1 fields, not 2"),
        (b"a,a\n1,2\n", "one name"),
        (b"a\n\xff\xfe\n", "no CSV file"),
        (b'a\n"b\n', "no CSV file"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, says):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(NoTableError, match=says):
        profile_file(tmp_path / "t.csv")


def test_what_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(NoTableError, match="no Parquet file"):
        profile_file(tmp_path / "t.parquet")


def test_too_wide_a_table_is_refused():
    with pytest.raises(TooManyColumnsError, match="2001 columns"):
        profile_table(np.zeros((1, 2001)))


@given(st.lists(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=2, max_size=2), min_size=1))
def test_a_profile_survives_its_written_form(rows):
    found = profile_table(np.array(rows))
    assert parse_profile(profile_fields(found)) == found
    for column in found.columns:
        assert column.count + column.missing == found.rows


NUMBER = {"name": "a", "kind": "number", "type": "float", "count": 1, "missing": 0, "edges": [], "counts": [1]}


@pytest.mark.parametrize(
    "change",
    [
        {"profile_version": 2},
        {"columns": None},
        {"columns": [{"name": "a"}]},
        {"columns": [{**NUMBER, "edges": [2, 1], "counts": [0, 0, 1]}]},
        {"columns": [{**NUMBER, "count": -1}]},
        {"columns": [NUMBER, NUMBER]},
        {"columns": [{**NUMBER, "kind": "category", "type": "string", "values": ["x"]}]},
        {"rows": True},
    ],
)
def test_a_damaged_profile_is_refused(change):
    fields = profile_fields(profile_table(np.zeros((2, 1))))
    with pytest.raises(BadProfileError) as raised:
        parse_profile({**fields, **change})
    assert isinstance(raised.value, DsvcError)


def test_a_file_of_parquet_is_read_in_bounded_memory(tmp_path):
    path, columns = tmp_path / "large.parquet", 8
    drawn = np.random.default_rng(0).normal(size=(50_000, columns))
    table = pa.table({f"x{at}": drawn[:, at] for at in range(columns)})
    with parquet.ParquetWriter(path, table.schema, compression="none", use_dictionary=False) as writer:
        for _ in range(16):
            writer.write_table(table, row_group_size=12_500)
    reading = """if True:
        import sys, pyarrow
        from pathlib import Path
        from dsvc.monitoring.tables import profile_file
        rows = profile_file(Path(sys.argv[1])).rows
        print(rows, pyarrow.default_memory_pool().max_memory())"""
    done = subprocess.run([sys.executable, "-c", reading, path], capture_output=True, text=True, check=True)
    rows, most = map(int, done.stdout.split())
    assert rows == 16 * 50_000
    assert path.stat().st_size > 40 << 20
    assert most < 16 << 20, "bytes of pyarrow"


def test_a_table_that_a_run_looks_at_is_kept_with_it(cli):
    cli.ok("init", "-q")
    (cli.directory / "rows.csv").write_text("a,b,y\n" + "1,x,0\n2,y,1\n" * 30)
    cli.ok("commit", "-q", "-m", "rows")
    table = cli.ok("profile", "rows.csv", "--target", "y")
    assert table.err == "60 rows\n"
    script = f"{sys.executable} -m dsvc profile rows.csv --target y > seen.txt && echo 1 > model.bin"
    ran = cli.ok("run", "--", "sh", "-c", script)
    assert "60 rows, kept with the run" in ran.err
    assert [each["path"] for each in cli.ok("runs", "show", "--json").json["inputs"]["files"]] == ["rows.csv"]
    cli.ok("commit", "-q", "-m", "a model")
    cli.ok("model", "add", "m", "model.bin")
    kept = cli.ok("model", "show", "m", "--json").json["facts"]["profile"]
    assert kept == cli.ok("profile", "rows.csv", "--target", "y", "--json").json["profile"]
    cli.environment["DSVC_RUN"] = str(cli.directory / "gone" / ("0" * 32))
    assert cli.ok("profile", "rows.csv").err == "60 rows\n"
