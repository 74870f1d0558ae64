"""`dsvc report`: what it says of two versions, and its gates."""

from __future__ import annotations

import re
import subprocess
import sys

from dsvc.runs.names import RunKey, short_key
from tests.commands.conftest import CommandLine

FIT = """
import dsvc
with dsvc.start_run("fit") as run:
    for step in range(40):
        run.log(loss=1 / (step + 1), step=step)
    open("model", "w").write("m")
    run.output("model")
"""

JUDGE = """
import dsvc
with dsvc.start_run("judge") as run:
    run.metric("acc", int(open(run.input("model")).read()) / 2)
"""


def test_a_branch_beside_where_it_left_the_main_one(project: CommandLine):
    page = project.ok("report").out
    assert re.search(r"^## main `\w{10}` → better `\w{10}`$", page, re.MULTILINE)
    assert "1 commit, 3 files of data changed, 1 file of code changed, 1 new run." in page
    assert re.search(r"\| `acc` \| 0\.8 \| 0\.9 \| ▲ \+0\.1 \(\+12\.5 %\) \|", page)
    assert "| `val.loss` | 0.5 | 0.5 | = |" in page
    assert re.search(r"\| `rate` \| 0\.8 \| 0\.9 \|", page)
    run = short_key(RunKey(bytes.fromhex(project.ok("runs", "--json").json["runs"][0]["run"])))
    assert re.search(rf"\| `model` \| `\w+` 8 B \| `\w+` 10 B \| `{run}` \|", page)
    assert "| `params.toml` | changed |" in page
    assert "flowchart LR" in page
    assert f"run {run}" in page


def test_ranges(project: CommandLine):
    document = project.ok("report", "--json", "main..better").json
    assert document == project.ok("report", "--json", "main...better").json
    assert document["metrics"] == project.ok("report", "--json", "main").json["metrics"]
    assert (document["base"]["name"], document["new"]["name"], document["commits"]) == ("main", "better", 1)
    found = {m["name"]: (m["base"], m["new"]) for m in document["metrics"]}
    assert found == {"acc": (0.8, 0.9), "val.loss": (0.5, 0.5)}
    back = project.ok("report", "--json", "better..main").json
    assert [m["new"] for m in back["metrics"] if m["name"] == "acc"] == [0.8]
    assert project("report", "nope..main").code == 3


def test_a_first_commit(history):
    history.commit("first", {"a": "1\n"})
    document = history.cli.ok("report", "--json").json
    assert (document["base"], document["commits"], document["passed"]) == (None, 1, True)
    assert "nothing → main" in history.cli.ok("report").out


def test_on_the_main_branch_the_commit_before_is_the_base(project: CommandLine):
    project.ok("switch", "-q", "main")
    project.ok("merge", "-q", "better")
    assert [m["base"] for m in project.ok("report", "--json").json["metrics"] if m["name"] == "acc"] == [0.8]


def test_runs_of_two_branches_that_wrote_the_same(history):
    """Each branch has the metrics of the run that read what stands there."""
    cli = history.cli
    for branch, acc in (("main", 0.8), ("better", 0.9)):
        if branch != "main":
            cli.ok("switch", "-q", "-c", branch)
        program = FIT.replace("run.log(loss=1", f"run.metric('acc', {acc}); run.log(loss=1")
        (cli.directory / "fit.py").write_text(program)
        subprocess.run([sys.executable, "fit.py"], cwd=cli.directory, env=cli.environment, check=True)
        cli.ok("commit", "-q", "-m", branch)
    document = cli.ok("report", "--json", "main..better").json
    assert {m["name"]: (m["base"], m["new"]) for m in document["metrics"]}["acc"] == (0.8, 0.9)
    assert (len(document["runs"]), len(document["replaced"])) == (1, 1)
    cli.ok("switch", "-q", "main")
    cli.ok("model", "add", "fit", "model")
    assert cli.ok("model", "show", "fit", "--json").json["metrics"]["acc"] == 0.8
    for version, acc in (("model", 0.8), ("better", 0.9)):
        graph = cli.ok("lineage", version, "--json").json
        (made,) = (edge["source"] for edge in graph["edges"] if edge["what"] == "wrote" and not edge["also"])
        assert [node["run"]["metrics"]["acc"] for node in graph["nodes"] if node["key"] == made] == [acc]


def test_a_run_that_only_measures_counts_where_what_it_read_stands(history):
    cli = history.cli
    (cli.directory / "judge.py").write_text(JUDGE)
    for number in ("1", "2"):
        (cli.directory / "model").write_text(number)
        cli.ok("commit", "-q", "-m", number)
        cli.ok("run", "-q", "--", sys.executable, "judge.py")
    document = cli.ok("report", "--json", "HEAD~1..HEAD").json
    assert [(m["base"], m["new"]) for m in document["metrics"] if m["name"] == "acc"] == [(0.5, 1.0)]
    assert len(document["runs"]) == 1
    assert cli("report", "-q", "--gate", "metrics.acc > 0.9").code == 0
    assert cli("report", "-q", "--gate", "metrics.acc > 1").code == 1


def test_gates(project: CommandLine):
    good = project.ok("report", "--gate", "metrics.acc >= 0.85", "--gate", "metrics.acc > base.metrics.acc")
    assert "| ✅ holds | `metrics.acc >= 0.85` | metrics.acc = 0.9 |" in good.out
    bad = project("report", "--gate", "metrics.acc > 0.95", "--gate", "metrics.f1 > base.metrics.f1")
    assert bad.code == 1
    assert "the gate metrics.acc > 0.95 failed: metrics.acc = 0.9" in bad.err
    assert "| ❌ fails | `metrics.acc > 0.95`" in bad.out
    assert project("report", "--gate", "metrics.acc").code == 2
    document = project("report", "--json", "--gate", "metrics.acc > base.metrics.nope").json
    assert document["gates"][0]["passed"] is None


def test_without_runs_metrics_of_files_count(project: CommandLine):
    """A clone without runs has the files."""
    project("clone", "-q", "--no-runs", ".", "../plain")
    plain = CommandLine(project.directory.parent / "plain", project.environment)
    document = plain.ok("report", "--json", "origin/main..origin/better").json
    assert {m["name"]: m["new"] for m in document["metrics"]} == {"acc": 0.9, "val.loss": 0.5}
    assert document["runs"] == []


def test_a_page_in_a_file(project: CommandLine):
    answer = project.ok("report", "--title", "A|B", "--no-plots", "--no-lineage", "-o", "page.md")
    assert answer.out == ""
    page = (project.directory / "page.md").read_text()
    assert page.startswith("## A\\|B\n")
    assert "mermaid" not in page


def test_series_are_drawn(history):
    history.commit("first", {"a": "1\n"})
    history.write({"fit.py": FIT})
    subprocess.run([sys.executable, "fit.py"], cwd=history.cli.directory, env=history.cli.environment, check=True)
    history.commit("a model")
    page = history.cli.ok("report").out
    assert 'xychart-beta\n  title "loss"\n  x-axis "step" 0 --> 39' in page
    assert '"plotColorPalette": "#1f77b4, #ff7f0e, #2ca02c"' in page
    assert re.search(r"^Lines: [0-9a-f]{10}.* \(blue\)$", page, re.MULTILINE)
    points = re.search(r"  line \[(.*)\]", page)
    assert points
    assert len(points[1].split(", ")) == 30
    assert points[1].startswith("1, ")
