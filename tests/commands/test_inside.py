"""Notebooks, parameters, tables and weights through the commands that compare and merge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import CommandLine

TABLE = "id,name\n" + "".join(f"{n},n{n}\n" for n in range(1, 6))
PARAMS = "train:\n  lr: 0.1  # rate\n  epochs: 10\n"


def cell(source: str, *printed: str) -> dict[str, Any]:
    outputs = [{"output_type": "stream", "name": "stdout", "text": [text]} for text in printed]
    return {
        "cell_type": "code", "execution_count": None, "metadata": {}, "outputs": outputs,
        "source": source.splitlines(keepends=True),
    }  # fmt: skip


def notebook(*cells: dict[str, Any]) -> str:
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}, indent=1) + "\n"


BASE = {"t.csv": TABLE, "p.yaml": PARAMS, "n.ipynb": notebook(cell("a = 1", "1"), cell("b = 1"))}
OURS = {
    "t.csv": TABLE.replace("2,n2", "2,ours"),
    "p.yaml": PARAMS.replace("0.1", "0.2"),
    "n.ipynb": notebook(cell("a = 2", "2"), cell("b = 1")),
}
THEIRS = {  # the line behind each line of ours: by lines all of this conflicts
    "t.csv": TABLE.replace("3,n3", "3,theirs"),
    "p.yaml": PARAMS.replace("10", "20"),
    "n.ipynb": notebook(cell("a = 1", "1"), cell("b = 1"), cell("c = 3")),
}
MERGED = {
    "t.csv": TABLE.replace("2,n2", "2,ours").replace("3,n3", "3,theirs"),
    "p.yaml": PARAMS.replace("0.1", "0.2").replace("10", "20"),
    "n.ipynb": notebook(cell("a = 2", "2"), cell("b = 1"), cell("c = 3")),
}


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def found(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in BASE}


@pytest.fixture
def sides(cli: CommandLine) -> CommandLine:
    """Two branches that changed lines beside each other; main is checked out."""
    cli.ok("init", "-q")
    for branch, files in (("main", BASE), ("side", THEIRS), ("main", OURS)):
        if branch == "side":
            cli.ok("switch", "-q", "-c", "side")
        elif files is OURS:
            cli.ok("switch", "-q", "main")
        put(cli.directory, files)
        cli.ok("commit", "-q", "-m", branch)
    return cli


def test_merge(sides: CommandLine) -> None:
    sides.ok("merge", "side")
    assert found(sides.directory) == MERGED


def test_rebase(sides: CommandLine) -> None:
    sides.ok("rebase", "side")
    assert found(sides.directory) == MERGED


def test_cherry_pick_and_revert(sides: CommandLine) -> None:
    sides.ok("cherry-pick", "side")
    assert found(sides.directory) == MERGED
    sides.ok("revert", "HEAD~1")
    assert found(sides.directory) == THEIRS


def test_stash(sides: CommandLine) -> None:
    sides.ok("switch", "-q", "-c", "again", "main~1")
    put(sides.directory, THEIRS)
    sides.ok("stash")
    sides.ok("switch", "-q", "main")
    sides.ok("stash", "pop")
    assert found(sides.directory) == MERGED


def test_attributes_choose(sides: CommandLine) -> None:
    put(sides.directory, {".dsvcattributes": "*.yaml merge=text\n*.csv merge=binary -diff\n*.ipynb merge=ours\n"})
    sides.ok("commit", "-q", "-m", "attributes")
    answer = sides("merge", "side")
    assert answer.code == 13
    assert "CONFLICT (binary): t.csv" in answer.out
    assert "CONFLICT (content): p.yaml" in answer.out
    assert "n.ipynb" not in answer.out
    assert (sides.directory / "t.csv").read_text() == OURS["t.csv"]
    sides.ok("merge", "--abort")
    assert "Binary files a/t.csv and b/t.csv differ" in sides.ok("diff", "HEAD~2", "HEAD", "t.csv").out


def test_conflicts_name_keys_and_rows(sides: CommandLine) -> None:
    put(sides.directory, {"t.csv": TABLE.replace("3,n3", "3,mine"), "p.yaml": PARAMS.replace("10", "30")})
    sides.ok("commit", "-q", "-m", "more")
    answer = sides("merge", "side")
    assert answer.code == 13
    assert "note: t.csv: row id=3: name (base n3, ours mine, theirs theirs)" in answer.err
    assert "note: p.yaml: train.epochs (base 10, ours 30, theirs 20)" in answer.err
    assert "<<<<<<< HEAD\n3,mine\n||||||| " in (sides.directory / "t.csv").read_text()
    sides.ok("merge", "--abort")
    notes = sides("merge", "side", "--json").json["notes"]
    assert "p.yaml: train.epochs (base 10, ours 30, theirs 20)" in notes
    sides.ok("merge", "--abort")
    sides.ok("merge", "-X", "theirs", "side")
    assert (sides.directory / "p.yaml").read_text() == PARAMS.replace("10", "20")


def test_what_cannot_be_read_is_merged_by_lines_with_a_note(cli: CommandLine) -> None:
    cli.ok("init", "-q")
    text = "{ not: json\n" + "".join(f"line {n}\n" for n in range(20))
    (cli.directory / "a.json").write_text(text)
    cli.ok("commit", "-q", "-m", "one")
    cli.ok("switch", "-q", "-c", "side")
    (cli.directory / "a.json").write_text(text.replace("line 19", "last"))
    cli.ok("commit", "-q", "-m", "two")
    cli.ok("switch", "-q", "main")
    (cli.directory / "a.json").write_text(text.replace("line 2\n", "second\n"))
    assert "(not read as params: no JSON" in cli.ok("diff").out
    assert "+second" in cli.ok("diff").out
    cli.ok("commit", "-q", "-m", "three")
    answer = cli("merge", "side")
    assert "note: a.json was not merged as params: no JSON" in answer.err
    assert answer.code == 0
    assert (cli.directory / "a.json").read_text() == text.replace("line 19", "last").replace("line 2\n", "second\n")


def test_diff_shows_what_is_inside_and_p_shows_lines(sides: CommandLine) -> None:
    answer = sides.ok("diff", "HEAD~1", "HEAD").out
    assert "code cell 1\n  -a = 1\n  +a = 2\n  outputs\n  -1\n  +2\n" in answer
    assert "train.lr: 0.1 -> 0.2\n" in answer
    assert "5 rows by id: 1 changed\n 2  name: n2 -> ours\n" in answer
    for option in ("-p", "--text"):
        lines = sides.ok("diff", option, "HEAD~1", "HEAD").out
        assert "-  lr: 0.1  # rate\n+  lr: 0.2  # rate\n" in lines
        assert "-2,n2\n+2,ours\n" in lines
    assert "train.lr" in sides.ok("show", "HEAD").out
    assert "+  lr: 0.2" in sides.ok("log", "-p", "-n", "1").out


def test_diff_of_files_on_disk(sides: CommandLine) -> None:
    put(sides.directory, {"t.csv": TABLE.replace("5,n5", "5,new"), "p.yaml": OURS["p.yaml"].replace("# r", "# the r")})
    answer = sides.ok("diff").out
    assert " 2  name: ours -> n2\n 5  name: n5 -> new\n" in answer
    assert "(the same content, written otherwise)" in answer
    assert "+  lr: 0.2  # the rate" in answer


def test_diff_as_json(sides: CommandLine) -> None:
    files = {one["path"]: one for one in sides.ok("diff", "--json", "HEAD~1", "HEAD").json["files"]}
    assert files["p.yaml"]["content"] == {
        "kind": "params", "keys": [{"key": "train.lr", "change": "changed", "old": 0.1, "new": 0.2}],
    }  # fmt: skip
    assert files["t.csv"]["content"]["changed"] == 1
    assert files["n.ipynb"]["content"]["cells"][0]["source"] == ["-a = 1", "+a = 2"]
    assert files["p.yaml"]["hunks"]


def test_diff_as_a_page(sides: CommandLine) -> None:
    page = sides.ok("diff", "--html", "HEAD~1", "HEAD").out
    assert page.startswith("<!DOCTYPE html>")
    assert "<del>a = 1</del>" in page
    assert "train.lr: 0.1 -&gt; 0.2" in page
    assert "<script" not in page


def test_show_says_what_is_in_a_file(sides: CommandLine) -> None:
    assert sides.ok("show", "HEAD:t.csv").out == OURS["t.csv"]
    assert sides.ok("show", "--summary", "HEAD:t.csv").out.startswith("CSV: 5 rows, 2 columns\n  id  name\n")
    assert sides.ok("show", "--summary", "HEAD:n.ipynb").out.startswith("Notebook: 2 cells (2 code), nbformat 4.4\n")
    assert sides.ok("show", "--summary", "--json", "HEAD:p.yaml").json["objects"][0]["content"]["values"] == 2
    sides.terminal = True
    sides.environment["DSVC_PAGER"] = ""
    assert sides.ok("show", "HEAD:n.ipynb").out.startswith("Notebook: 2 cells")
    assert "nbformat_minor" in sides.ok("show", "--text", "HEAD:n.ipynb").out


def test_control_characters_of_files_do_not_reach_a_terminal(cli: CommandLine) -> None:
    cli.ok("init", "-q")
    put(cli.directory, {"a.json": '{"a": "\\u001b[2J"}', "t.csv": "id,a\n1,\x1b[31mred\n"})
    cli.ok("commit", "-q", "-m", "one")
    put(cli.directory, {"a.json": '{"a": "\\u001b[3J\\n"}', "t.csv": "id,a\n1,\x1b[32mgreen\n"})
    assert "\x1b" not in cli.ok("diff").out
