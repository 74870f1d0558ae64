"""Which run wrote a file, and which raw files it rests on."""

from __future__ import annotations

import json
from typing import Any

from tests.provenance.conftest import on_terminal
from tests.runs.conftest import Project


def blamed(project: Project, *words: str) -> dict[str, Any]:
    return json.loads(project("blame-data", "--json", *words).stdout)["files"][0]


def test_a_model_rests_on_the_raw_data_and_the_code(stages: Project):
    found = blamed(stages, "wide:model.json")
    data = {raw["path"] for raw in found["raw"] if not raw["code"]}
    assert data == {f"raw/day{day}.csv" for day in range(1, 9)}
    assert {raw["path"] for raw in found["raw"] if raw["code"]} == {"prepare.py", "features.py", "train.py"}
    assert len(found["through"]) == 2
    assert {raw["mark"] for raw in found["raw"]} | {found["mark"]} == {"proved"}
    shown = stages.ok("blame-data", "wide:model.json")
    assert "written by run" in shown
    assert "rests on 8 files of data" in shown
    assert max(map(len, on_terminal(stages, "blame-data", "wide:model.json").splitlines())) <= 80


def test_the_weakest_step_of_the_best_way_counts(project: Project):
    project.write("a.csv", "1\n")
    project.write("b.csv", "2\n")
    project.ok("run", "-q", "-i", "a.csv", "--", "sh", "-c", "cat a.csv > mid.csv")
    code = "open('end','w').write(open('mid.csv').read() + open('b.csv').read())"
    project.ok("run", "-q", "--", "python", "-c", code)
    marks = {raw["path"]: raw["mark"] for raw in blamed(project, "end")["raw"]}
    assert marks == {"a.csv": "claimed", "b.csv": "proved"}


def test_a_raw_file_has_no_run(stages: Project):
    done = stages("blame-data", "raw/day1.csv")
    assert done.returncode == 1
    assert b"no run wrote it" in done.stdout
    assert b"Raw data" in done.stdout


def test_a_correction_is_no_explanation(stages: Project):
    stages.write("clean.csv", "7\n")
    stages.ok("commit", "-qm", "by hand")
    done = stages("blame-data", "clean.csv")
    assert done.returncode == 1
    assert b"correction" in done.stdout
    assert b"no run explains it" in done.stdout
    assert b"written by" not in done.stdout
