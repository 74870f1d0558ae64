"""Files that runs write and that somebody changed by hand: shown by status, recorded with a commit."""

from __future__ import annotations

import json
from typing import Any

from tests.runs.conftest import Project


def unclaimed(project: Project) -> list[str]:
    return [one["path"] for one in json.loads(project.ok("status", "--json"))["unclaimed"]]


def commit(project: Project, *words: str) -> dict[str, Any]:
    return json.loads(project.ok("commit", "--json", "-m", "A change", *words))


def test_what_a_run_wrote_is_claimed(stages: Project):
    stages.ok("run", "-q", "--", "python", "features.py", "--wide")
    assert unclaimed(stages) == []
    assert commit(stages)["correction"] is None


def test_a_change_by_hand_is_unclaimed_and_becomes_a_correction(stages: Project):
    stages.write("clean.csv", "7\n")
    stages.write("train.py", "# code is no output\n")
    stages.write("raw/day9.csv", "new raw data\n")
    assert unclaimed(stages) == ["clean.csv"]
    assert "\nUnclaimed (" in stages.ok("status")
    made = commit(stages)
    record = json.loads(stages.ok("runs", "show", "--json", made["correction"]))
    assert (record["authority"], record["description"]) == ("correction", "A change")
    assert [pin["path"] for pin in record["outputs"]["files"]] == ["clean.csv"]
    assert unclaimed(stages) == []
    assert stages.runs("-n", "1")[0]["authority"] == "workload"
    assert [row["run"] for row in stages.runs("--where", "authority = correction")] == [made["correction"]]
    assert stages.shown()["authority"] == "workload"  # @ is something that was executed
    found = json.loads(stages.ok("lineage", "--json", "clean.csv"))
    (edge,) = [edge for edge in found["edges"] if edge["reason"] == "no run explains it"]
    assert (edge["what"], edge["mark"]) == ("wrote", "missing")
    assert f"correction {made['correction'][12:22]} changed by hand" in stages.ok("log", "--graph", "-n", "1")
    stages.ok("fsck")


def test_a_run_explains_it_again(stages: Project):
    stages.write("clean.csv", "7\n")
    commit(stages)
    stages.ok("run", "-q", "--", "python", "prepare.py")
    assert unclaimed(stages) == []
    assert commit(stages)["correction"] is None


def test_code_makes_no_run(stages: Project):
    stages.write("train.py", "# better\n")
    stages.write("notes.txt", "text\n")
    assert commit(stages)["correction"] is None


def test_patterns_say_what_runs_write(project: Project):
    project.ok("config", "provenance.outputs", "*.pkl,out/")
    project.write("model.pkl", "1")
    project.write("out/deep/down.txt", "1")
    project.write("src/a.txt", "1")
    assert unclaimed(project) == ["model.pkl", "out/deep/down.txt"]
    shown = project.ok("status")
    assert "  out/deep/down.txt" in shown  # though its folder is listed as one
    assert commit(project)["correction"] is not None
    project.write("src/a.txt", "2")
    assert commit(project)["correction"] is None


def test_amending_explains_it_once(stages: Project):
    stages.write("clean.csv", "7\n")
    first = commit(stages)["correction"]
    stages.write("notes.txt", "1")
    assert commit(stages, "--amend")["correction"] is None
    stages.write("clean.csv", "8\n")
    assert commit(stages, "--amend")["correction"] not in (None, first)


def test_undo_takes_it_back_with_the_commit(stages: Project):
    stages.write("clean.csv", "7\n")
    made = commit(stages)
    stages.ok("undo")
    assert stages("runs", "show", made["correction"]).returncode == 3
    assert unclaimed(stages) == ["clean.csv"]


def test_a_deleted_output_is_nothing_to_explain(stages: Project):
    (stages.folder / "clean.csv").unlink()
    assert unclaimed(stages) == []
    assert commit(stages)["correction"] is None


def test_it_travels_with_its_commit(stages: Project):
    stages.write("clean.csv", "7\n")
    made = commit(stages)
    stages.ok("clone", "-q", ".", "../clone")
    clone = Project(stages.folder.parent / "clone", stages.environment)
    assert clone.shown(made["correction"])["authority"] == "correction"


def corrections(project: Project) -> list[dict[str, Any]]:
    """Those of HEAD's commit, as the commit names them."""
    named = project.ok("log", "-n", "1", "--graph")
    rows = project.runs("--where", "authority = correction")
    return [project.shown(row["run"]) for row in rows if f"correction {row['run'][12:22]} " in named]


def split(project: Project) -> None:
    """Let two branches change the same output at other places, one by a run and one by hand."""
    project.ok("switch", "-qc", "side")
    rows = project.folder.joinpath("clean.csv").read_text().splitlines(keepends=True)
    project.write("clean.csv", "".join(["0\n", *rows]))
    project.write("notes.txt", "by hand\n")
    project.ok("commit", "-qm", "At the begin")
    project.ok("switch", "-q", "main")
    project.ok("run", "-q", "--", "sh", "-c", "echo 99 >>clean.csv")
    project.ok("commit", "-qm", "At the end")


def test_a_merge_that_makes_what_no_run_wrote(stages: Project):
    split(stages)
    merged = stages("merge", "side")
    assert b"no run explains 1 file that runs write: recorded as the correction " in merged.stderr
    (record,) = corrections(stages)
    assert [pin["path"] for pin in record["outputs"]["files"]] == ["clean.csv"]
    assert unclaimed(stages) == []
    stages.ok("undo")
    assert stages("runs", "show", record["run"]).returncode == 3
    stages.ok("fsck")


def test_a_merge_that_takes_what_a_run_wrote(stages: Project):
    stages.write("notes.txt", "so that it is no fast-forward\n")
    stages.ok("commit", "-qm", "Notes")
    assert b"no run explains" not in stages("merge", "wide").stderr
    assert corrections(stages) == []
    assert stages.runs("--where", "authority = correction") == []


def test_a_pick_and_a_rebase_onto_what_a_run_changed(stages: Project):
    split(stages)
    stages.ok("tag", "before")
    stages.ok("cherry-pick", "side")
    (picked,) = corrections(stages)
    assert [pin["path"] for pin in picked["outputs"]["files"]] == ["clean.csv"]
    assert picked["description"] == "At the begin"
    stages.ok("switch", "-q", "side")
    stages.ok("rebase", "before")
    (rebased,) = corrections(stages)  # the same content: it is what the first one stands for
    assert rebased["run"] == picked["run"]
    assert len(stages.runs("--where", "authority = correction")) == 2


def test_a_revert_to_what_a_run_wrote_needs_no_correction(stages: Project):
    stages.write("clean.csv", "7\n")
    commit(stages)
    stages.ok("revert", "HEAD")
    assert corrections(stages) == []
    stages.write("train.py", "# code is no output\n")
    commit(stages)
    stages.ok("revert", "HEAD")
    assert corrections(stages) == []
    assert len(stages.runs("--where", "authority = correction")) == 1


def test_a_revert_below_a_later_change(stages: Project):
    split(stages)
    stages.ok("merge", "-q", "side")
    stages.ok("revert", "HEAD~1")  # the line at the end goes, that at the begin stays: this was committed by hand
    assert corrections(stages) != []
    stages.write("raw/day1.csv", "raw data\n")
    commit(stages)
    stages.ok("revert", "HEAD")
    assert corrections(stages) == []
