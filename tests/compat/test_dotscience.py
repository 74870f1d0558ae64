"""Programs written for Dotscience's library: printed blocks are read, and its calls are recorded here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dsvc.runs.dotscience import BadBlockError, Block, find_blocks
from tests.commands.conftest import CommandLine, cli

__all__ = ["cli"]

LIBRARY = "dotscience==0.8.7"

# What its first lines import and nothing here uses.
STUBS = {
    "requests.py": "",
    "joblib.py": "",
    "dotmesh/__init__.py": "",
    "dotmesh/client.py": "class DotmeshClient: pass\nclass DotName: pass\n",
}

# The calls of the library's own guide, with numbers that a computer has to find.
EXAMPLE = """
import csv
{imported}
ds.script()
ds.start()
rows = list(csv.reader(open(ds.input("input_file.csv"))))
factor = ds.parameter("factor", 3)
with open(ds.output("output_file.csv"), "w") as out:
    for row in rows:
        out.write(str(int(row[0]) * factor) + "\\n")
ds.add_labels("owner", "ada", kind="test")
ds.add_metric("f-score", 0.75)
ds.add_summaries("rows", len(rows), share=1)

class sklearn:
    __name__ = "sklearn"
    __version__ = "0.21.3"

with open("model.bin", "w") as model:
    model.write("weights")
ds.model(sklearn(), "iris", "model.bin")
ds.publish("Did some awesome data science!")
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Path:
    """The real library without what it depends on, in a folder for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("library")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), LIBRARY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{LIBRARY} cannot be installed here: {done.stderr.strip()[-300:]}")
    for name, text in STUBS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def project(cli: CommandLine) -> CommandLine:
    cli.ok("init", "-q")
    (cli.directory / "input_file.csv").write_text("1\n2\n")
    cli.ok("commit", "-q", "-m", "data")
    return cli


def example(project: CommandLine, imported: str) -> None:
    (project.directory / "work.py").write_text(EXAMPLE.format(imported=imported))


def run_with(project: CommandLine, *words: str, path: Path | None = None) -> list[dict]:
    """Run a command and return the runs that were recorded, the outer one first."""
    environment = {**project.environment, **({"PYTHONPATH": str(path)} if path else {})}
    CommandLine(project.directory, environment).ok("run", "-q", "--", *words)
    return runs_of(project)


def runs_of(project: CommandLine) -> list[dict]:
    listed = project.ok("runs", "list", "--json").json["runs"]
    return [project.ok("runs", "show", "--json", run["run"]).json for run in listed[::-1]]


def paths(pins: dict) -> list[str]:
    return [pin["path"] for pin in pins["files"]]


def check_example(run: dict) -> None:
    assert run["params"] == {"factor": 3}
    assert run["metrics"] == {"f-score": 0.75, "rows": 2, "share": 1}
    assert run["labels"] == {"owner": "ada", "kind": "test"}
    assert run["description"] == "Did some awesome data science!"
    assert "input_file.csv" in paths(run["inputs"])
    assert {"output_file.csv", "model.bin"} <= set(paths(run["outputs"]))


def test_the_real_library_prints_and_it_is_recorded(project, library):
    example(project, "import dotscience as ds")
    (run,) = run_with(project, sys.executable, "work.py", path=library)
    check_example(run)
    assert "[[DOTSCIENCE-RUN:" in project.ok("runs", "show", "--log").out
    project.ok("model", "add", "iris")
    model = project.ok("model", "show", "--json", "iris").json
    assert (model["path"], model["framework"], model["framework_version"]) == ("model.bin", "sklearn", "0.21.3")
    assert model["metrics"]["f-score"] == 0.75


def test_its_own_tests_pass_with_our_form_of_it(library, tmp_path):
    (tmp_path / "dotscience.py").write_text(
        "import sys\nimport dsvc.compat.dotscience as ours\nsys.modules['dotscience'] = ours\n"
    )
    (tmp_path / "conftest.py").write_text(  # a busy machine is no fault of the code
        "import hypothesis\nhypothesis.settings.register_profile('calm', deadline=None)\n"
        "hypothesis.settings.load_profile('calm')\n"
    )
    (tmp_path / "test_theirs.py").write_text((library / "dotscience" / "test_dotscience.py").read_text())
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:kmock", "-W", "ignore", "test_theirs.py"]
    # The one about the client of their server is not for us.
    command = [str(Path(sys.executable).parent / "pytest"), *options, "-k", "not reconnect_resets_internal_state"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "60 passed" in done.stdout


COMPARED = """
import inspect
import dotscience
import dsvc.compat.dotscience as ours

def names(function):
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]

def compare(theirs, ours, where):
    for name, value in vars(theirs).items():
        if name.startswith("_") or not inspect.isfunction(value) or name == "remove_prefix":
            continue
        mine = names(getattr(ours, name))
        assert mine[: len(names(value))] == names(value), (where, name, mine)

compare(dotscience, ours, "module")
compare(dotscience.Run, ours.Run, "Run")
# The methods of its class Dotscience have the same forms, but for a few names that were copied from one to the next.
"""


def test_each_call_takes_the_same_words(library):
    environment = {**os.environ, "PYTHONPATH": str(library)}
    command = [sys.executable, "-c", COMPARED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("inside", [False, True], ids=["by-itself", "in-a-run"])
def test_our_form_of_it_records_by_itself(project, inside):
    example(project, "import dsvc.compat.dotscience as ds")
    if inside:
        (run,) = run_with(project, sys.executable, "work.py")
    else:
        command = [sys.executable, "work.py"]
        done = subprocess.run(
            command, cwd=project.directory, env=project.environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("[[DOTSCIENCE-RUN:")
        assert done.stderr == ""
        (run,) = runs_of(project)
    check_example(run)
    project.ok("model", "add", "iris")
    assert project.ok("model", "show", "--json", "iris").json["framework"] == "sklearn"


def test_types_are_kept_and_no_result_leaks_into_the_next_run(project):
    (project.directory / "work.py").write_text(
        textwrap.dedent("""
            import dsvc.compat.dotscience as ds
            assert ds.metric("acc", 0.5) == 0.5
            assert ds.param("deep", {"a": [1, True]}) == {"a": [1, True]}
            ds.publish("one")
            assert ds.add_metric("loss", float("inf")) is None
            ds.error(ValueError("no"))
            ds.publish("two")
        """)
    )
    command = [sys.executable, "work.py"]
    done = subprocess.run(
        command, cwd=project.directory, env=project.environment, capture_output=True, text=True, check=True
    )
    one, two = sorted(runs_of(project), key=lambda run: run["description"])
    assert (one["metrics"], one["params"]) == ({"acc": 0.5}, {"deep": {"a": [1, True]}})
    assert (one["error"], one["description"]) == (None, "one")
    assert (two["error"], two["description"]) == ("no", "two")
    assert list(two["metrics"]) == ["loss"]
    blocks = done.stdout.split("]]{")
    assert json.loads("{" + blocks[2].partition("[[/")[0])["summary"] == {"acc": "0.5", "loss": "inf"}


def test_what_is_said_once_holds_for_all_that_follow_until_the_next_start(project):
    (project.directory / "work.py").write_text(
        textwrap.dedent("""
            import dsvc.compat.dotscience as ds
            ds.start()
            rate = ds.parameter("rate", 0.5)
            ds.label("owner", "ada")
            open(ds.input("input_file.csv")).read()
            for depth in (1, 2):
                ds.parameter("depth", depth)
                ds.metric(f"acc{depth}", depth / 4)
                with open(ds.output(f"out{depth}"), "w") as file:
                    file.write(str(depth))
                ds.publish(f"depth {depth}")
            ds.start()
            ds.metric("other", 1)
            ds.publish("another")
        """)
    )
    command = [sys.executable, "work.py"]
    done = subprocess.run(
        command, cwd=project.directory, env=project.environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    by_description = {run["description"]: run for run in runs_of(project)}
    one, two, three = (by_description[name] for name in ("depth 1", "depth 2", "another"))
    assert [one["params"], two["params"]] == [{"rate": 0.5, "depth": 1}, {"rate": 0.5, "depth": 2}]
    assert [one["metrics"], two["metrics"]] == [{"acc1": 0.25}, {"acc2": 0.5}]
    assert [paths(one["outputs"]), paths(two["outputs"])] == [["out1"], ["out2"]]
    assert "input_file.csv" in paths(one["inputs"])
    assert "input_file.csv" in paths(two["inputs"])
    assert one["labels"] == two["labels"] == {"owner": "ada"}
    assert "carried" not in one["metadata"]["dotscience"]
    assert two["metadata"]["dotscience"]["carried"] == ["input_file.csv", "owner", "rate"]
    assert (three["params"], three["labels"], paths(three["inputs"])) == ({}, {}, ["work.py"])


def test_outside_of_a_repository_it_prints_as_ever(tmp_path):
    code = "import dsvc.compat.dotscience as ds; ds.add_metric('a', 1); ds.publish()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert '"a": "1"' in done.stdout
    assert done.stderr == ""


def block(name: str, **fields: object) -> str:
    return f"[[DOTSCIENCE-RUN:{name}]]{json.dumps({'version': '1', **fields})}[[/DOTSCIENCE-RUN:{name}]]\n"


def test_several_blocks_of_any_program_are_runs_inside(project):
    text = block("a", summary={"acc": "0.5"}, output=["made"], description="first") + "noise\n"
    text += block("b", summary={"acc": "0.75"}, input=["input_file.csv"], start="20260131T110000.000000")
    (project.directory / "text").write_text(text)
    outer, *inner = run_with(project, "sh", "-c", "cat text; echo made >made")
    assert outer["metrics"] == {}
    assert [run["parent"] for run in inner] == [outer["run"]] * 2
    first, second = inner
    assert (second["metrics"], second["start"][:13]) == ({"acc": 0.75}, "2026-01-31T12")
    assert (first["description"], paths(first["outputs"])) == ("first", ["made"])
    assert paths(second["inputs"]) == ["input_file.csv"]
    assert first["source"] == outer["source"]
    project.ok("fsck", "-q")


def test_blocks_that_share_an_id_are_all_kept_unless_the_last_says_it_all(project):
    begun, done = {"summary": {"acc": "0.5"}}, {"summary": {"acc": "0.5", "loss": "2"}, "description": "done"}
    text = block("a", **begun) + block("a", **done) + block("a", **done)
    (project.directory / "text").write_text(text)
    answer = project.ok("run", "--", "cat", "text")
    (run,) = runs_of(project)
    assert (run["metrics"], "printed" in answer.err) == ({"acc": 0.5, "loss": 2}, False)
    text += block("a", summary={"acc": "0.75"}) + block("b")
    (project.directory / "text").write_text(text)
    answer = project.ok("run", "--", "cat", "text")
    assert "block a was printed 2 times, each time with something else" in answer.err
    inner = [run["metrics"] for run in runs_of(project) if run["parent"]]
    assert sorted(inner, key=len) == [{}, {"acc": 0.75}, {"acc": 0.5, "loss": 2}]
    project.ok("fsck", "-q")


HOSTILE = [
    "[[DOTSCIENCE-RUN:x]]{",
    "[[DOTSCIENCE-RUN:x]]{}[[/DOTSCIENCE-RUN:y]]",
    "[[DOTSCIENCE-RUN:x]]" + "[" * 100_000 + "[[/DOTSCIENCE-RUN:x]]",
    "[[DOTSCIENCE-RUN:x]]\0\x01\x02[[/DOTSCIENCE-RUN:x]]",
    block("x", input="no list"),
    block("x", input=["half \ud800 a character"]),
    block("x", output=["\ud800"]),
    block("x", summary=["no map"]),
    block("x", start="yesterday"),
    block("x").replace('"1"', '"2"'),
    "[[DOTSCIENCE-RUN:x]]" + " " * (2 << 20) + "{}[[/DOTSCIENCE-RUN:x]]",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_block_is_told_and_harms_nothing(project, text):
    (project.directory / "text").write_text(text + "\n" + block("good", summary={"acc": "0.5"}))
    answer = project.ok("run", "--", "sh", "-c", "cat text; exit 0")
    assert "could be read: block x" in answer.err
    (run,) = runs_of(project)
    assert (run["state"], run["metrics"]) == ("done", {"acc": 0.5})
    project.ok("fsck", "-q")


def test_paths_that_leave_the_project(project):
    text = block("x", input=["../../etc/passwd", "/etc/hostname", "gone"], output=["../outside"])
    (project.directory / "text").write_text(text)
    (run,) = run_with(project, "cat", "text")
    assert run["state"] == "done"
    assert not [pin for pin in run["outputs"]["files"] if pin["path"].startswith("..")]
    project.ok("fsck", "-q")


def test_a_nested_begin_is_part_of_the_text(tmp_path):
    inner = "[[DOTSCIENCE-RUN:inner]]"
    (tmp_path / "out").write_text(block("outer", description=inner))
    (found,) = find_blocks(tmp_path / "out")
    assert isinstance(found, Block)
    assert (found.id, found.description) == ("outer", inner)


def test_an_empty_output(tmp_path):
    (tmp_path / "out").write_bytes(b"")
    assert list(find_blocks(tmp_path / "out")) == []
    (tmp_path / "out").write_bytes(b"[[DOTSCIENCE-RUN:" * 3)
    assert list(find_blocks(tmp_path / "out")) == []
    (tmp_path / "out").write_bytes(b"[[DOTSCIENCE-RUN:a]]" * 20_000)
    assert len(found := list(find_blocks(tmp_path / "out"))) == 10_000
    assert all(isinstance(one, BadBlockError) for one in found)
