"""`dsvc sweep`: a run for each combination, and which one is best."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time

import pytest

from dsvc.actions.sweep import Sweep, _Optuna
from dsvc.actions.sweep_pruning import Pruner
from dsvc.pipelines.space import parse_space
from tests.commands.conftest import CommandLine
from tests.frameworks import needs

# Writes its metric, best at rate 2, and fails where it is told to.
SCRIPT = """
rate=${1#--rate=}
test "$rate" = 9 && exit 3
echo "{\\"score\\": $((10 - (rate - 2) * (rate - 2)))}" >score-$DSVC_SWEEP_TRIAL.json
cp score-$DSVC_SWEEP_TRIAL.json score.json
"""


@pytest.fixture
def project(history) -> CommandLine:
    history.commit("first", {"fit.sh": SCRIPT})
    return history.cli


def swept(cli: CommandLine, *words: str, code: int = 0) -> list[dict]:
    answer = cli("sweep", "--json", "--metrics=score.json", *words, "--", "sh", "fit.sh", "--rate={rate}")
    assert answer.code == code, answer.err
    return answer.json["trials"]


def test_the_grid_and_the_best(project):
    trials = swept(project, "-p", "rate=1,2,9,4", "--best", "metrics.score", "--name", "s1")
    assert [(trial["params"]["rate"], trial["value"], trial["exit_code"]) for trial in trials] == [
        (2, 10.0, 0),
        (1, 9.0, 0),
        (4, 6.0, 0),
        (9, None, 3),
    ]
    rows = project.ok("runs", "list", "--json", "--where", 'labels.sweep = "s1" and params.rate > 1').json["runs"]
    assert {row["params"]["rate"] for row in rows} == {2, 9, 4}
    assert {trial["run"] for trial in trials} >= {row["run"] for row in rows}


PRUNED = """
import sys, time, dsvc
rate = float(sys.argv[1])
for step in range(4):
    dsvc.log(loss=rate / (step + 1), step=step)
if rate > 5:
    time.sleep(120)
"""


def test_a_trial_that_falls_behind_is_ended(project):
    (project.directory / "train.py").write_text(PRUNED)
    words = ["-p", "rate=1,2,3,9", "--best", "metrics.loss", "--lowest", "--prune", "3", "--json"]
    trials = project.ok("sweep", *words, "--", sys.executable, "train.py", "{rate}").json["trials"]
    assert [(trial["params"]["rate"], trial["value"], trial["pruned"]) for trial in trials] == [
        (1, 0.25, False),
        (2, 0.5, False),
        (3, 0.75, False),
        (9, None, True),
    ]
    (run,) = project.ok("runs", "list", "--json", "--where", "state = killed").json["runs"]
    assert run["run"] == trials[3]["run"]
    assert "pruned" in run["labels"]
    assert project("sweep", "-p", "a=1", "--prune", "2", "--", "true").code == 2


def test_a_trial_whose_dsvc_was_killed_is_not_taken_for_one_of_an_earlier_sweep(project):
    swept(project, "-p", "rate=2", "--best", "metrics.score", "--name", "again")
    (project.directory / "fit.sh").write_text("kill -9 $PPID; sleep 1; exit 1\n")
    (trial,) = swept(project, "-p", "rate=2", "--best", "metrics.score", "--name", "again", code=1)
    assert trial["value"] is None
    rows = project.ok("runs", "list", "--json", "--where", 'labels.sweep = "again"').json["runs"]
    assert [row["state"] for row in rows if row["run"] == trial["run"]] == ["lost"]


COUNTED = """
import os, signal, sys
rate = int(sys.argv[1])
print("rate", rate, file=open("seen", "a"))
if rate == 3 and not os.path.exists("mended"):
    open("mended", "w").close()
    os.kill(int(os.environ["SWEEP"]), signal.SIGKILL)
    sys.exit(1)
import dsvc
dsvc.metric("score", 10 - (rate - 2) ** 2)
"""


def test_a_sweep_that_was_killed_goes_on(project):
    (project.directory / "train.py").write_text(COUNTED)
    words = ["-p", "rate=1..4", "--best", "metrics.score"]
    command = ["--", sys.executable, "train.py", "{rate}"]
    line = shlex.join([sys.executable, "-m", "dsvc", "sweep", *words, "--name", "s", *command])
    environment = {**os.environ, **project.environment}
    script = f"SWEEP=$$; export SWEEP; exec {line}"
    subprocess.run(["sh", "-c", script], cwd=project.directory, env=environment, check=False)
    while project("sweep", *words, "--resume", "s", *command).err.count("is still running"):
        time.sleep(0.1)
    seen = (project.directory / "seen").read_text().split("\n")
    assert seen == ["rate 1", "rate 2", "rate 3", "rate 3", "rate 4", ""]
    trials = project.ok("sweep", *words, "--resume", "s", "--json", *command).json["trials"]
    assert [(trial["params"]["rate"], trial["value"], trial["earlier"]) for trial in trials] == [
        (2, 10.0, True), (1, 9.0, True), (3, 9.0, True), (4, 6.0, True),
    ]  # fmt: skip
    words[1] = "rate=2..5"
    trials = project.ok("sweep", *words, "--resume", "s", "--json", *command).json["trials"]
    assert {trial["params"]["rate"]: trial["earlier"] for trial in trials} == {2: True, 3: True, 4: True, 5: False}
    other = project.ok("sweep", *words, "--resume", "s", "--json", *command, "--fast").json["trials"]
    assert {trial["earlier"] for trial in other} == {False}, "another command is another thing"
    assert project("sweep", *words, "--resume", "t", *command).code == 3
    assert project("sweep", *words, "--resume", "s", "--name", "s", *command).code == 2


def test_trials_that_were_ended_early_are_not_run_again(project):
    (project.directory / "train.py").write_text(PRUNED)
    words = ["-p", "rate=1,2,3,9", "--best", "metrics.loss", "--lowest", "--prune", "3", "--json"]
    command = ["--", sys.executable, "train.py", "{rate}"]
    first = project.ok("sweep", *words, "--name", "s", *command).json["trials"]
    again = project.ok("sweep", *words, "--resume", "s", *command).json["trials"]
    assert [trial | {"earlier": True} for trial in first] == again


@needs("optuna")
def test_optuna_goes_on(project):
    words = ["-p", "rate=0..8", "--best", "metrics.score"]
    first = {trial["run"] for trial in swept(project, *words, "--optuna", "4", "--name", "s")}
    trials = swept(project, *words, "--optuna", "7", "--resume", "s")
    assert {trial["run"] for trial in trials if trial["earlier"]} == first
    assert len(trials) == 7


def test_a_series_that_no_trial_logs_is_told(project):
    words = ["-p", "rate=1,2", "--best", "metrics.score", "--metrics=score.json"]
    command = ["--", "sh", "fit.sh", "--rate={rate}"]
    assert "no trial logged a series score" in project.ok("sweep", "--prune", "3", *words, *command).err
    assert project.ok("sweep", *words, *command).err == ""


def test_when_a_trial_is_behind():
    pruner = Pruner("loss", lowest=True, grace=2)
    pruner._done += [[4.0, 2.0, 1.0], [5.0, 3.0], [6.0, 4.0, 2.0, 1.0]]
    assert not pruner.is_behind([])
    assert not pruner.is_behind([9.0])  # it has time
    assert pruner.is_behind([9.0, 4.5])  # the means are 3, 4 and 5
    assert not pruner.is_behind([9.0, 4.0])
    assert not pruner.is_behind([9.0, 9.0, 9.0])  # only two have come so far
    pruner = Pruner("acc", lowest=False, grace=1)
    pruner._done += [[0.5], [0.6], [0.7]]
    assert pruner.is_behind([0.55])
    assert not pruner.is_behind([0.6])


def test_what_people_see(project):
    words = ["-p", "rate=1..3", "--best", "metrics.score", "--lowest", "--metrics", "score.json"]
    lines = project.ok("sweep", *words, "--", "sh", "fit.sh", "{rate}").out.splitlines()
    assert [line.split()[0] for line in lines] == ["trial"] * 3 + ["best:"]
    assert lines[0].endswith("rate=1  score=9")
    assert lines[3].startswith("best: trial 1  run ")


def test_several_at_a_time(project):
    words = ["-p", "rate=1..6", "-j", "3", "--", "sh", "fit.sh", "{rate}"]
    trials = project.ok("sweep", "--json", *words).json["trials"]
    assert sorted(trial["params"]["rate"] for trial in trials) == [1, 2, 3, 4, 5, 6]
    assert len({trial["run"] for trial in trials}) == 6
    project.ok("fsck", "-q")


def test_patience(project):
    trials = swept(project, "-p", "rate=2,3,4,5,6,7", "--best", "metrics.score", "--patience", "2")
    assert [trial["params"]["rate"] for trial in trials] == [2, 3, 4]


def test_random_trials(project):
    trials = swept(project, "-p", "rate=0..8", "--random", "4", "--seed", "3")
    assert len(trials) == 4
    assert trials != swept(project, "-p", "rate=0..8", "--random", "4", "--seed", "4")


@needs("optuna")
def test_optuna(project):
    trials = swept(project, "-p", "rate=0..8", "--optuna", "6", "--best", "metrics.score")
    assert len(trials) == 6
    assert trials[0]["value"] == max(trial["value"] for trial in trials)


OUTRUN = """
import os, sys, time, dsvc
number = int(os.environ["DSVC_SWEEP_TRIAL"])
for step in range(3):
    dsvc.log(loss=float({4: 9, 5: 0}.get(number, number)), step=step)
if number == 4:
    time.sleep(120)
"""


@needs("optuna")
def test_optuna_goes_on_after_a_trial_that_was_ended(project):
    (project.directory / "train.py").write_text(OUTRUN)
    words = ["-p", "rate=0..8", "--optuna", "5", "--best", "metrics.loss", "--lowest", "--prune", "3", "--json"]
    trials = project.ok("sweep", *words, "--", sys.executable, "train.py", "{rate}").json["trials"]
    assert [(trial["number"], trial["value"], trial["pruned"]) for trial in trials] == [
        (5, 0.0, False), (1, 1.0, False), (2, 2.0, False), (3, 3.0, False), (4, None, True),
    ]  # fmt: skip


@needs("optuna")
def test_optuna_is_told_how_a_trial_ended():
    asked = _Optuna(Sweep(words=["true"], space=parse_space(["rate=0..8"]), name="s", count=3, asks_optuna=True))
    for value, pruned in ((1.5, False), (None, True), (None, False)):
        trial = asked.ask()
        assert trial is not None
        assert 0 <= trial[0]["rate"] <= 8
        asked.told(trial[1], value, pruned=pruned)
    assert asked.ask() is None
    assert [trial.state.name for trial in asked._study.trials] == ["COMPLETE", "PRUNED", "FAIL"]
    assert asked._study.best_value == 1.5


def test_without_optuna(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = project("sweep", "-p", "rate=1", "--optuna", "2", "--best", "metrics.score", "--", "true")
    assert answer.code == 3
    assert "pip install optuna" in answer.err


def test_no_trial_succeeds(project):
    assert [trial["exit_code"] for trial in swept(project, "-p", "rate=9", code=1)] == [3]


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "rate=1"],
        ["--", "true"],
        ["-p", "rate=0.1..0.2", "--", "true"],
        ["-p", "rate=1", "--patience", "2", "--", "true"],
        ["-p", "rate=1", "--optuna", "2", "--", "true"],
    ],
)
def test_what_is_refused(project, words):
    assert project("sweep", *words).code == 2
    assert project.ok("runs", "list", "--json").json["runs"] == []
