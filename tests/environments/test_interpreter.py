"""Which interpreter is meant, and what happens when it does not start."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from dsvc.environments import InterpreterError, find_interpreter, interpreter_of
from dsvc.environments.interpreter import ask
from tests.environments.wheels import make_venv


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}


def test_the_order_in_which_interpreters_are_looked_for(root, tmp_path, variables):
    assert find_interpreter(variables, root) == Path(shutil.which("python3"))
    conda = make_venv(tmp_path / "conda")
    assert find_interpreter({**variables, "CONDA_PREFIX": str(tmp_path / "conda")}, root) == conda
    here = make_venv(root / ".venv")
    assert find_interpreter({**variables, "CONDA_PREFIX": str(tmp_path / "conda")}, root) == here
    active = make_venv(tmp_path / "active")
    assert find_interpreter({**variables, "VIRTUAL_ENV": str(tmp_path / "active")}, root) == active
    named = find_interpreter({**variables, "VIRTUAL_ENV": str(active)}, root, python=str(tmp_path / "conda"))
    assert named == conda
    assert find_interpreter(variables, root, python=".venv", directory=root) == here
    assert find_interpreter(variables, root, python="python3") == Path(shutil.which("python3"))
    newest = tmp_path / "bin" / "python3.99"
    newest.parent.mkdir()
    newest.symlink_to(here)
    assert find_interpreter({"PATH": str(newest.parent)}, root, python="3.99") == newest


@pytest.mark.parametrize("name", ["no-such-python", "./no/such/python", "9.9"])
def test_an_interpreter_that_is_not_there(root, variables, name):
    with pytest.raises(InterpreterError, match="there is no"):
        find_interpreter(variables, root, python=name)


def test_no_interpreter_at_all(root, tmp_path):
    with pytest.raises(InterpreterError, match="there is no Python"):
        find_interpreter({"PATH": str(tmp_path)}, root)


def test_a_folder_that_is_no_virtual_environment(root, variables):
    with pytest.raises(InterpreterError, match="no virtual environment"):
        find_interpreter(variables, root, python=str(root))


def test_the_interpreter_of_a_program(root, tmp_path, variables):
    project = make_venv(root / ".venv")
    other = make_venv(tmp_path / "other")
    variables["PATH"] = f"{other.parent}{os.pathsep}{variables['PATH']}"
    assert interpreter_of("python", variables, root) == other
    assert interpreter_of(str(project), variables, root) == project
    assert interpreter_of("bash", variables, root) == project
    assert interpreter_of("no-such-program", variables, root) == project
    for number, line in enumerate([f"#!{other}", "#!/usr/bin/env python3", "#!/usr/bin/env -S python3 -I"]):
        script = tmp_path / f"script{number}"
        script.write_text(f"{line}\nprint()\n")
        script.chmod(0o755)
        assert interpreter_of(str(script), variables, root).parent == other.parent
    script.write_text("#!/bin/sh\n")
    assert interpreter_of(str(script), variables, root) == project


def test_what_an_interpreter_says_of_itself(variables):
    answer = ask(Path(sys.executable), variables)
    major, minor = sys.version_info[:2]
    assert answer.python.implementation == "cpython"
    assert answer.python.version.startswith(f"{major}.{minor}.")
    assert answer.python.tags[:2] == (f"cp{major}{minor}", f"cp{major}{minor}")
    assert answer.prefix == sys.prefix
    assert "" not in answer.path


def test_a_sitecustomize_that_prints_does_no_harm(tmp_path, variables):
    (tmp_path / "sitecustomize.py").write_text("print('{\"hello\"')\nimport atexit\natexit.register(print, '}')\n")
    answer = ask(Path(sys.executable), {**variables, "PYTHONPATH": str(tmp_path)})
    assert str(tmp_path) in answer.path


@pytest.mark.parametrize("minor", [8, 9, 10, 12, 13, 14])
def test_interpreters_of_other_versions(minor, variables):
    folders = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin"))
    program = shutil.which(f"python3.{minor}", path=os.pathsep.join(map(str, folders)) or None)
    if program is None or not folders:
        pytest.skip(f"there is no Python 3.{minor} here")
    answer = ask(Path(program), variables)
    assert answer.python.version.startswith(f"3.{minor}.")
    assert answer.python.tags[0] == f"cp3{minor}"
    assert answer.libc.startswith("glibc") or not sys.platform.startswith("linux")


def test_a_program_that_is_no_interpreter(tmp_path, variables):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'I am no Python' >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(InterpreterError, match="does not start: I am no Python"):
        ask(program, variables)
    program.write_text("#!/bin/sh\ntrue\n")
    with pytest.raises(InterpreterError, match="it ended with code 0"):
        ask(program, variables)


def test_a_file_that_cannot_be_executed(tmp_path, variables):
    program = tmp_path / "python"
    program.write_bytes(b"\x00\x01\x02")
    with pytest.raises(InterpreterError, match="Permission denied"):
        ask(program, variables)
    program.chmod(0o755)
    with pytest.raises(InterpreterError, match="Exec format error"):
        ask(program, variables)


def test_a_virtual_environment_whose_base_is_gone(root, variables):
    python = make_venv(root / ".venv")
    python.unlink()
    python.symlink_to(root / "gone" / "python3.9")
    assert find_interpreter(variables, root) == python
    with pytest.raises(InterpreterError) as caught:
        ask(python, variables)
    assert "links to" in caught.value.message
    assert "gone/python3.9, which is not there" in caught.value.message
    assert "dsvc env restore" in caught.value.hint


def test_an_answer_that_a_wrapper_cut_off(tmp_path, variables):
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\n"{sys.executable}" "$@" | head -c 60\n')
    program.chmod(0o755)
    with pytest.raises(InterpreterError, match="not that of a Python"):
        ask(program, variables)
