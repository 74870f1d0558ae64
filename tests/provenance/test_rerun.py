"""A run is repeated in a clean folder, and what comes of it is compared."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from dsvc.actions.rerun_compare import compare_metrics, texts_are_close
from tests.runs.conftest import Project


def rerun(project: Project, *words: str, code: int = 0) -> dict[str, Any]:
    done = project("rerun", "--json", *words)
    assert done.returncode == code, done.stderr.decode()
    return json.loads(done.stdout)


def snapshot(project: Project) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in project.folder.rglob("*")
        if path.is_file() and ".dsvc" not in path.parts and "__pycache__" not in path.parts
    }


def test_it_is_identical_and_touches_nothing(stages: Project):
    stages.write("clean.csv", "something else by now\n")
    stages.write("train.py", "raise SystemExit(7)\n")
    before = snapshot(stages)
    found = rerun(stages, "wide:model.json")
    assert found["outcome"] == "identical"
    assert [(one["path"], one["verdict"]) for one in found["outputs"]] == [("model.json", "identical")]
    assert snapshot(stages) == before
    assert stages.shown()["run"] == found["repetition"]
    assert stages.shown()["labels"] == {"rerun-of": found["run"]}
    assert stages.shown()["source"] == stages.shown(found["run"])["source"]
    assert len(stages.ok("worktree", "list").splitlines()) == 1
    stages.sound()


def test_what_repeated_a_run_is_not_where_its_files_came_from(stages: Project):
    found = rerun(stages, "wide:model.json")
    assert found["repetition"] is not None
    assert rerun(stages, "--check", "wide:model.json")["run"] == found["run"]
    shown = stages.ok("lineage", "wide:model.json")
    assert shown.index(found["run"][12:22]) < shown.index(found["repetition"][12:22])
    assert stages.ok("blame-data", "wide:model.json").count(found["run"][12:22]) == 1
    stages.ok("switch", "-q", "wide")
    stages.ok("model", "add", "-q", "m", "model.json")
    assert json.loads(stages.ok("model", "show", "--json", "m"))["run"] == found["run"]


def test_a_check_leaves_nothing(stages: Project):
    before = stages.runs()
    assert rerun(stages, "--check", "@")["repetition"] is None
    assert stages.runs() == before
    stages.sound()


def test_what_differs_is_told(commands):
    code = "import os, dsvc; open('dice', 'wb').write(os.urandom(9)); dsvc.metric('n', os.getpid())"
    project = commands("roll.py", code)
    found = rerun(project, "@", code=1)
    assert found["outcome"] == "different"
    assert [one["verdict"] for one in found["outputs"] + found["metrics"]] == ["different", "different"]
    assert rerun(project, "@~1", "--ignore", "dice", "--ignore", "metrics.*")["outcome"] == "identical"
    assert b"different" in project("rerun", "@~2").stdout


def test_numbers_may_differ_within_a_tolerance(project: Project):
    noise = "int(time.time_ns()) % 1000 / 1e12"
    project.write("fit.py", f"import time\nopen('fit.json', 'w').write('[\"a\", %r]' % (1 + {noise}))\n")
    project.ok("run", "-q", "--", "python", "fit.py")
    assert rerun(project, "fit.json")["outcome"] in ("close", "identical")
    assert texts_are_close(b"a 1.0, b -2e5", b"a 1.0000001, b -200000.01", 1e-6)
    assert not texts_are_close(b"a 1.0", b"a 1.1", 1e-6)
    assert not texts_are_close(b"a1 1.0", b"a2 1.0", 1e-6)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        (1.0, 1.0, "identical"),
        (float("nan"), float("nan"), "identical"),
        (1.0, 1.0 + 1e-9, "close"),
        (1, 2, "different"),
        (True, 1, "different"),
        ("a", "b", "different"),
    ],
)
def test_metrics(old: Any, new: Any, verdict: str):
    (check,) = compare_metrics({"m": old}, {"m": new}, tolerance=1e-6, ignore=lambda _name: False)
    assert check.verdict == verdict


def test_metrics_of_a_file_come_from_it_again(project: Project):
    project.write("work.sh", 'mkdir -p out; echo \'{"acc": 0.5}\' >out/metrics.json')
    project.ok("run", "-q", "--metrics", "out/metrics.json", "--", "sh", "work.sh")
    told = project.ok("rerun", "--check", "@")
    assert "identical  metrics.acc       0.5" in told


def test_a_command_that_fails_now_is_different(commands):
    project = commands("once.py", "import os; open('out', 'w').write('1'); os.environ.get('BROKEN') and exit(3)")
    project.environment["BROKEN"] = "yes"
    found = rerun(project, "out", code=1)
    assert (found["old_state"], found["new_state"], found["outcome"]) == ("done", "failed (exit code 3)", "different")


def test_ignored_inputs_come_back_from_the_store_or_the_folder(project: Project):
    project.write(".dsvcignore", "*.bin\n")
    project.write("kept.bin", "1")
    project.write("near.bin", "2")
    code = "open('out', 'w').write(open('kept.bin').read() + open('near.bin').read())"
    project.ok("run", "-q", "-i", "kept.bin", "--", "python", "-c", code)
    (project.folder / "kept.bin").unlink()
    assert rerun(project, "out")["outcome"] == "identical"
    project.write("near.bin", "3")
    refused = project("rerun", "out")
    assert refused.returncode == 3
    assert b"the input near.bin is not to be had" in refused.stderr
    assert len(project.ok("worktree", "list").splitlines()) == 1


def test_what_cannot_be_repeated_is_refused(project: Project):
    project.ok("run", "-q", "--", "python", "-c", "1", "--password", "hunter22")
    assert b"held a credential" in project("rerun", "@").stderr
    project.python("import dsvc; dsvc.metric('a', 1)")
    project.write("plain.txt", "1")
    assert b"no run wrote" in project("rerun", "plain.txt").stderr
    outside = project.folder.parent / "outside.txt"
    project.ok("run", "-q", "-o", str(outside), "--", "sh", "-c", f"echo 1 > {outside}")
    outside.write_text("precious")
    assert b"would overwrite it" in project("rerun", "@").stderr
    assert outside.read_text() == "precious"


def test_the_folder_can_be_kept_and_words_lead_there(project: Project):
    project.write("sub/go.py", "open('here', 'w').write('1')")
    program = str(project.folder / "sub/go.py")
    done = project("run", "-q", "--", "python", program, cwd=project.folder / "sub")
    assert done.returncode == 0
    (project.folder / "sub/here").unlink()
    found = rerun(project, "@", "--keep", "../kept")
    assert found["outcome"] == "identical"
    assert (project.folder.parent / "kept" / "sub" / "here").read_text() == "1"
    assert not (project.folder / "sub/here").exists()
    assert os.path.samefile(project.ok("worktree", "list").splitlines()[1].split()[0], project.folder.parent / "kept")
