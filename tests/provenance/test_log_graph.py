"""Beside a commit stand the runs that made its files, each with the metric that matters most."""

from __future__ import annotations

import pytest

from dsvc.commands.run_headline import headline
from tests.runs.conftest import Project


@pytest.mark.parametrize(
    ("metrics", "wanted", "shown"),
    [
        ({"loss": 0.5, "accuracy": 0.9}, None, "accuracy=0.9"),
        ({"train_acc": 1.0, "val/acc": 0.75, "loss": 0.5}, None, "val/acc=0.75"),
        ({"seconds": 3, "test_loss": 0.25}, None, "test_loss=0.25"),
        ({"zebra": 1, "ape": 2}, None, "zebra=1"),
        ({"accuracy": 0.9, "pearson": 0.5}, "pearson", "pearson=0.5"),
        ({"accuracy": 0.9}, "pearson", "accuracy=0.9"),
        ({"accuracy": float("nan"), "loss": 0.5}, None, "loss=0.5"),
        ({"loss": float("nan")}, None, "loss=nan"),
        ({"accuracy": float("nan"), "loss": 0.5}, "accuracy", "accuracy=nan"),
        ({}, "pearson", ""),
    ],
)
def test_the_metric_that_is_shown(metrics, wanted, shown):
    assert headline(metrics, wanted) == shown


def test_log_shows_runs_with_it(project):
    code = "import dsvc; dsvc.metric('seconds', 3); dsvc.metric('f1', 0.5); open('m', 'w').write('1')"
    project.write("train.py", code)
    project.ok("run", "-q", "--", "python", "train.py")
    project.ok("commit", "-qm", "Trained")
    assert "python train.py  f1=0.5" in project.ok("log", "--graph")
    project.ok("config", "run.headline", "seconds")
    assert "python train.py  seconds=3" in project.ok("log", "--graph", "--oneline")
    assert "seconds=3" in project.ok("lineage", "m")


def test_a_commit_names_the_run_and_not_what_repeated_it(project):
    project.write("train.sh", "echo 1 > m")
    project.ok("run", "-q", "--", "sh", "train.sh")
    first = project.shown()["run"][12:22]
    project.ok("rerun", "-q", "@")
    project.ok("commit", "-qm", "Trained")
    assert f"run {first} sh train.sh" in project.ok("log", "--graph")


def test_runs_that_are_fetched_after_the_commit_are_shown(project):
    project.write("a", "1")
    project.ok("commit", "-qm", "First")
    other = Project(project.folder.parent / "other", project.environment)
    project.ok("clone", "-q", ".", "../other")
    project.ok("run", "-q", "--", "sh", "-c", "echo result > m")
    other.write("m", "result\n")
    other.ok("commit", "-qm", "What Ada sent by mail")
    other.write("n", "by hand\n")
    other.ok("commit", "-qm", "Something else")
    assert "run " not in other.ok("log", "--graph")
    other.ok("fetch", "-q")
    shown = other.ok("log", "--graph", "--oneline").splitlines()
    (at,) = [number for number, line in enumerate(shown) if "sh -c" in line]
    assert "What Ada sent by mail" in shown[at - 1]
    other.ok("run", "-q", "--", "sh", "-c", "echo by hand > n")
    assert other.ok("log", "--graph", "--oneline").count("sh -c") == 1  # it came after the commit
