"""`dsvc runs` and what other commands have to do with runs."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
from dataclasses import dataclass

import pytest

from tests.commands.conftest import CommandLine


@dataclass
class Later(CommandLine):
    """A command line on which each command comes a minute after the one before."""

    minute: int = 0

    def __call__(self, *words, directory=None):
        self.minute += 1
        hour, minute = divmod(self.minute, 60)
        self.environment["DSVC_DATE"] = f"2026-02-01T{hour:02}:{minute:02}:00+01:00"
        return super().__call__(*words, directory=directory)


@pytest.fixture
def runs(history):
    """Three runs of a project with one commit: two that differ in a parameter, and one that failed."""
    history.commit("first", {"data.txt": "data\n", "train.sh": "echo $1 >out.txt\n"})
    cli = Later(history.cli.directory, history.cli.environment)
    for rate in ("0.1", "0.2"):
        cli.ok("run", "-q", "-p", f"rate={rate}", "-m", f"rate {rate}", "--", "sh", "train.sh", rate)
    assert cli("run", "-q", "-l", "bad", "--", "sh", "-c", "exit 3").code == 3
    return cli


def listed(cli, *words):
    return cli.ok("runs", "list", "--json", *words).json["runs"]


def key(cli, name="@"):
    return cli.ok("runs", "show", "--json", name).json["run"]


def test_nothing_is_recorded(history):
    answer = history.cli.ok("runs")
    assert (answer.out, answer.err) == ("", "no runs\n")
    assert listed(history.cli) == []
    assert history.cli("runs", "show").code == 3
    assert history.cli("runs", "show", "@~0x").code == 3


def test_the_list(runs):
    lines = [re.sub(r" +", " ", line) for line in runs.ok("runs").out.splitlines()]
    assert lines[0] == "RUN START ELAPSED STATE WHAT"
    shown = [line.rpartition(" ms ")[2] for line in lines[1:]]
    assert shown == ["failed sh -c exit 3", "done rate 0.2", "done rate 0.1"]
    assert [run["params"] for run in listed(runs, "--sort", "params.rate")] == [{"rate": 0.1}, {"rate": 0.2}, {}]
    assert [run["params"] for run in listed(runs, "--sort", "-params.rate", "-n", "1")] == [{"rate": 0.2}]
    assert [run["state"] for run in listed(runs, "--where", "labels.bad = '' and state = failed")] == ["failed"]
    assert [run["params"]["rate"] for run in listed(runs, "--best", "params.rate", "--lowest")] == [0.1]
    assert runs("runs", "--best", "metrics.none").code == 1
    assert runs("runs", "--where", "nonsense").code == 2
    assert runs("runs", "--sort", "nonsense").code == 2
    assert runs("runs", "--columns", "nonsense").code == 2


def test_comma_separated(runs):
    rows = list(csv.DictReader(io.StringIO(runs.ok("runs", "--csv").out)))
    assert [(row["state"], row["params.rate"], row["exit_code"]) for row in rows] == [
        ("failed", "", "3"),
        ("done", "0.2", "0"),
        ("done", "0.1", "0"),
    ]
    chosen = runs.ok("runs", "--csv", "--columns", "state,params.*").out
    assert chosen == "state,params.rate\nfailed,\ndone,0.2\ndone,0.1\n"


def test_names_of_runs(runs):
    whole = key(runs, "@~1")
    content = runs.ok("runs", "show", "--json", "@~1").json["id"]
    for name in (whole, whole[:20], whole[12:22], whole[12:16], f"runs/{whole}", content):
        assert key(runs, name) == whole, name
    answer = runs("runs", "show", whole[:6])
    assert answer.code == 3
    assert "could be any of" in answer.err
    assert runs("runs", "show", "fedcba9876543210").code == 3
    assert runs("runs", "show", "../../etc").code == 3


def test_comments_and_labels(runs):
    runs.ok("runs", "comment", "@~1", "first\nsecond")
    runs.ok("runs", "comment", "@~1", "-l", "kind=best", "-l", "seen")
    runs.ok("runs", "comment", "@~1", "--unlabel", "seen")
    run = runs.ok("runs", "show", "--json", "@~1").json
    assert [note["text"] for note in run["notes"]] == ["first\nsecond", None, None]
    assert run["labels"] == {"kind": "best"}
    assert [run["labels"] for run in listed(runs, "--where", "labels.kind = best")] == [{"kind": "best"}]
    assert "    second\n" in runs.ok("runs", "show", "@~1").out
    assert runs("runs", "comment", "@", "text", "-l", "x").code == 2
    assert runs("runs", "comment", "@", "-l", "=x").code == 2
    runs.ok("fsck")


def test_remove(runs):
    removed, began_from_it = key(runs, "@~1"), key(runs)
    output = runs.ok("runs", "show", "--json", removed).json["outputs"]["files"][0]["id"]
    runs.ok("runs", "comment", removed, "soon gone")
    runs.ok("runs", "rm", removed, "--reason", "typo")
    assert removed not in [run["run"] for run in listed(runs)]
    assert runs("runs", "show", removed).code == 3
    assert runs("runs", "rm", removed).code == 3
    runs.ok("undo")
    assert key(runs, removed) == removed
    assert runs.ok("runs", "show", "--json", removed).json["notes"]
    runs.ok("runs", "rm", removed)
    (runs.directory / "out.txt").write_text("other\n")
    runs.ok("run", "-q", "--", "true")
    assert runs.ok("cat", output).out == "0.2\n"
    runs.ok("gc", "--prune=now")
    assert runs.ok("cat", output).out == "0.2\n", "another run began with this file there"
    runs.ok("runs", "rm", began_from_it)
    runs.ok("gc", "--prune=now")
    assert runs("cat", output).code != 0
    runs.ok("fsck")


def test_what_the_newest_run_wrote_goes_with_it(runs):
    runs.ok("run", "-q", "--", "sh", "-c", "echo nowhere else >own.bin")
    output = runs.ok("runs", "show", "--json").json["outputs"]["files"][0]["id"]
    (runs.directory / "own.bin").unlink()
    runs.ok("runs", "rm", "@")
    assert runs.ok("cat", output).out == "nowhere else\n"
    runs.ok("gc", "--prune=now")
    assert runs("cat", output).code != 0
    runs.ok("run", "-q", "--", "true")
    runs.ok("fsck")


def test_what_was_run_is_not_undone(runs):
    before = [run["run"] for run in listed(runs)]
    runs.ok("commit", "-qm", "second")
    runs.ok("run", "-q", "--", "true")
    assert "commit: second" in runs.ok("undo").err
    assert [run["run"] for run in listed(runs)][1:] == before


def test_the_index_may_be_deleted_damaged_or_held(runs):
    wanted = listed(runs)
    path = runs.directory / ".dsvc" / "cache" / "runs.sqlite"
    path.unlink()
    assert listed(runs) == wanted
    for content in (b"", b"no database at all", path.read_bytes()[:3000] + b"\xff" * 4000):
        path.write_bytes(content)
        assert listed(runs) == wanted
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.commit()
    other.close()
    assert listed(runs) == wanted
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")
    assert listed(runs) == wanted


def test_the_index_follows(runs):
    listed(runs)
    runs.ok("run", "-q", "--", "true")
    assert len(listed(runs)) == 4
    runs.ok("op", "restore", "@~1")
    assert len(listed(runs)) == 3
    runs.ok("undo")
    assert len(listed(runs)) == 4


def test_differences(runs):
    answer = runs("runs", "diff", "@~2", "@~1")
    assert answer.code == 1
    assert re.search(r"rate +0\.1 +0\.2", answer.out)
    found = json.loads(runs("runs", "diff", "--json", "@~2", "@~1").out)
    assert found["params"] == [{"name": "rate", "old": 0.1, "new": 0.2}]
    assert [one["path"] for one in found["outputs"]] == ["out.txt"]
    assert [one["path"] for one in found["code"]] == ["out.txt"]
    assert runs("runs", "diff", "@", "@").code == 0


def test_a_commit_names_the_runs_that_wrote_its_files(runs):
    runs.ok("commit", "-qm", "second")
    (run_id,) = runs.ok("log", "-n1", "--json").json["commits"][0]["runs"]
    assert run_id == runs.ok("runs", "show", "--json", "@~1").json["id"]
    text = runs.ok("log", "--graph").out
    assert f"run {key(runs, '@~1')[12:22]} rate 0.2" in text
    assert "run " in runs.ok("log", "--graph", "--oneline").out
    assert "run " not in runs.ok("log", "--oneline").out
    (runs.directory / "data.txt").write_text("edited\n")
    runs.ok("commit", "-qm", "third")
    assert "runs" not in runs.ok("log", "-n1", "--json").json["commits"][0], "an edit is no run"
    runs.ok("fsck")


def test_a_merge_names_no_run_of_its_sides(runs):
    runs.ok("switch", "-q", "-c", "side")
    runs.ok("commit", "-qm", "on the side")
    runs.ok("switch", "-q", "main")
    (runs.directory / "data.txt").write_text("edited\n")
    runs.ok("commit", "-qm", "ours")
    runs.ok("merge", "-m", "joined", "side")
    assert "runs" not in runs.ok("log", "-n1", "--json").json["commits"][0]


def test_commit_afterwards(history):
    history.commit("first", {"a": "a\n"})
    cli = history.cli
    assert "committed as" in cli.ok("run", "--commit", "-m", "make b", "--", "sh", "-c", "echo b >b").err
    (commit,) = cli.ok("log", "-n1", "--json").json["commits"]
    assert commit["subject"] == "make b"
    assert commit["runs"] == [cli.ok("runs", "show", "--json").json["id"]]
    assert "nothing to commit" in cli.ok("run", "--commit", "--", "true").err
    assert cli("run", "--commit", "--", "sh", "-c", "echo c >c; exit 1").code == 1
    assert "c" in cli.ok("status", "-s").out


def test_json_keeps_stdout_to_itself(history):
    history.commit("first", {"a": "a\n"})
    answer = history.cli.ok("run", "--json", "--", "echo", "hello")
    assert answer.json["schema"] == "dsvc.run"
    assert answer.err == "hello\n"


def test_words_behind_the_command_are_its_own(history):
    history.commit("first", {"a": "a\n"})
    assert history.cli.ok("run", "-q", "echo", "-q", "--json", "--", "-x").out == "-q --json -- -x\n"
    assert history.cli.ok("run", "-q", "--", "echo", "--", "y").out == "-- y\n"


def test_runs_travel(clones):
    clones.ada.ok("run", "-q", "-p", "n=1", "--", "sh", "-c", "echo x >x")
    clones.ada.ok("commit", "-qm", "with a run")
    clones.ada.ok("push", "-q")
    bob = clones.join("bob")
    (run,) = listed(bob)
    assert run["params"] == {"n": 1}
    bob.ok("runs", "comment", "@", "seen by bob")
    bob.ok("run", "-q", "-p", "n=2", "--", "true")
    bob.ok("push", "-q")
    clones.ada.ok("run", "-q", "-p", "n=3", "--", "true")
    clones.ada.ok("fetch", "-q")
    assert sorted(run["params"]["n"] for run in listed(clones.ada)) == [1, 2, 3]
    first = next(run["run"] for run in listed(clones.ada) if run["params"]["n"] == 1)
    assert clones.ada.ok("runs", "show", "--json", first).json["notes"][0]["text"] == "seen by bob"
    clones.ada.ok("runs", "rm", first)
    clones.ada.ok("push", "-q")
    bob.ok("fetch", "-q")
    assert sorted(run["params"]["n"] for run in listed(bob)) == [2, 3]
    for person in (clones.ada, bob):
        person.ok("fsck")


def test_show_takes_runs_too(runs):
    runs.ok("runs", "comment", "@", "a word")
    run = runs.ok("runs", "show", "--json").json
    for name in (run["id"], run["id"][:12], f"runs/{run['run']}"):
        assert runs.ok("show", name).out == runs.ok("runs", "show").out
    (found,) = runs.ok("show", "--json", run["id"]).json["objects"]
    assert (found["kind"], found["exit_code"], found["notes"]) == ("run", 3, run["notes"])
