"""Parameters keep their types, wherever they come from, and hostile ones do no harm."""

from __future__ import annotations

import math

import pytest

from dsvc.errors import UsageError
from dsvc.runs.params import (
    BadParamsError,
    overridden,
    params_of_words,
    parse_assignment,
    parse_value,
    read_params_file,
)
from dsvc.runs.values import is_finite


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-3", -3), ("+4", 4), ("0.1", 0.1), ("1e-3", 0.001), (".5", 0.5), ("5.", 5.0), ("true", True),
        ("False", False), ("null", None), ("None", None), ("007", "007"), ("1_000", "1_000"), ("1.2.3", "1.2.3"),
        ("", ""), ("text", "text"), ("[1, 2]", (1, 2)), ('{"a": {"b": null}}', {"a": {"b": None}}), ('"1"', "1"),
        ("[1", "[1"), ("inf", math.inf), ("-Infinity", -math.inf), (str(2**80), 2**80),
        ("\u0661", "\u0661"), ("0x10", "0x10"),
        ("9" * 5000, "9" * 5000), (" 1 ", 1), (" a ", " a "),
    ],
)  # fmt: skip
def test_values(text, value):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_nan():
    assert math.isnan(parse_value("nan"))


def test_what_can_be_reckoned_with():
    assert all(map(is_finite, (0, -2, 0.5, 2**80)))
    assert not any(map(is_finite, (True, math.nan, math.inf, 10**400, "1", None, (1,))))


def test_assignments():
    assert parse_assignment("a.b=1=2") == ("a.b", "1=2")
    for text in ("novalue", "=1"):
        with pytest.raises(UsageError):
            parse_assignment(text)


def test_words():
    line = "python train.py --lr 0.1 --name=x --flag --deep.layers 3 -v --last -- --not 1"
    words = line.split(" ")
    assert params_of_words(words) == {"lr": 0.1, "name": "x", "flag": True, "deep.layers": 3, "last": True}
    assert params_of_words(["prog", "--offset", "-3", "--"]) == {"offset": -3}
    assert params_of_words(["prog", "--fast", "-v", "--low", "-1e-3", "--from", "-"]) == {
        "fast": True, "low": -0.001, "from": "-",
    }  # fmt: skip


def test_a_dotted_name_takes_the_place_of_the_value_inside():
    file = {"model": {"depth": 3, "tree": {"leaves": 5}}, "lr": 0.1, "a.b": 1}
    assert overridden(file, {"model.depth": 5, "model.tree.leaves": 7, "a.b": 2, "model.new": 1}) == {
        "model": {"depth": 5, "tree": {"leaves": 7}}, "lr": 0.1, "a.b": 2, "model.new": 1,
    }  # fmt: skip
    assert overridden({"model.depth": 5, "model.x": 1}, {"model": {"depth": 4}}) == {"model": {"depth": 4}}
    assert file["model"] == {"depth": 3, "tree": {"leaves": 5}}


def test_each_parameter_is_told_once(project):
    project.write("params.yaml", "model:\n  depth: 3\n")
    project.ok("run", "-q", "--", "true", "--model.depth", "5")
    assert project.shown()["params"] == {"model": {"depth": 5}}
    assert project.ok("runs", "--where", "params.model.depth = 3", "--csv").count("\n") <= 1


def test_files(project):
    content = "lr: 1e-3\ntrain:\n  epochs: 10\n  on: yes\nnames: [a, b]\nday: 2026-01-31\n"
    project.write("params.yaml", content)
    run = project.run("-p", "lr=2", "--", "true", "--epochs", "5")
    assert run["params"] == {
        "lr": 2, "epochs": 5, "train": {"epochs": 10, "True": True}, "names": ["a", "b"], "day": "2026-01-31",
    }  # fmt: skip
    assert run["observation"]["params"] == "params.yaml"
    project.write("sub/params.json", '{"here": true, "nan": NaN}')
    project.ok("run", "-q", "--", "true", cwd=project.folder / "sub")
    assert project.shown()["params"] == {"here": True, "nan": "NaN"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("params.yaml", "a: [unclosed"),
        ("params.yaml", "- just\n- a list\n"),
        ("params.yaml", "!!python/object/apply:os.system ['touch hacked']"),
        ("params.json", "[" * 100_000),
        ("params.toml", "a = "),
        ("params.toml", b"\xff\xfe"),
        ("params.json", "x" * (2 << 20)),
    ],
)
def test_files_that_cannot_be_read(project, name, content):
    project.write(name, content)
    done = project("run", "-q", "--", "true")
    assert done.returncode == 0, done.stderr
    assert b"warning: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert not (project.folder / "hacked").exists()
    assert project.shown()["params"] == {}
    with pytest.raises(BadParamsError):
        read_params_file(project.folder / name)


def test_a_file_that_stands_for_billions(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = tmp_path / "params.yaml"
    path.write_text("\n".join(lines))
    assert len(repr(read_params_file(path))) < 1_000_000


def test_hostile_params(project):
    words = []
    for n in range(500):
        words += ["-p", f"name{n}={'x' * 1000}"]
    nested = "[" * 300 + "]" * 300
    words += ["-p", f"deep={nested}", "-p", "bytes=\udcff\udcfe", "-p", "\x1b[31mred=\x00".replace("\x00", "\x07")]
    done = project("run", "-q", *words, "--", "true")
    assert done.returncode == 0, done.stderr[-2000:]
    run = project.shown()
    assert len(run["params"]) == 503
    assert project("runs").returncode == 0
    assert "\x1b[31m" not in project.ok("runs", "show")
    project.sound()


def test_more_than_a_record_holds(project):
    done = project.python(
        "import dsvc\n"
        "run = dsvc.start_run('large')\n"
        "for n in range(12000): run.param(f'p{n}', 'x' * 3000)\n"
        "for n in range(12000): run.log({f'series {n}': n})\n"
    )
    assert done.returncode == 0, done.stderr
    run = project.shown()
    assert run["name"] == "large"
    assert "params" in run["observation"]["left_out"]
    assert run["observation"]["refused"] == 4000
    assert len(run["series"]) == 10_000
    project.sound()


def test_the_files_that_the_settings_name_are_named_in_the_record_and_read_once(project):
    project.ok("config", "run.metrics", "m.csv")
    project.write("make.sh", "mkdir -p sub; printf 'loss\\n1\\n2\\n' >m.csv\n")
    run = project.run("--metrics", "./m.csv", "--", "sh", "make.sh")
    assert run["observation"]["metrics"] == ["m.csv"]
    assert [(series["name"], series["count"]) for series in run["series"]] == [("loss", 2)]
    assert "Taken from:   metrics from m.csv\n" in project.ok("runs", "show")
