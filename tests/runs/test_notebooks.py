"""`dsvc run NOTEBOOK`: what is executed, with which parameters, and what is kept of it."""

from __future__ import annotations

import importlib.util
import json
import textwrap

import pytest

from dsvc.errors import UsageError
from dsvc.runs.notebook import (
    BadNotebookError,
    call_words,
    cell_of_values,
    defaults,
    parse_call,
    read_notebook,
)
from tests.runs.conftest import files

needs_kernel = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("nbclient", "ipykernel")),
    reason="nbclient and ipykernel are not installed",
)


def notebook(*cells: str | tuple[str, str], language: str = "python") -> str:
    """A notebook of these cells; a pair is a tag and a cell."""
    made = []
    for number, cell in enumerate(cells):
        tag, source = cell if isinstance(cell, tuple) else ("", cell)
        made.append(
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "execution_count": None,
                "metadata": {"tags": [tag]} if tag else {},
                "outputs": [],
                "source": textwrap.dedent(source).strip().splitlines(keepends=True),
            }
        )
    kernel = {"name": "python3", "display_name": "Python", "language": language}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": made})


TRAIN = """
import dsvc
values = [float(word) for line in open("data.csv") for word in line.split(",")]
for step in range(epochs):
    dsvc.log(loss=rate / (step + 1), step=step)
dsvc.metric("sum", sum(values))
open("model.txt", "w").write(f"{rate} {name} {sum(values)}")
print("trained with", rate)
"""
BLOCK = """
print('[[DOTSCIENCE-RUN:7f]]{"version": "1", "summary": {"rows": "2"}, "input": ["data.csv"]}[[/DOTSCIENCE-RUN:7f]]')
{"shown": rate}
"""


@needs_kernel
def test_a_notebook_is_executed_with_parameters_and_kept(project):
    project.write("book.ipynb", notebook(("parameters", "rate = 0.1\nepochs: int = 2\nname = 'sgd'"), TRAIN, BLOCK))
    before = (project.folder / "book.ipynb").read_bytes()
    out = project.ok("run", "-p", "rate=0.5", "book.ipynb", "done.ipynb", "--name=adam")
    assert "trained with 0.5" in out
    assert "{'shown': 0.5}" in out
    run = project.shown()
    assert run["command"] == ["book.ipynb", "done.ipynb", "--name=adam", "--rate=0.5"]
    assert run["params"] == {"rate": 0.5, "epochs": 2, "name": "adam"}
    assert run["metrics"] == {"sum": 10.0, "rows": 2}  # by the API, and by a printed block
    assert [(series["name"], series["count"]) for series in run["series"]] == [("loss", 2)]
    assert {"book.ipynb": "pinned", "data.csv": "pinned"}.items() <= files(run["inputs"]).items()
    assert files(run["outputs"]) == {"model.txt": "pinned", "done.ipynb": "pinned"}
    assert run["metadata"]["notebook"] == {"path": "book.ipynb", "cells": 4, "executed": 4}
    assert (project.folder / "book.ipynb").read_bytes() == before
    kept = json.loads(project.ok("runs", "show", "--notebook"))
    assert kept == json.loads((project.folder / "done.ipynb").read_text())
    assert "".join(kept["cells"][1]["source"]) == "# Parameters\nname = 'adam'\nrate = 0.5"
    assert "".join(kept["cells"][2]["outputs"][0]["text"]) == "trained with 0.5\n"
    done = project("rerun", "model.txt", "--check")
    assert done.returncode == 0, done.stderr
    assert b"identical  done.ipynb" in done.stdout
    project.sound()


@needs_kernel
def test_a_run_that_a_kernel_records_by_itself_has_the_name_of_the_notebook(project):
    """What jupyter_server's session manager puts into the environment of a kernel says it."""
    project.write("book.ipynb", notebook("import dsvc\ndsvc.metric('a', 1)"))
    code = "import nbclient, nbformat; nbclient.execute(nbformat.read('book.ipynb', 4))"
    done = project.python(code, JPY_SESSION_NAME=str(project.folder / "book.ipynb"))
    assert done.returncode == 0, done.stderr
    (run,) = project.runs()
    assert (run["name"], run["metrics"]) == ("book.ipynb", {"a": 1})


@needs_kernel
def test_a_cell_that_fails_ends_the_run_and_is_named(project):
    secret = "hush-hush-1234"
    cells = [
        ("raises-exception", "int('x')"),
        f"import os\nopen('half.txt', 'w').write('1')\nprint({secret!r})",
        "raise KeyError('missing')",
        "open('never.txt', 'w')",
    ]
    project.write("folder/bad.ipynb", notebook(*cells))
    project.environment["MY_API_KEY"] = secret
    assert project("run", "folder/bad.ipynb").returncode == 1
    run = project.shown()
    assert (run["state"], run["exit_code"]) == ("failed", 1)
    assert run["error"].startswith("cell 3: KeyError: 'missing'\n")
    assert "\x1b" not in run["error"]
    assert run["metadata"]["notebook"] == {
        "path": "folder/bad.ipynb",
        "cells": 4,
        "executed": 3,
        "errors": [
            {"cell": 1, "name": "ValueError", "text": "invalid literal for int() with base 10: 'x'"},
            {"cell": 3, "name": "KeyError", "text": "'missing'"},
        ],
    }
    assert files(run["outputs"]) == {"folder/half.txt": "pinned"}  # it runs where the notebook lies
    kept = project.ok("runs", "show", "--notebook")
    assert secret not in kept.replace(f"print({secret!r})", "")
    assert "***" in kept
    project.sound()


def test_what_is_no_notebook_is_refused_before_anything_runs(project):
    project.write("broken.ipynb", "{")
    project.write("old.ipynb", '{"nbformat": 3, "worksheets": []}')
    project.write("r.ipynb", notebook("1", language="R"))
    for words, code, said in (
        (["none.ipynb"], 127, "there is no notebook none.ipynb"),
        (["broken.ipynb"], 125, "is no notebook"),
        (["old.ipynb"], 125, "nbformat 4"),
        (["r.ipynb", "--x=1"], 125, "is in r"),
        (["r.ipynb", "what"], 125, "is no value for the notebook"),
        (["r.ipynb", "a-b=1"], 125, "can be no name"),
    ):
        done = project("run", *words)
        assert (done.returncode, said in done.stderr.decode()) == (code, True), (words, done.stderr)
    assert project.runs() == []
    project.sound()


def test_calls_are_written_as_they_are_read():
    words = ["a.ipynb", "out.ipynb", "-p", "x=1", "y=a=b", "--flag", "--z", "[1, 2.5]", '--text="1"', "--w=nan.txt"]
    call = parse_call(words)
    assert (call.path, call.executed) == ("a.ipynb", "out.ipynb")
    assert call.values == {"x": 1, "y": "a=b", "flag": True, "z": (1, 2.5), "text": "1", "w": "nan.txt"}
    assert parse_call(call_words(call)) == call
    with pytest.raises(UsageError):
        parse_call(["a.ipynb", "class=1"])


def test_values_are_set_as_python_has_them():
    values = {"a": float("nan"), "b": (1, {"c": float("-inf")}), "d": 'say "so"', "e": None, "f": 10**30}
    cell = cell_of_values(values)
    found: dict[str, object] = {}
    exec(cell["source"], found)
    assert found["a"] != found["a"]
    assert found["b"] == [1, {"c": float("-inf")}]
    assert (found["d"], found["e"], found["f"]) == ('say "so"', None, 10**30)
    assert cell_of_values({}) is None


def test_defaults_are_plain_values_alone(tmp_path):
    path = tmp_path / "a.ipynb"
    source = "a = 1\nb: float = -2.5\nc = [1, 'x']\nd = open\ne = {'k': None}\nprint(a)\nf += 1"
    path.write_text(notebook("z = 1", ("parameters", source), ("parameters", "late = 1")))
    assert defaults(read_notebook(path)) == {"a": 1, "b": -2.5, "c": (1, "x"), "e": {"k": None}}
    path.write_text(notebook(("parameters", "%matplotlib inline\na = 1")))
    assert defaults(read_notebook(path)) == {}
    path.write_text('{"nbformat": 4, "cells": [1]}')
    with pytest.raises(BadNotebookError):
        read_notebook(path)
