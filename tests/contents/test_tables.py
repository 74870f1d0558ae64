from __future__ import annotations

import csv
import io
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.contents import tables
from dsvc.contents.driver import ContentMerge, MergeLabels, Settings, Source, UnfitError
from dsvc.contents.tables import comparing, large_merge, merging, parts

BASE = "id,name,price\n" + "".join(f"{n},n{n},{n}.5\n" for n in range(1, 9))


def pieces(text: str | bytes, size: int = 7) -> Source:
    """A source that comes in small pieces, so that records lie across their ends."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return Source(len(data), lambda: (data[at : at + size] for at in range(0, len(data), size)))


def diff(old: str | bytes, new: str | bytes, name: str = "t.csv", **attributes: str) -> Any:
    return tables.diff(pieces(old), pieces(new), Settings(name.encode(), attributes))


def shown(*args: Any, **attributes: str) -> list[str]:
    return [line.text for line in diff(*args, **attributes).lines]


def merged(
    base: Any, ours: Any, theirs: Any, name: str = "t.csv", favor: Any = None, **attributes: str
) -> ContentMerge:
    source = pieces(base) if base is not None else None
    settings = Settings(name.encode(), attributes)
    return tables.merge(source, pieces(ours), pieces(theirs), MergeLabels(favor=favor), settings)


def text_of(merge: ContentMerge) -> str:
    assert merge.content is not None
    return b"".join(merge.content).decode("utf-8", "surrogateescape")


def changed(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def test_rows_and_cells() -> None:
    new = changed(BASE, ("3,n3,3.5", "3,n3,4"), ("5,n5,5.5\n", "")) + '10,"new, ""one""",1\n'
    assert shown(BASE, new) == [
        "8 rows by id: 1 changed, 1 added, 1 removed",
        " 3  price: 3.5 -> 4",
        "-5  name=n5, price=5.5",
        '+10  name=new, "one", price=1',
    ]
    assert diff(BASE, new).document["rows"][0] == {
        "change": "changed", "key": ["3"], "cells": [{"column": "price", "old": "3.5", "new": "4"}],
    }  # fmt: skip
    assert shown(BASE, BASE.replace("\n", "\r\n")) == []


def test_columns_come_and_go() -> None:
    wide = "\n".join(f"{line},{'extra' if n == 0 else n}" for n, line in enumerate(BASE.splitlines())) + "\n"
    assert shown(BASE, changed(wide, ("4,n4", "4,nn"))) == [
        "8 rows by id: 1 changed",
        "+column extra",
        " 4  name: n4 -> nn",
    ]
    assert shown(BASE, changed(BASE, (",", ";")), "t.csv", key="id") == []  # another separator


def test_rows_without_a_key_are_counted() -> None:
    assert shown("a,b\n1,2\n1,2\n1,2\n", "a,b\n1,2\n1,3\n") == [
        "3 -> 2 rows, no key: 1 added, 2 removed",
        "-a=1, b=2",
        "-a=1, b=2",
        "+a=1, b=3",
    ]


def test_json_lines_keep_types() -> None:
    old = '{"id": 1, "x": [1]}\n{"id": 2, "y": 1}\n'
    assert shown(old, '{"id": 1, "x": [1, 2]}\n{"id": 2, "y": 1.0}\n', "t.jsonl") == [
        "2 rows by id: 2 changed",
        "  changed cells: x in 1, y in 1",
        " 1  x: [1] -> [1, 2]",
        " 2  y: 1 -> 1.0",
    ]


def random_table(rng: random.Random) -> list[list[str]]:
    words = ["", "a", "b,c", 'say "x"', "two\nlines", "é", "1.0", " "]
    return [[str(n), rng.choice(words), rng.choice(words)] for n in rng.sample(range(30), 12)]


def written(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["id", "a", "b"], *rows])
    return out.getvalue()


@pytest.mark.parametrize("in_memory", [True, False])
def test_counts_are_those_of_a_plain_comparison(monkeypatch: pytest.MonkeyPatch, in_memory: bool) -> None:
    if not in_memory:  # through files, in several parts
        monkeypatch.setattr(comparing, "IN_MEMORY", 0)
        monkeypatch.setattr(comparing, "_BUCKET", 64)
        monkeypatch.setattr(comparing, "_MANY", 3)
    for seed in range(60):
        rng = random.Random(seed)
        old = random_table(rng)
        new = [row for row in old if rng.random() < 0.8] + [[str(n), "new", ""] for n in range(40, 42)]
        new = [[row[0], rng.choice([row[1], "changed"]), row[2]] for row in new]
        rng.shuffle(new)
        a, b = ({row[0]: row for row in side} for side in (old, new))
        found = diff(written(old), written(new), key="id").document
        assert (found["added"], found["removed"]) == (len(b.keys() - a.keys()), len(a.keys() - b.keys())), seed
        assert found["changed"] == sum(a[key] != b[key] for key in a.keys() & b.keys()), seed


def test_merges_take_rows_and_cells_of_both() -> None:
    ours = changed(BASE, ("3,n3,3.5", "3,n3,4"), ("5,n5,5.5\n", "")) + "9,ours,1\n"
    theirs = changed(BASE, ("3,n3,", "3,nn3,"), ("2,n2", "2,n2x"), ("4,n4,4.5\n", "4,n4,4.5\n44,theirs,0\n"))
    found = merged(BASE, ours, theirs + "10,theirs,2\n")
    assert (found.conflicts, found.notes) == (0, ())
    assert text_of(found) == (
        "id,name,price\n1,n1,1.5\n2,n2x,2.5\n3,nn3,4\n4,n4,4.5\n44,theirs,0\n6,n6,6.5\n7,n7,7.5\n8,n8,8.5\n"
        "9,ours,1\n10,theirs,2\n"
    )


def test_a_conflict_is_a_row_with_its_three_versions() -> None:
    ours = changed(BASE, ("3,n3,3.5", "3,n3,4"), ("8,n8,8.5\n", ""))
    theirs = changed(BASE, ("3,n3,3.5", "3,x,5"), ("n8", "m8"))
    found = merged(BASE, ours, theirs)
    assert found.notes == (
        "row id=3: price (base 3.5, ours 4, theirs 5)",
        "row id=8: removed by ours, changed by theirs",
    )
    assert "<<<<<<< ours\n3,n3,4\n||||||| base\n3,n3,3.5\n=======\n3,x,5\n>>>>>>> theirs\n4," in text_of(found)
    assert text_of(found).endswith("<<<<<<< ours\n||||||| base\n8,n8,8.5\n=======\n8,m8,8.5\n>>>>>>> theirs\n")
    assert "3,x,4\n" in text_of(merged(BASE, ours, theirs, favor="ours"))  # what does not conflict is theirs
    assert "3,x,5\n" in text_of(merged(BASE, ours, theirs, favor="theirs"))


def test_columns_are_merged_too() -> None:
    wide = "\n".join(f"{line},{'extra' if n == 0 else n}" for n, line in enumerate(BASE.splitlines())) + "\n"
    narrow = "\n".join(line.rpartition(",")[0] for line in BASE.splitlines()) + "\n"
    ours = changed(BASE, ("3,n3", "3,other")) + "9,n9,1\n"
    assert "3,other,3.5,3\n" in text_of(merged(BASE, ours, wide))
    assert "9,n9,1,\n" in text_of(merged(BASE, ours, wide))
    both = text_of(merged(BASE, narrow, wide))
    assert both.startswith("id,name,extra\n1,n1,1\n")


def test_quotes_and_line_ends_stay_as_they_were() -> None:
    base = 'id,text,n\r\n1,"quoted",1\r\n2,"a, b",2\r\n3,plain,3'
    ours, theirs = changed(base, ("1\r\n2", "9\r\n2")), changed(base, ("b\",2", "b\",7"), ("plain", "two\nlines"))
    theirs = changed(theirs, ("two\nlines", '"two\nlines"'))
    assert text_of(merged(base, ours, theirs)) == 'id,text,n\r\n1,"quoted",9\r\n2,"a, b",7\r\n3,"two\nlines",3'


def test_json_lines_are_merged_by_member() -> None:
    base = '{"id":1,"x":1}\n{"id":2, "y":2}\n'
    found = merged(base, changed(base, ('"x":1', '"x":2')), changed(base, ('"x":1', '"x":1,"z":null')), "t.jsonl")
    assert text_of(found) == '{"id":1,"x":2,"z":null}\n{"id":2, "y":2}\n'


def test_many_merges_are_what_a_merge_of_their_cells_is() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        base = random_table(rng)

        def side(base: list[list[str]] = base, rng: random.Random = rng) -> list[list[str]]:
            rows = [[row[0], *(rng.choice([cell, cell, f"w{rng.randrange(2)}"]) for cell in row[1:])] for row in base]
            rows = [row for row in rows if rng.random() < 0.9]
            return [*rows, [str(rng.randrange(50, 60)), "new", ""]]

        ours, theirs = side(), side()
        found = merged(written(base), written(ours), written(theirs), key="id")
        maps = [{row[0]: row for row in rows} for rows in (base, ours, theirs)]
        expected, conflicts = {}, 0
        for key in {**maps[1], **maps[2]}:
            old, mine, other = (rows.get(key) for rows in maps)
            if mine is None or other is None:
                kept = mine or other
                conflicts += old is not None and kept != old
                if old is None:
                    expected[key] = kept
                continue
            cells, fight = [], False
            for a, b, c in zip(old or ["\0"] * 3, mine, other, strict=True):
                cells.append(c if a == b else b)
                fight = fight or (b != c and a not in (b, c))
            conflicts += fight
            if not fight:
                expected[key] = cells
        assert found.conflicts == conflicts, seed
        if not conflicts:
            rows = list(csv.reader(io.StringIO(text_of(found))))[1:]
            assert {row[0]: row for row in rows} == expected, seed


@pytest.mark.parametrize("favor", [None, "theirs"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_large_tables_come_to_the_same_part_by_part(
    monkeypatch: pytest.MonkeyPatch, form: str, favor: str | None
) -> None:
    for seed in range(40):
        rng = random.Random(seed)
        base = random_table(rng)
        keys = [str(number) for number in rng.sample(range(40, 60), 6)]

        def side(base: list[list[str]] = base, rng: random.Random = rng, keys: list[str] = keys) -> list[list[str]]:
            rows = [[row[0], *(rng.choice([cell, cell, f"w{rng.randrange(2)}"]) for cell in row[1:])] for row in base]
            rows = [row for row in rows if rng.random() < 0.8]
            for key in rng.sample(keys, 3):
                rows.insert(rng.randrange(len(rows) + 1), [key, "new", ""])
            rng.shuffle(rows) if rng.random() < 0.3 else None
            return rows

        sides = [base if rng.random() < 0.8 else None, side(), side() if rng.random() < 0.9 else [["99", "a", "b"]]]
        texts = [text if text is None else lines_of_json(text) if form == "jsonl" else written(text) for text in sides]
        expected = merged(*texts, name=f"t.{form}", favor=favor)
        text = text_of(expected)
        with monkeypatch.context() as patch:
            patch.setattr(merging, "IN_MEMORY", 0)
            patch.setattr(large_merge, "_PART", rng.choice([50, 400]))
            patch.setattr(large_merge, "_BLOCK", 2)
            patch.setattr(large_merge, "_WINDOW", 3)
            patch.setattr(parts, "_HELD", 300)
            found = merged(*texts, name=f"t.{form}", favor=favor)
            assert text_of(found) == text, seed
        assert (found.conflicts, found.notes) == (expected.conflicts, expected.notes), seed


def lines_of_json(rows: list[list[str]]) -> str:
    return "".join(json.dumps(dict(zip(("id", "a", "b"), row, strict=True))) + "\n" for row in rows)


def test_keys_of_large_tables_must_tell_rows_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "IN_MEMORY", 0)
    monkeypatch.setattr(merging, "_SAMPLE", 1)
    with pytest.raises(UnfitError, match="two rows have the id 1"):
        merged("id,a\n1,2\n", "id,a\n1,2\n1,3\n", "id,a\n1,4\n", key="id")
    with pytest.raises(UnfitError, match="key=COLUMN"):
        merged("a,b\n1,2\n1,2\n", "a,b\n1,2\n1,3\n", "a,b\n1,4\n1,2\n")
    # id looks like a key at first; the next column that may be one is taken.
    base = "id,x_id,c\n1,1,x\n1,2,x\n"
    found = merged(base, changed(base, ("1,1,x", "1,1,y")), changed(base, ("1,2,x", "1,2,z")))
    assert text_of(found) == "id,x_id,c\n1,1,y\n1,2,z\n"


BROKEN = [
    'id,a\n1,"never closed\n2,x\n',
    'id,a\n1,"closed" and more\n2,x\n',
    "id,a\n1,2,3\n",
    "id,a\n1\n",
    "",
]


@pytest.mark.parametrize("text", BROKEN)
def test_broken_quoting_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(UnfitError, match=r"quote|cells|empty"):
        diff("id,a\n1,9\n", text, key="id")


def test_a_quote_inside_of_a_cell_is_only_a_character() -> None:
    assert shown('id,a\n1,5" disk\n2,x\n', 'id,a\n1,6" disk\n2,x\n') == [
        "2 rows by id: 1 changed",
        ' 1  a: 5" disk -> 6" disk',
    ]


def test_keys_must_tell_rows_apart() -> None:
    with pytest.raises(UnfitError, match="two rows have the id 1"):
        merged("id,a\n1,2\n", "id,a\n1,2\n1,3\n", "id,a\n1,4\n", key="id")
    with pytest.raises(UnfitError, match="key=COLUMN"):
        merged("a,b\n1,2\n1,2\n", "a,b\n1,2\n1,3\n", "a,b\n1,4\n1,2\n")
    assert text_of(merged("a,b,c\n1,1,x\n1,2,x\n", "a,b,c\n1,1,y\n1,2,x\n", "a,b,c\n1,1,x\n1,2,z\n", key="a,b")) == (
        "a,b,c\n1,1,y\n1,2,z\n"
    )


def test_not_utf_8_is_kept() -> None:
    base = "id,a\n1,\udcff\n2,x\n"
    found = merged(base, changed(base, ("2,x", "2,y")), changed(base, ("\udcff", "\udcfe")))
    assert text_of(found) == "id,a\n1,\udcfe\n2,y\n"


def parquet(rows: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(rows), sink, **options)
    return sink.getvalue()


COLUMNS = {
    "id": [1, 2, 3, 4],
    "name": ["a", "b", None, "d"],
    "score": [0.5, float("nan"), 1.5, 2.5],
    "tags": [[1], [], None, [4, 4]],
    "at": pa.array([{"x": 1}, {"x": 2}, None, {"x": 4}]),
    "kind": pa.array(["u", "v", "u", "v"]).dictionary_encode(),
}


def test_parquet_rows_with_nested_types_nulls_and_nan() -> None:
    new = {**COLUMNS, "name": ["a", None, None, "D"], "tags": [[1], [], None, [4, 5]]}
    assert shown(parquet(COLUMNS), parquet(COLUMNS, compression="zstd"), "t.parquet") == []
    assert shown(parquet(COLUMNS), parquet(new), "t.parquet") == [
        "4 rows by id: 2 changed",
        "  changed cells: name in 2, tags in 1",
        " 2  name: b -> null",
        " 4  name: d -> D, tags: [4, 4] -> [4, 5]",
    ]


def test_parquet_schema_changes() -> None:
    new = {name: column for name, column in COLUMNS.items() if name != "at"}
    new |= {"id": pa.array([1, 2, 3, 5], pa.int32()), "more": [1, 2, 3, 4]}
    found = shown(parquet(COLUMNS), parquet(new), "t.parquet")
    assert found[:4] == [
        "4 rows by id: 1 added, 1 removed", "+column more", "-column at", " column id: int64 -> int32",
    ]  # fmt: skip
    assert found[4].startswith("-4  name=d")
    assert found[5].startswith("+5  name=d")


def test_parquet_is_merged_with_its_types() -> None:
    ours = {**COLUMNS, "name": ["A", "b", None, "d"]}
    theirs = {**COLUMNS, "score": [0.5, float("nan"), 9.0, 2.5], "tags": [[1], [7], None, [4, 4]]}
    found = merged(parquet(COLUMNS), parquet(ours), parquet(theirs), "t.parquet")
    assert found.content is not None
    table = pq.read_table(io.BytesIO(b"".join(found.content)))
    assert table.schema.equals(pa.table(COLUMNS).schema)
    assert table.column("name").to_pylist() == ["A", "b", None, "d"]
    assert table.column("tags").to_pylist() == [[1], [7], None, [4, 4]]
    assert table.column("score").to_pylist()[2] == 9.0
    fight = merged(parquet(COLUMNS), parquet(ours), parquet({**COLUMNS, "name": ["B", "b", None, "d"]}), "t.parquet")
    assert (fight.content, fight.notes) == (None, ("row id=1: name (base a, ours A, theirs B)",))


def merged_parquet(*sides: dict[str, Any], **options: Any) -> Any:
    """Merge base, ours and theirs; the result as a table."""
    found = merged(*(parquet(side) for side in sides), "t.parquet", **options)
    assert found.content is not None, found.notes
    return pq.read_table(io.BytesIO(b"".join(found.content)))


def test_columns_of_parquet_are_merged() -> None:
    base = {"id": [1, 2, 3], "a": [1, 2, 3], "gone": ["x", "y", "z"], "b": [0.5, 1.5, 2.5]}
    ours = {"id": [1, 2, 3, 4], "mine": pa.array([9, 8, None, 7], pa.int8()), "a": [1, 2, 30, 4], "gone": list("xyzw")}
    ours["b"] = pa.array([0.5, 1.5, 2.5, 3.5], pa.float32())
    theirs = {"id": [3, 2, 5], "a": [3, 20, 5], "new": [[1], None, [5]], "b": [2.5, 1.5, 5.5]}
    table = merged_parquet(base, ours, theirs)
    assert [(one.name, str(one.type)) for one in table.schema] == [
        ("id", "int64"), ("mine", "int8"), ("a", "int64"), ("new", "list<element: int64>"), ("b", "float"),
    ]  # fmt: skip
    assert table.to_pylist() == [
        {"id": 2, "mine": 8, "a": 20, "new": None, "b": 1.5},
        {"id": 3, "mine": None, "a": 30, "new": [1], "b": 2.5},
        {"id": 4, "mine": 7, "a": 4, "new": None, "b": 3.5},
        {"id": 5, "mine": None, "a": 5, "new": [5], "b": 5.5},
    ]
    for side, why in (({**ours, "gone": list("xYzw")}, "removed the column gone"), (
        {**ours, "a": [1.0, 2.0, 30.0, 4.0]}, None), ({**ours, "new": ["1"] * 4}, "column new another type"),
    ):  # fmt: skip
        if why is None:
            assert str(merged_parquet(base, side, theirs).schema.field("a").type) == "double"
            continue
        with pytest.raises(UnfitError, match=why):
            merged(parquet(base), parquet(side), parquet(theirs), "t.parquet")


def test_conflicts_of_parquet_are_told_or_settled() -> None:
    base = {"id": [1, 2, 3, 4], "a": [1, 2, 3, 4]}
    ours = {"id": [1, 3, 4, 5], "a": [10, 3, 40, 5]}
    theirs = {"id": [1, 2, 3, 5], "a": [11, 22, 3, 6]}
    found = merged(*map(parquet, (base, ours, theirs)), "t.parquet")
    assert (found.content, found.conflicts) == (None, 4)
    assert found.notes == (
        "row id=1: a (base 1, ours 10, theirs 11)",
        "row id=4: changed by ours, removed by theirs",
        "row id=5: added by both sides, with another a",
        "row id=2: removed by ours, changed by theirs",
    )
    settled = {favor: merged_parquet(base, ours, theirs, favor=favor).to_pydict() for favor in ("ours", "theirs")}
    assert settled == {"ours": ours, "theirs": {"id": [1, 3, 5, 2], "a": [11, 3, 6, 22]}}


@pytest.mark.parametrize("key", [None, "name,id", "at"])
def test_large_parquet_is_taken_apart(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    """By the hash of keys, with the result that it has in one piece."""
    from dsvc.contents.tables import parquet_merge, parquet_parts

    chance = random.Random(1)

    def some(count: int, dropped: set[int], changed: set[int], fresh: range) -> dict[str, Any]:
        ids = [n for n in (*range(count), *fresh) if n not in dropped]
        chance.shuffle(ids)
        stamps = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in ids]
        lists = [[n, None] if n not in changed else [float("nan"), 1.0] for n in ids]
        names = pa.array([f"n{n // 2}" for n in ids]).dictionary_encode()
        return {"id": ids, "name": names, "at": stamps, "lists": lists, "b": [n % 2 == 0 for n in ids]}

    base = some(1500, set(), set(), range(0))
    ours = some(1500, {5, 6}, set(range(100, 200)), range(5000, 5100))
    theirs = some(1500, {7, 1200}, set(range(1000, 1100)), range(6000, 6100))
    named = {"key": key} if key is not None else {}

    def results() -> tuple[list[str], Any]:
        return shown(parquet(base), parquet(ours), "t.parquet", **named), merged_parquet(base, ours, theirs, **named)

    whole = results()
    monkeypatch.setattr(parquet_parts, "_ROWS", 500)
    monkeypatch.setattr(parquet_merge, "_GROUP", 700)
    parts = results()
    assert parts[0] == whole[0]
    assert parts[0][0].endswith(" 100 changed, 100 added, 2 removed")
    assert parts[1].equals(whole[1]) or parts[1].to_pylist().__repr__() == whole[1].to_pylist().__repr__()  # NaN
    assert parts[1].num_rows == 1500 - 4 + 200
    assert str(parts[1].schema.field("name").type).startswith("dictionary")


def test_damaged_parquet_is_refused() -> None:
    good = parquet(COLUMNS)
    for bad in (b"PAR1", good[: len(good) // 2], good[:-30] + b"\xff" * 26 + b"PAR1"):
        with pytest.raises(UnfitError, match=r"Parquet|damaged"):
            diff(good, bad, "t.parquet")


def test_summaries() -> None:
    settings = Settings(b"t.csv")
    found = tables.summary(pieces(BASE), settings)
    assert [line.text for line in found.lines][:3] == ["CSV: 8 rows, 3 columns", "  id  name  price", "  1   n1    1.5"]
    assert tables.summary(pieces(parquet(COLUMNS)), settings).lines[0].text == "Parquet: 4 rows, 6 columns"
    json.dumps(found.document)
