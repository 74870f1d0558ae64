"""Where files came from and what came of them, across branches, clones and equal content."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import xml.dom.minidom
from typing import Any

import pytest

from tests.provenance.conftest import on_terminal
from tests.runs.conftest import Project


def graph(project: Project, *words: str) -> dict[str, Any]:
    return json.loads(project.ok("lineage", "--json", *words))


def names(document: dict[str, Any]) -> dict[str, str]:
    """Key of a node -> how people call it."""
    found = {}
    for node in document["nodes"]:
        if node["kind"] == "file":
            found[node["key"]] = node["path"]
        elif node["kind"] == "run":
            found[node["key"]] = node["run"]["name"] or node["run"]["command"] or node["run"]["authority"]
        else:
            found[node["key"]] = node.get("subject") or node["kind"]
    return found


def edges(document: dict[str, Any], what: str) -> set[tuple[str, str]]:
    called = names(document)
    return {(called[e["source"]], called[e["target"]]) for e in document["edges"] if e["what"] == what}


def test_upwards_it_leads_back_to_the_raw_data(stages: Project):
    found = graph(stages, "model.json")
    assert edges(found, "wrote") == {
        ("python train.py", "model.json"),
        ("python features.py", "features.csv"),
        ("python prepare.py", "clean.csv"),
    }
    raw = {("Raw data", f"raw/day{day}.csv") for day in range(1, 9)}
    assert raw <= edges(found, "holds")
    assert {("clean.csv", "python features.py"), ("features.csv", "python train.py")} <= edges(found, "read")
    assert edges(found, "began at") == {("Raw data", f"python {name}.py") for name in ("prepare", "features", "train")}
    assert {source for source, _ in edges(found, "ran in")} == {"environment"}
    assert {edge["mark"] for edge in found["edges"]} == {"proved"}
    assert next(node["tips"] for node in found["nodes"] if node.get("path") == "raw/day1.csv") == ["main", "wide"]


def test_another_branch_is_followed_from_here(stages: Project):
    found = graph(stages, "wide:model.json")
    assert ("python features.py --wide", "features.csv") in edges(found, "wrote")
    assert ("python features.py", "features.csv") not in edges(found, "wrote")
    assert next(node["tips"] for node in found["nodes"] if node.get("path") == "model.json") == ["wide"]


def test_downwards_it_leads_to_all_models(stages: Project):
    found = graph(stages, "--down", "raw/day3.csv")
    models = {node["id"] for node in found["nodes"] if node.get("path") == "model.json"}
    assert len(models) == 2
    assert edges(found, "read") >= {
        ("raw/day3.csv", "python prepare.py"),
        ("clean.csv", "python features.py"),
        ("clean.csv", "python features.py --wide"),
    }


def test_commits_runs_and_pinned_content_are_understood(stages: Project):
    assert ("model.json", "Wide") in edges(graph(stages, "wide"), "holds")
    assert edges(graph(stages, "@"), "read") >= {("features.csv", "python train.py")}
    down = graph(stages, "--down", "HEAD~1")
    assert ("Raw data", "python prepare.py") in edges(down, "began at")
    node = next(node for node in graph(stages, "wide")["nodes"] if node.get("path") == "model.json")
    (stages.folder / "model.json").unlink()
    assert graph(stages, f"model.json@{node['id'][:8]}")["roots"] == [node["key"]]
    assert graph(stages, "model.json")["roots"] != [node["key"]]  # gone from the disk, and still in HEAD
    refused = stages("lineage", "nonsense")
    assert refused.returncode == 3
    assert b"names no file, no run and no revision" in refused.stderr
    assert b"dsvc runs lists runs" in refused.stderr


def test_a_model_stands_for_its_files(stages: Project):
    stages.ok("model", "add", "sizes", "model.json")
    stages.ok("model", "promote", "sizes", "prod")
    for name in ("sizes", "sizes@prod"):
        assert graph(stages, name)["roots"] == graph(stages, "HEAD:model.json")["roots"]
    assert "proved by hashes" in stages.ok("verify", "sizes@prod")
    assert stages("rerun", "sizes", "--check").returncode == 0


def test_versions_of_models_are_nodes(stages: Project):
    stages.ok("model", "add", "-q", "size", "model.json", "--stage", "prod")
    graph = json.loads(stages.ok("lineage", "--json", "--down", "raw/day1.csv"))
    (model,) = [node for node in graph["nodes"] if node["kind"] == "model"]
    assert (model["key"], model["name"], model["version"], model["stages"]) == ("model:size@1", "size", 1, ["prod"])
    (edge,) = [edge for edge in graph["edges"] if edge["what"] == "became"]
    assert edge["source"].startswith("file:model.json@")
    assert (edge["target"], edge["mark"]) == ("model:size@1", "proved")
    assert "✓ model size 1 (prod)" in stages.ok("lineage", "raw/day1.csv", "--down")
    first = stages.ok("lineage", "size@prod").splitlines()[0]
    assert "model size 1 (prod)" in first
    assert "cylinder" in stages.ok("lineage", "size", "--format", "dot")
    assert '[("size 1 #40;prod#41;<br>model ' in stages.ok("lineage", "size", "--format", "mermaid")
    assert 'class="node model"' in stages.ok("lineage", "size", "--format", "html")
    stages.ok("verify", "size")
    # A folder is a model, too, and its files lead to it.
    stages.write("saved/a.bin", "a")
    stages.ok("run", "-q", "--", "sh", "-c", "echo 1 > saved/b.bin")
    stages.ok("model", "add", "-q", "net", "saved")
    assert "model net 1" in stages.ok("lineage", "saved/b.bin")


def test_a_clone_knows_it_too(stages: Project):
    stages.ok("clone", "-q", ".", "../clone")
    clone = Project(stages.folder.parent / "clone", stages.environment)
    assert edges(graph(clone, "model.json"), "wrote") == edges(graph(stages, "model.json"), "wrote")
    assert "on main, origin/wide" in clone.ok("lineage", "raw/day1.csv")


def test_the_tree_fits_into_eighty_columns_and_ascii(stages: Project):
    program = "a/rather/long/path/to/a/folder/of/programs/evaluate.py"
    stages.write(program, "open('model.json').read(); open('x', 'w').write('1')")
    message = "A message that is much longer than anything that could ever fit into a line of it"
    stages.ok("commit", "-qm", message)
    stages.ok("run", "-q", "--", "python", program)
    whole = stages.ok("lineage", "x", "model.json")
    assert f"{program} " in whole  # what a file gets is not cut
    assert message in whole
    assert "…" not in whole
    shown = on_terminal(stages, "lineage", "x", "model.json")
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"─✓ raw/ 8 files, \S+ K?i?B +commit [0-9a-f]{10} Raw data", shown)
    assert "observed: what Python opened; files compared" in shown
    assert shown.splitlines()[-1].endswith("proved by hash")
    plain = Project(stages.folder, {**stages.environment, "LC_ALL": "C"})
    assert plain.ok("lineage", "x").isascii()


def test_what_is_declared_is_only_claimed_and_what_is_gone_is_missing(project: Project):
    project.write("a.csv", "1\n")
    project.ok("run", "-q", "-i", "a.csv", "--", "sh", "-c", "cat a.csv > b.csv")
    marks = {(e["what"], e["mark"]) for e in graph(project, "b.csv")["edges"]}
    assert marks >= {("read", "claimed"), ("wrote", "proved")}
    code = "import os; open('c.txt','w').write(open('t.txt').read()); os.remove('t.txt')"
    project.write(".dsvcignore", "t.txt\n")
    project.write("t.txt", "gone")
    project.ok("run", "-q", "-i", "t.txt", "--", "python", "-c", code)
    found = graph(project, "c.txt")
    (edge,) = [edge for edge in found["edges"] if edge["source"].startswith("file:t.txt")]
    assert (edge["mark"], bool(edge["reason"])) == ("missing", True)
    assert "✗ t.txt" in project.ok("lineage", "c.txt")


def test_a_file_changed_while_it_was_read_is_only_claimed(project: Project):
    project.write("model.txt", "1")
    project.ok("run", "-q", "--", "python", "-c", "t = open('model.txt').read(); open('model.txt', 'w').write(t + '1')")
    found = graph(project, "model.txt")
    assert [e["mark"] for e in found["edges"] if e["what"] == "read"] == ["claimed"]


def test_equal_content_elsewhere_is_followed_only_where_nobody_wrote_it_here(commands):
    project = commands("make.py", "open('b', 'w').write('same'); open('c', 'w').write('same')")
    commands("again.py", "open('c', 'w').write('other'); open('c', 'w').write('same')")
    project.ok("run", "-q", "--", "sh", "-c", "mv b moved")
    found = graph(project, "moved")
    assert edges(found, "wrote") == {("sh -c mv b moved", "moved")}
    shutil.copy(project.folder / "moved", project.folder / "by-hand")
    assert {source for source, _ in edges(graph(project, "by-hand"), "wrote")} >= {"sh -c mv b moved"}


def test_folders_are_joined_with_what_lies_in_them(project: Project):
    project.write(".dsvcignore", "out/\n")
    code = "import os; os.mkdir('out'); open('out/a','w').write('1')"
    project.ok("run", "-q", "-o", "out", "--", "python", "-c", code)
    project.ok("run", "-q", "-i", "out", "--", "sh", "-c", "cat out/a > b")
    found = graph(project, "b")
    assert ("out/a", "out") in edges(found, "contains") or ("python -c", "out") in {
        (source[:9], target) for source, target in edges(found, "wrote")
    }
    project.ok("run", "-q", "--", "python", "-c", "open('c','w').write(open('out/a').read() + '2')")
    assert any(target == "out/a" for _, target in edges(graph(project, "c"), "wrote"))


def test_nested_runs_explain_each_other_without_a_circle(project: Project):
    code = """
import dsvc
with dsvc.start_run("whole"):
    with dsvc.start_run("first") as run:
        open(run.output("one"), "w").write("1")
    with dsvc.start_run("second") as run:
        open(run.output("two"), "w").write(open(run.input("one")).read() + "2")
"""
    project.write("both.py", code)
    project.ok("run", "-q", "--", "python", "both.py")
    found = graph(project, "two")
    assert ("first", "one") in edges(found, "wrote")
    assert any(target == "second" for _, target in edges(found, "around"))


def test_other_forms(stages: Project):
    page = stages.ok("lineage", "wide", "--format", "html")
    assert "http" not in page  # it needs nothing else
    drawing = re.search(r"<svg.*?</svg>", page, re.DOTALL)
    assert drawing
    assert len(xml.dom.minidom.parseString(drawing[0]).getElementsByTagName("path")) > 10
    assert drawing[0].count(" asked") == 1  # where the page opens
    assert all(f"></b>{kind}<" in page for kind in ("file", "run", "commit", "environment"))
    assert "></b>model<" not in page
    dot = stages.ok("lineage", "wide", "--format", "dot")
    assert dot.startswith("digraph")
    assert dot.count("->") > 10
    assert stages.ok("lineage", "model.json", "--format", "mermaid").startswith("flowchart LR\n")


def test_an_arrow_back_goes_over_the_boxes(stages: Project):
    stages.ok("switch", "-q", "wide")
    stages.ok("run", "-q", "--", "python", "train.py")  # writes what the commit holds at which it began
    page = stages.ok("lineage", "HEAD", "--format", "html")
    drawn = re.findall(r'<path [^>]* d="M(\d+) \d+ C\1 0 (\d+) 0 \2 \d+"', page)
    assert drawn
    assert all(int(end) <= int(start) for start, end in drawn)


def test_names_are_escaped_in_every_form(project: Project):
    project.write('<b>"&\\x.csv', "1")
    project.write("go.py", "import glob; open('out', 'w').write(open(glob.glob('*.csv')[0]).read())")
    project.ok("run", "-q", "--", "python", "go.py")
    page = project.ok("lineage", "out", "--format", "html")
    assert "<b>" not in page.replace('<b style="', "")
    assert '\\"' in project.ok("lineage", "out", "--format", "dot")
    assert "<b>" not in project.ok("lineage", "out", "--format", "mermaid")


@pytest.mark.parametrize("version", [1, 99])
def test_an_index_of_another_version_is_made_again(stages: Project, version: int):
    index = stages.folder / ".dsvc" / "cache" / "runs.sqlite"
    with sqlite3.connect(index) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    assert edges(graph(stages, "clean.csv"), "wrote") == {("python prepare.py", "clean.csv")}
