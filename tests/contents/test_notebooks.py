from __future__ import annotations

import copy
import json
import random
import warnings
from pathlib import Path
from typing import Any

import nbdime
import nbformat
import pytest

from dsvc.contents import notebooks
from dsvc.contents.driver import ContentMerge, MergeLabels, Settings, Source, UnfitError
from dsvc.contents.notebooks.diffing import compare
from dsvc.contents.notebooks.model import read, write

warnings.filterwarnings("ignore", module="nbformat")

FILES = Path(nbdime.__file__).parent / "tests" / "files"
WEB = FILES.parents[1] / "webapp" / "testnotebooks"
TRIPLES = [
    *(tuple(FILES / f"{name}--{n}.ipynb" for n in (1, 2, 3))
      for name in ("inline-conflict", "output-conflict", "source-conflict", "mixed-conflicts", "apap")),
    tuple(FILES / f"cellids--{side}.ipynb" for side in ("base", "local", "remote")),
    tuple(FILES / f"multilevel-test-{side}.ipynb" for side in ("base", "local", "remote")),
    (FILES / "multi_cell_nb.ipynb", FILES / "multi_cell_nb--local.ipynb", FILES / "multi_cell_nb--remote.ipynb"),
    tuple(WEB / f"{side}.ipynb" for side in ("base", "local", "remote")),
]  # fmt: skip


def merged(base: bytes | None, ours: bytes, theirs: bytes, **labels: Any) -> ContentMerge:
    source = Source.of(base) if base is not None else None
    return notebooks.merge(source, Source.of(ours), Source.of(theirs), MergeLabels(**labels), Settings())


def content(merge: ContentMerge) -> bytes:
    assert merge.content is not None
    return b"".join(merge.content)


def checked(data: bytes) -> Any:
    """A notebook, after nbformat has found nothing wrong in it as it is."""
    notebook = json.loads(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as missing ids, which nbformat would mend in silence
        nbformat.validate(nbformat.from_dict(notebook))
    return notebook


def sources(notebook: Any) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def cell(source: str, kind: str = "code", **more: Any) -> dict[str, Any]:
    made = {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True)}
    if kind == "code":
        made |= {"execution_count": None, "outputs": []}
    return made | more


def notebook(*cells: dict[str, Any], minor: int = 4, **metadata: Any) -> bytes:
    raw = {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}
    return json.dumps(raw, indent=1).encode() + b"\n"


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": [text]}


@pytest.mark.parametrize("paths", TRIPLES, ids=lambda paths: paths[0].stem)
def test_merges_are_valid_and_conflict_no_more_than_those_of_nbdime(paths: tuple[Path, Path, Path]) -> None:
    from nbdime.merging.notebooks import merge_notebooks

    base, ours, theirs = (path.read_bytes() for path in paths)
    found = merged(base, ours, theirs)
    valid = checked(content(found))
    by_nbdime, decisions = merge_notebooks(*(nbformat.reads(x.decode(), as_version=4) for x in (base, ours, theirs)))
    conflicts = sum(decision.conflict for decision in decisions)
    assert found.conflicts <= conflicts
    if not conflicts:
        assert sources(valid) == [cell["source"] for cell in by_nbdime.cells]


def edited(raw: Any, rng: random.Random, mark: str) -> Any:
    """What somebody may do to a notebook between two commits: edit lines, add, remove and run cells."""
    raw = copy.deepcopy(raw)
    for _ in range(rng.randrange(1, 4)):
        cells = raw["cells"]
        place = rng.randrange(len(cells) + 1)
        what = rng.random()
        if what < 0.3 or place == len(cells):
            cells.insert(place, cell(f"new_{mark} = {rng.randrange(99)}\nprint(new_{mark})"))
        elif what < 0.4:
            del cells[place]
        elif what < 0.7:
            lines = "".join(cells[place]["source"]).splitlines(keepends=True) or [""]
            lines[rng.randrange(len(lines))] = f"{mark}({rng.randrange(99)})\n"
            cells[place]["source"] = lines
        elif cells[place]["cell_type"] == "code":
            cells[place] |= {"execution_count": rng.randrange(99), "outputs": [printed(f"{rng.randrange(99)}\n")]}
    return raw


def test_merges_of_many_edits_are_valid_and_lose_nothing() -> None:
    base = json.loads((FILES / "multi_cell_nb.ipynb").read_bytes())
    clean = 0
    for seed in range(150):
        rng = random.Random(seed)
        texts = [json.dumps(side).encode() for side in (base, edited(base, rng, "left"), edited(base, rng, "right"))]
        found = merged(texts[0], texts[1], texts[2])
        valid = checked(content(found))
        clean += not found.conflicts
        everything = "\n".join(sources(valid))
        for side in texts[1:]:
            for source in sources(json.loads(side)):
                for line in source.splitlines():
                    if "left" in line or "right" in line:
                        assert line in everything, seed
    assert 40 < clean < 150


def test_one_side_alone_is_taken_byte_for_byte_where_a_notebook_is_written_as_jupyter_does() -> None:
    for path in sorted(FILES.glob("*.ipynb")):
        data = path.read_bytes()
        found = read(Source.of(data))
        assert found is not None
        if json.dumps(found.raw, indent=1, ensure_ascii=found.form.ascii) + found.form.end == data.decode():
            assert write(found.raw, found.form) == data, path


def test_outputs_go_with_the_source_that_printed_them() -> None:
    base = notebook(cell("a = 1\nb = 1", outputs=[printed("1")], execution_count=1))
    ours = notebook(cell("a = 2\nb = 1", outputs=[printed("2")], execution_count=2))
    ran = notebook(cell("a = 1\nb = 1", outputs=[printed("1 again")], execution_count=7))
    theirs = notebook(cell("a = 1\nx\nb = 3", outputs=[printed("3")], execution_count=3))
    taken = json.loads(content(merged(base, ours, ran)))["cells"][0]
    assert (taken["outputs"], taken["execution_count"]) == ([printed("2")], 2)
    both = merged(base, ours, theirs)
    assert (both.conflicts, json.loads(content(both))["cells"][0]["outputs"]) == (1, [])
    assert any("dropped" in note for note in both.notes)


def test_counters_and_what_editors_note_never_conflict() -> None:
    def side(count: int, collapsed: bool, version: str) -> bytes:
        one = cell("x", execution_count=count) | {"metadata": {"collapsed": collapsed}}
        return notebook(one, language_info={"name": "python", "version": version})

    found = merged(side(1, True, "3.9"), side(2, False, "3.10"), side(3, True, "3.11"))
    assert found.conflicts == 0
    assert json.loads(content(found))["metadata"]["language_info"]["version"] == "3.10"


def test_both_sides_may_add_cells_in_one_place() -> None:
    base = notebook(cell("import x"))
    found = merged(base, notebook(cell("import x"), cell("plot(1)")), notebook(cell("import x"), cell("fit(2, k=7)")))
    assert (found.conflicts, sources(checked(content(found)))) == (0, ["import x", "plot(1)", "fit(2, k=7)"])
    same = merged(base, notebook(cell("import x"), cell("new")), notebook(cell("import x"), cell("new")))
    assert sources(checked(content(same))) == ["import x", "new"]


def test_a_cell_removed_here_and_changed_there_is_kept_and_marked() -> None:
    base = notebook(cell("keep"), cell("a = 1\nb = 2"))
    found = merged(base, notebook(cell("keep")), notebook(cell("keep"), cell("a = 1\nb = 3")))
    assert found.conflicts == 1
    assert "a = 1\nb = 3" in sources(checked(content(found)))[1]
    assert "<<<<<<<" in sources(checked(content(found)))[1]
    assert sources(json.loads(content(merged(base, base, notebook(cell("keep")))))) == ["keep"]


def test_ids_are_made_where_only_one_side_has_them() -> None:
    base = notebook(cell("one"), cell("two"))
    upgraded = notebook(cell("one", id="aaaa"), cell("two", id="bbbb"), minor=5)
    found = merged(base, notebook(cell("one"), cell("two"), cell("three")), upgraded)
    valid = checked(content(found))
    assert [one["id"] for one in valid["cells"]][:2] == ["aaaa", "bbbb"]
    assert content(found) == content(merged(base, notebook(cell("one"), cell("two"), cell("three")), upgraded))
    twice = notebook(cell("one", id="aaaa"), cell("three", id="aaaa"), cell("two", id="bbbb"), minor=5)
    checked(content(merged(upgraded, twice, notebook(cell("one", id="aaaa"), cell("two two", id="bbbb"), minor=5))))


def test_a_favor_leaves_no_conflict() -> None:
    base, ours, theirs = (path.read_bytes() for path in TRIPLES[3])
    for favor in ("ours", "theirs", "base"):
        found = merged(base, ours, theirs, favor=favor)
        assert found.conflicts == 0
        assert "<<<<<<<" not in content(found).decode()
        checked(content(found))


OLD = {
    1: {"cells": [{"cell_type": "code", "code": "x = 1", "prompt_number": 1}, {"cell_type": "text", "text": "hello"}]},
    2: {"nbformat": 2, "metadata": {"name": "n"}, "worksheets": [{"cells": [
        {"cell_type": "code", "input": ["x = 1"], "outputs": [], "language": "python", "collapsed": False},
        {"cell_type": "markdown", "source": "hello"}]}]},
    3: {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": "n"}, "worksheets": [{"metadata": {}, "cells": [
        {"cell_type": "code", "input": ["x = 1"], "outputs": [
            {"output_type": "pyout", "prompt_number": 1, "text": ["1"], "metadata": {}},
            {"output_type": "display_data", "png": "iVBORw0KGgo=", "metadata": {}}],
         "language": "python", "collapsed": False, "metadata": {}, "prompt_number": 1},
        {"cell_type": "heading", "level": 1, "source": "hello", "metadata": {}}]}]},
    4: json.loads(notebook(cell("x = 1"), cell("hello", "markdown"))),
}  # fmt: skip


@pytest.mark.parametrize("version", OLD)
def test_every_version_is_compared_and_merged(version: int) -> None:
    def changed(old: str, new: str) -> bytes:
        return json.dumps(OLD[version]).replace(old, new).encode()

    base, ours, theirs = changed("", ""), changed("x = 1", "x = 2"), changed("hello", "goodbye")
    shown = notebooks.diff(Source.of(base), Source.of(ours), Settings())
    assert [line.text.strip() for line in shown.lines] == ["code cell 1", "-x = 1", "+x = 2"]
    found = merged(base, ours, theirs)
    assert found.conflicts == 0
    both = json.loads(base.decode().replace("x = 1", "x = 2").replace("hello", "goodbye"))
    assert json.loads(content(found)) == both
    if version > 2:
        checked(content(found))


BROKEN = [
    b"", b"not json", b"[]", b'"x"', b"\xff\xfe{}", b'{"cells": 3}', b'{"nbformat": 4}',
    b'{"nbformat": 9, "cells": []}',
    b'{"nbformat": "4", "cells": []}', b'{"cells": [1], "nbformat": 4}', b'{"cells": [{"cell_type": 1}]}',
    b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 5}]}', b'{"nbformat": 3, "worksheets": [{}, {}]}',
    b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', b'{"cells": [], "cells": []}',
    b'{"nbformat": 4, "cells": [{"cell_type": "code", "outputs": {}}]}', b"[" * 100_000,
    b'{"nbformat": 4, "cells": [], "metadata": []}',
]  # fmt: skip


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
def test_broken_ones_are_refused_with_a_reason(data: bytes) -> None:
    good = Source.of(notebook(cell("x")))
    with pytest.raises(UnfitError, match=r"\w+ \w+"):
        notebooks.diff(good, Source.of(data), Settings())


def test_a_number_that_is_too_long_is_named() -> None:
    data = b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {"n": ' + b"9" * 10_000 + b'}, "cells": []}'
    with pytest.raises(UnfitError, match="too many digits"):
        read(Source.of(data))


def test_what_is_not_utf_8_inside_stays() -> None:
    odd = notebook(cell("x")).replace(b'"x"', b'"x \\ud800"')
    assert b"\\ud800" in content(merged(odd, odd.replace(b'"x ', b'"y\\n", "x '), odd))


def test_equal_cells_are_found_in_long_notebooks() -> None:
    rng = random.Random(3)
    cells = [cell(f"value_{n} = f({rng.random()})\nprint({n})") for n in range(400)]
    other = copy.deepcopy(cells)
    del other[17]
    other.insert(200, cell("something else\nentirely"))
    other[350]["source"].append("\nmore")
    old, new = (read(Source.of(notebook(*side))) for side in (cells, other))
    assert [change.change for change in compare(old, new).cells] == ["removed", "added", "changed"]


def test_a_moved_cell_is_one_change() -> None:
    cells = [cell(f"line {n}\nof cell {n * 77}") for n in range(5)]
    old, new = (read(Source.of(notebook(*side))) for side in (cells, [*cells[1:], cells[0]]))
    (change,) = compare(old, new).cells
    assert (change.change, change.old_place, change.new_place) == ("moved", 0, 4)


def test_pages_hold_no_script_of_a_notebook() -> None:
    shown = {"text/html": "<script>x()</script>", "image/png": '"><b'}
    html = {"output_type": "display_data", "metadata": {}, "data": shown}
    new = notebook(cell("<script>alert(1)</script>", outputs=[html]))
    page = notebooks.page(Source.of(notebook(cell("x"))), Source.of(new), Settings())
    assert page is not None
    assert "<script" not in page
    assert "<b" not in page.replace("<body", "")
