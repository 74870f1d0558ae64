"""`dsvc runs plot` and `dsvc runs export`."""

from __future__ import annotations

import csv
import math
import subprocess
import sys

import pytest

SCRIPT = """
import math, sys
import dsvc
rate, points = float(sys.argv[1]), int(sys.argv[2])
with dsvc.start_run(f"rate {rate}", params={"rate": rate, "layers": [1, 2], "big": 1 << 70}) as run:
    for step in range(points):
        run.log(loss=math.exp(-step * rate), step=step, word="x", odd=math.nan)
    if points > 600:
        run.log(loss=50.0, step=601)
    run.metric("acc", 1 - rate)
"""


@pytest.fixture
def project(history):
    history.commit("first", {"train.py": SCRIPT})
    for rate, points in (("0.1", 20), ("0.5", 20), ("0.25", 5000)):
        command = [sys.executable, "train.py", rate, str(points)]
        subprocess.run(command, cwd=history.cli.directory, env=history.cli.environment, check=True)
    return history.cli


def key(cli, rate):
    (run,) = cli.ok("runs", "list", "--json", "--where", f"params.rate = {rate}").json["runs"]
    return run["run"]


def charts(cli, *words):
    return cli.ok("runs", "plot", "--json", *words).json["charts"]


def test_series_of_several_runs(project):
    chart, odd = charts(project, key(project, 0.1), key(project, 0.5))
    assert (odd["title"], odd["lines"]) == ("odd", [])
    assert (chart["title"], chart["x_label"]) == ("loss", "step")
    assert [line["label"].partition(" ")[2] for line in chart["lines"]] == ["rate 0.1", "rate 0.5"]
    assert chart["lines"][0]["x"] == list(range(20))
    assert chart["lines"][1]["y"] == pytest.approx([math.exp(-step * 0.5) for step in range(20)])


def test_a_long_series_is_thinned_out_and_keeps_its_peak(project):
    (line,) = charts(project, key(project, 0.25))[0]["lines"]
    assert 100 < len(line["y"]) <= 1010
    assert max(line["y"]) == 50.0
    assert min(line["y"]) == math.exp(-4999 * 0.25)


def test_a_point_a_run(project):
    (chart,) = charts(project, "--x", "params.rate", "--y", "metrics.acc", "--where", "params.rate > 0.2")
    (line,) = chart["lines"]
    assert sorted(zip(line["x"], line["y"], strict=True)) == [(0.25, 0.75), (0.5, 0.5)]


def test_a_condition_chooses_the_lines(project):
    (chart,) = charts(project, "-s", "loss", "--where", "params.rate > 0.2")
    assert sorted(line["label"].partition(" ")[2] for line in chart["lines"]) == ["rate 0.25", "rate 0.5"]


def test_in_the_terminal(project):
    lines = project.ok("runs", "plot", key(project, 0.5), "-s", "loss").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "(loss)" in lines[0]
    assert "(step)" in lines[-3]
    assert lines[-1].endswith("rate 0.5")
    assert any("⡇" in line for line in lines)


def test_a_series_without_a_finite_value_says_so(project):
    code = "import dsvc\nfor i in range(3): dsvc.log(loss=float('nan'), gain=float('inf'), fine=i)"
    subprocess.run([sys.executable, "-c", code], cwd=project.directory, env=project.environment, check=True)
    (odd,) = project.ok("runs", "list", "--json", "--where", "metrics.fine = 2").json["runs"]  # all began at one moment
    run = odd["run"]
    assert [(chart["title"], len(chart["lines"])) for chart in charts(project, run)] == [
        ("fine", 1),
        ("gain", 0),
        ("loss", 0),
    ]
    lines = project.ok("runs", "plot", run).out.splitlines()
    assert {"(gain)  no finite value", "(loss)  no finite value"} <= set(lines)
    project.ok("runs", "plot", run, "--html", "page.html", "--png", "picture.png")
    assert (project.directory / "page.html").read_text().count("no finite value") == 2


def test_as_a_page_and_a_picture(project):
    both = (key(project, 0.1), key(project, 0.5))
    answer = project.ok("runs", "plot", *both, "--html", "page.html", "--png", "picture.png")
    assert (answer.out, answer.err) == ("", "Wrote page.html and picture.png\n")
    page = (project.directory / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 2
    assert "http-equiv" not in page
    assert 'src="' not in page
    assert (project.directory / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("-s", "nope"), "there are: loss", 3),
        (("-s", "word"), "there are: loss", 3),
        (("--x", "params.rate"), "belong together", 2),
        (("--x", "params.rate", "--y", "metrics.none"), "no run has numbers", 3),
        (("--where", "params.rate > 1"), "no run of these has a series", 3),
        (("@", "--where", "params.rate > 0"), "by --where or by their names", 2),
        (("loss",), "dsvc runs plot -s NAME", 3),
        (("@", "--x", "params.rate", "--y", "metrics.acc"), "without --x and --y", 2),
    ],
)
def test_what_cannot_be_drawn(project, words, said, code):
    answer = project("runs", "plot", *words)
    assert answer.code == code
    assert said in answer.err


def test_runs_as_csv(project):
    assert project.ok("runs", "export", "runs.csv").err == "3 rows in runs.csv\n"
    rows = list(csv.DictReader((project.directory / "runs.csv").open()))
    assert {row["params.rate"]: row["metrics.acc"] for row in rows} == {"0.25": "0.75", "0.5": "0.5", "0.1": "0.9"}
    assert rows[0]["params.layers"] == "[1, 2]"


def test_runs_as_parquet(project):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    project.ok("runs", "export", "-q", "runs.parquet", "--where", "params.rate < 0.5")
    table = parquet.read_table(project.directory / "runs.parquet").to_pydict()
    assert sorted(table["params.rate"]) == [0.1, 0.25]
    assert table["params.big"] == [str(1 << 70)] * 2
    assert table["exit_code"] == [None, None]
    assert set(table["run"]) == {key(project, 0.25), key(project, 0.1)}
    project.ok("runs", "export", "-q", "none.parquet", "--where", "params.rate > 7")
    assert parquet.read_table(project.directory / "none.parquet").num_rows == 0


@pytest.mark.parametrize("name", ["points.csv", "points.parquet"])
def test_points_of_series(project, name):
    project.ok("runs", "export", "--series", name)
    if name.endswith("csv"):
        rows = list(csv.DictReader((project.directory / name).open()))
        losses = [float(row["value"]) for row in rows if row["name"] == "loss"]
        words = {row["text"] for row in rows if row["name"] == "word"}
    else:
        parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
        rows = parquet.read_table(project.directory / name).to_pylist()
        losses = [row["value"] for row in rows if row["name"] == "loss"]
        words = {row["text"] for row in rows if row["name"] == "word"}
        assert {row["text"] for row in rows if row["name"] == "loss"} == {None}
    assert len(losses) == 20 + 20 + 5001
    assert losses.count(50.0) == 1
    assert words == {'"x"'}


def test_another_ending(project):
    answer = project("runs", "export", "runs.txt")
    assert answer.code == 2
    assert not list(project.directory.glob("runs*"))
