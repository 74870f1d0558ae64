"""`dsvc watch`: what cells of a notebook printed is recorded when it is saved."""

from __future__ import annotations

import json
import os
import signal
import time

from tests.runs.conftest import files, until


def cell(source, number, *outputs, tag=""):
    metadata = {"tags": [tag]} if tag else {}
    return {
        "cell_type": "code",
        "id": f"c{number}",
        "execution_count": number,
        "metadata": metadata,
        "outputs": list(outputs),
        "source": source,
    }


def text(words):
    return {"output_type": "stream", "name": "stdout", "text": [f"{words}\n"]}


def save(project, *cells, name="book.ipynb"):
    """Save a notebook a while ago, so that nobody waits until it has settled."""
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    whole = project.write(f"{name}.part", json.dumps(document))
    ago = time.time_ns() - 200_000_000
    os.utime(whole, ns=(ago, ago))
    return whole.replace(project.folder / name)


BLOCK = '[[DOTSCIENCE-RUN:{}]]{{"version": "1", "summary": {{"rows": "{}"}}}}[[/DOTSCIENCE-RUN:{}]]'
FIRST = cell("rate = 0.5", 1, tag="parameters")
READS = cell("rows = open('data.csv').read()\nopen(\"made.csv\", 'w')", 2, text("two rows"))


def test_cells_that_were_executed_since_the_last_save_are_a_run(project):
    os.utime(project.folder / "data.csv", (1_700_000_000, 1_700_000_000))  # older than the save a while ago
    save(project, FIRST)
    assert project.ok("watch", "--once").endswith("\n")  # what is there already
    assert project.ok("watch", "--once") == ""
    project.write("made.csv", "1\n")
    save(project, FIRST, READS, {**cell("late", 3), "execution_count": None})
    assert project.ok("watch", "--once").startswith("book.ipynb: 1 cell  run ")
    run = project.shown()
    assert (run["authority"], run["state"], run["name"]) == ("derived", "done", "book.ipynb")
    assert (run["command"], run["environment"]) == ([], None)
    assert run["params"] == {"rate": 0.5}
    assert files(run["inputs"]) == {"book.ipynb": "pinned", "data.csv": "pinned"}
    assert files(run["outputs"]) == {"made.csv": "pinned"}
    assert run["observation"]["reads"] == "declared"
    assert project.ok("runs", "show", "--log") == "two rows\n"
    assert json.loads(project.ok("runs", "show", "--notebook"))["cells"][2]["execution_count"] is None
    lineage = project.ok("lineage", "made.csv")
    assert "~ run" in lineage
    assert "~ data.csv" in lineage
    assert project("rerun", "made.csv").returncode != 0  # nothing says how
    project.sound()


def test_a_notebook_that_a_run_wrote_is_recorded_already(project):
    save(project, FIRST)
    project.ok("run", "-q", "--", "sh", "-c", "sed s/0.5/0.7/ book.ipynb >other.ipynb")
    assert project.ok("watch", "--once").startswith("book.ipynb: 1 cell  run ")
    assert len(project.runs()) == 2
    assert project.ok("watch", "--once") == ""


def test_printed_runs_and_errors_are_in_it(project):
    save(project, FIRST)
    project.ok("watch", "--once")
    secret = "hush-hush-1234"
    project.environment["MY_API_KEY"] = secret
    error = {"output_type": "error", "ename": "KeyError", "evalue": secret, "traceback": ["\x1b[0;31mhere\x1b[0m"]}
    save(
        project,
        FIRST,
        cell("a", 2, text(BLOCK.format("aa", 1, "aa"))),
        cell("b", 3, text(BLOCK.format("bb", 2, "bb"))),
        cell("c", 4, error),
    )
    (line,) = [json.loads(line) for line in project.ok("watch", "--once", "--json").splitlines()]
    assert (line["path"], line["cells"], len(line["runs"]), line["problem"]) == ("book.ipynb", 3, 3, None)
    outer = project.shown(line["runs"][0])
    assert outer["state"] == "failed"
    assert outer["error"] == "cell 4: KeyError: ***\nhere"
    inner = [project.shown(key) for key in line["runs"][1:]]
    assert [(run["metrics"]["rows"], run["parent"], run["authority"]) for run in inner] == [
        (1, outer["run"], "workload"),
        (2, outer["run"], "workload"),
    ]
    assert secret not in project.ok("runs", "show", "--notebook", line["runs"][0])


def test_it_goes_on_until_it_is_stopped(project):
    save(project, FIRST)
    project.write(".dsvcignore", "junk/\n")
    project.ok("watch", "--once")
    watching = project.start("watch", "--every", "0.05")
    save(project, FIRST, name="junk/other.ipynb")
    save(project, FIRST, name=".ipynb_checkpoints/book.ipynb")
    project.write("broken.ipynb", "{")
    save(project, FIRST, READS)
    until(lambda: len(project.runs()) == 2)
    watching.send_signal(signal.SIGINT)
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    assert out.decode().count("\n") == 1
    assert out.startswith(b"book.ipynb: 1 cell  run ")
    assert b"broken.ipynb is not recorded" in err
    project.sound()


def test_a_cell_that_may_raise_does_not_make_the_run_fail(project):
    raised = cell("1 / 0", 1, {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "", "traceback": []})
    save(project, raised | {"metadata": {"tags": ["raises-exception"]}})
    project.ok("watch", "--once")
    assert (project.shown()["state"], project.shown()["error"]) == ("done", None)


def test_what_is_no_notebook_cannot_be_watched(project):
    done = project("watch", "data.csv")
    assert done.returncode == 3
    assert b"data.csv is no notebook" in done.stderr


def test_two_notebooks_that_are_saved_at_once(project):
    for name in ("one.ipynb", "two.ipynb"):
        save(project, FIRST, name=name)
    project.ok("watch", "--once")
    for name, number in (("one.ipynb", 1), ("two.ipynb", 2)):
        save(project, FIRST, cell(f"n = {number}", 2, text(name)), name=name)
    lines = [json.loads(line) for line in project.ok("watch", "--once", "--json").splitlines()]
    assert [(line["path"], line["cells"]) for line in lines] == [("one.ipynb", 1), ("two.ipynb", 1)]
    for line in lines:
        (key,) = line["runs"]
        run = project.shown(key)
        assert run["name"] == line["path"]
        assert project.ok("runs", "show", "--log", key) == f"{line['path']}\n"
        assert line["path"] in files(run["inputs"])
        assert "concurrent" not in run["observation"]
    assert project.ok("watch", "--once") == ""


def test_two_who_watch_at_once_record_each_save_once(project):
    names = ("one.ipynb", "two.ipynb")
    for name in names:
        save(project, FIRST, name=name)
    project.ok("watch", "--once")  # records what is there: a run each
    watching = [project.start("watch", "--every", "0.05", *which) for which in (names[:1], names, names[1:])]
    try:
        for number in range(2, 5):
            cells = [cell(f"n = {n}", n, text(str(n))) for n in range(2, number + 1)]
            for name in names:
                save(project, FIRST, *cells, name=name)
            until(lambda count=number: len(project.runs()) >= 2 * count)
    except BaseException:
        for process in watching:
            process.kill()
            process.communicate()
        raise
    for process in watching:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err.count(b"not recorded")) == (0, 0), err
    assert sorted(run["name"] for run in project.runs()) == ["one.ipynb"] * 4 + ["two.ipynb"] * 4
    assert project.ok("watch", "--once") == ""
    project.sound()
