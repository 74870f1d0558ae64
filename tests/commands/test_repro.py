"""`dsvc repro`: what runs, what is skipped, and what comes from the store."""

from __future__ import annotations

import os

import pytest

from tests.commands.conftest import CommandLine

PIPELINE = """
[stages.prepare]
cmd = "sed s/^/$(cat factor)/ raw.csv > train.csv; echo prepare >> ran.log"
deps = ["raw.csv", "factor"]
outs = ["train.csv"]

[stages.fit]
cmd = "sh fit.sh ${item}"
foreach = ["a", "b"]
deps = ["train.csv"]
outs = ["model-${item}"]
metrics = ["acc-${item}.json"]
params = ["lr"]

[stages.report]
cmd = "cat model-a model-b > report; echo report >> ran.log"
deps = ["model-a", "model-b"]
outs = ["report"]
"""
FIT = """
test $1 != "$(cat bad)" || exit 1
cat train.csv >model-$1
echo $1 >>model-$1
echo '{"acc": 0.5}' >acc-$1.json
echo fit >>ran.log
"""


@pytest.fixture
def project(history) -> CommandLine:
    files = {"raw.csv": "1\n2\n", "factor": "7\n", "params.toml": "lr = 0.1\n", "dsvc.toml": PIPELINE}
    history.commit("first", {**files, "fit.sh": FIT, ".dsvcignore": "ran.log\n*.json\n"})
    return history.cli


def repro(cli: CommandLine, *words: str, code: int = 0) -> dict[str, str]:
    answer = cli("repro", "--json", *words)
    assert answer.code == code, answer.err
    return {stage["name"]: stage["what"] for stage in answer.json["stages"]}


def ran(cli: CommandLine) -> list[str]:
    """Which commands were really executed since the last question."""
    log = cli.directory / "ran.log"
    lines = sorted(log.read_text().split()) if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


ALL = ("prepare", "fit@a", "fit@b", "report")


def test_only_what_is_out_of_date_runs(project):
    assert repro(project, "-n") == dict.fromkeys(ALL, "would run")
    assert ran(project) == []
    assert repro(project) == dict.fromkeys(ALL, "ran")
    assert ran(project) == ["fit", "fit", "prepare", "report"]
    assert (project.directory / "report").read_text() == "71\n72\na\n71\n72\nb\n"
    assert repro(project) == dict.fromkeys(ALL, "unchanged")
    assert repro(project, "-n") == dict.fromkeys(ALL, "unchanged")
    assert ran(project) == []
    (project.directory / "params.toml").write_text("lr = 0.2\n")
    found = repro(project)
    # The models come out the same, so what rests on them stays.
    assert found == {"prepare": "unchanged", "fit@a": "ran", "fit@b": "ran", "report": "unchanged"}
    assert ran(project) == ["fit", "fit"]
    assert repro(project, "-f", "prepare") == {"prepare": "ran"}


def test_a_run_of_each_stage_is_recorded(project):
    repro(project)
    rows = project.ok("runs", "list", "--json", "--where", 'labels.stage ~ "fit"').json["runs"]
    assert [(row["params"]["lr"], row["metrics"]) for row in rows] == [(0.1, {"acc": 0.5})] * 2
    run = project.ok("runs", "show", "--json", rows[0]["run"]).json
    assert [pin["path"] for pin in run["inputs"]["files"]] == ["train.csv"]
    assert {"model-a", "acc-a.json"} <= {pin["path"] for pin in run["outputs"]["files"]} | {"model-a", "acc-a.json"}


def test_outputs_come_from_the_store_on_any_branch(project):
    repro(project)
    project.ok("commit", "-q", "-m", "seven")
    project.ok("switch", "-q", "-c", "other")
    (project.directory / "factor").write_text("8\n")
    repro(project)
    project.ok("commit", "-q", "-m", "eight")
    ran(project)
    (project.directory / "factor").write_text("7\n")
    (project.directory / "model-a").unlink()
    found = repro(project, "-n")
    assert found["prepare"] == "would restore"
    assert repro(project) == dict.fromkeys(ALL, "restored")
    assert ran(project) == []
    assert (project.directory / "report").read_text() == "71\n72\na\n71\n72\nb\n"


def test_outputs_come_from_the_store_in_another_clone(project):
    repro(project)
    project.ok("config", "remote.origin.url", "../hub")
    project.ok("push", "-q")
    CommandLine(project.directory.parent, project.environment).ok("clone", "-q", "hub", "other")
    other = CommandLine(project.directory.parent / "other", project.environment)
    assert not (other.directory / "report").exists()
    assert repro(other) == dict.fromkeys(ALL, "restored")
    assert ran(other) == []
    assert (other.directory / "acc-a.json").exists()


def test_several_at_a_time_claim_no_outputs_of_each_other(project):
    assert repro(project, "-j", "3") == dict.fromkeys(ALL, "ran")
    for name in "ab":
        (row,) = project.ok("runs", "list", "--json", "--where", f'labels.stage = "fit@{name}"').json["runs"]
        outputs = project.ok("runs", "show", "--json", row["run"]).json["outputs"]["files"]
        assert sorted(pin["path"] for pin in outputs) == [f"acc-{name}.json", f"model-{name}"]
    assert repro(project, "-j", "3") == dict.fromkeys(ALL, "unchanged")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_python_is_seen_to_write_is_stored_too(project, jobs):
    stage = '[stages.one]\ncmd = "python one.py"\nouts = ["plain.txt", "ignored.json"]\n'
    (project.directory / "dsvc.toml").write_text(stage)
    (project.directory / "one.py").write_text("for name in ('plain.txt', 'ignored.json'): open(name, 'w').write(name)")
    assert repro(project, "-j", jobs) == {"one": "ran"}
    assert repro(project) == {"one": "unchanged"}
    (project.directory / "plain.txt").unlink()
    (project.directory / "ignored.json").unlink()
    assert repro(project, "-j", jobs) == {"one": "restored"}
    assert (project.directory / "ignored.json").read_text() == "ignored.json"


def test_a_stage_that_fails_keeps_back_what_needs_it(project):
    (project.directory / "bad").write_text("b")
    assert repro(project, code=1) == {"prepare": "ran", "fit@a": "ran", "fit@b": "failed", "report": "blocked"}
    answer = project("repro")
    assert answer.code == 1
    assert "fit@b: failed with exit code 1" in answer.out
    assert "report: blocked" in answer.out


def test_what_cannot_be_run(project):
    (project.directory / "raw.csv").unlink()
    answer = project("repro")
    assert answer.code == 3
    assert "prepare reads raw.csv, which is not there" in answer.err
    (project.directory / "raw.csv").write_text("1\n")
    (project.directory / "params.toml").write_text("other = 1\n")
    assert "has no lr" in project("repro").err
    assert project("repro", "nope").code == 3
    (project.directory / "dsvc.toml").unlink()
    assert "no dsvc.toml" in project("repro").err


def test_metrics_of_files(project):
    script = """
    echo '{"acc": 0.5, "deep": {"f1": 1}}' >m.json
    printf 'epoch,loss,name\\n1,0.5,x\\n2,0.25,y\\n' >m.csv
    """
    files = [f"--metrics={name}" for name in ("m.json", "m.csv", "none.json")]
    project.ok("run", "-q", *files, "--", "sh", "-c", script)
    run = project.ok("runs", "show", "--json").json
    assert run["metrics"] == {"acc": 0.5, "deep": {"f1": 1}}
    (loss,) = run["series"]
    assert (loss["name"], loss["count"], loss["last"], loss["last_step"]) == ("loss", 2, 0.25, 2)
    os.utime(project.directory / "m.json", (1, 1))
    project.ok("config", "run.metrics", "m.json")
    later = project.ok("run", "--json", "--", "true").json["run"]
    assert project.ok("runs", "show", "--json", later).json["metrics"] == {}, "they are of an earlier run"


def test_a_stage_that_does_not_write_its_outputs_has_failed(project):
    text = PIPELINE.replace("echo prepare", "rm train.csv; echo prepare")
    (project.directory / "dsvc.toml").write_text(text)
    answer = project("repro", "--json")
    assert answer.code == 1
    first, *others = answer.json["stages"]
    assert (first["what"], first["exit_code"], first["missing"]) == ("failed", 0, ["train.csv"])
    assert {stage["what"] for stage in others} == {"blocked"}
    assert ran(project) == ["prepare"]
    assert "prepare: failed: it did not write train.csv" in project("repro").out
    (project.directory / "dsvc.toml").write_text(PIPELINE)
    assert repro(project) == dict.fromkeys(ALL, "ran")
