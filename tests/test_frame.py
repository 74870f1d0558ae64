"""The frame around the code: what every file of the project keeps to."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def project_files() -> list[Path]:
    """The files that belong to the project: what git knows or would take, else all that lie here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        found = [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    else:
        found = [ROOT / name for name in ("Makefile", "README.md", "pyproject.toml", "constraints.txt")]
        for folder in ("dsvc", "docs", "tests", "examples", ".ci"):
            found += (ROOT / folder).rglob("*")
    return [path for path in found if path.is_file() and not path.is_symlink()]


def texts() -> list[tuple[Path, str]]:
    """Each text file with its content."""
    found = []
    for path in project_files():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            found.append((path, content.decode("utf-8", "surrogateescape")))
    return found


MODULES = sorted((ROOT / "dsvc").rglob("*.py"))


def test_no_file_names_a_registry():
    hosts = re.compile(r"pypi[.]org|python[h]osted|index[-]url|anaconda[.](org|com)")  # does not match itself
    for path, text in texts():
        assert not hosts.search(text), f"{path.relative_to(ROOT)} names a registry: the machine's own settings decide"


def test_no_file_holds_a_path_of_one_machine():
    # /home/ada is the home folder of the pages.
    places = re.compile(r"(?<![\w.~}])[/](?:home[/](?!ada\b)\w|(?:Users|root|work)[/]\w|tmp[/]venv)")
    for path, text in texts():
        found = places.search(text)
        line = text.count("\n", 0, found.start()) + 1 if found else 0
        assert not found, f"{path.relative_to(ROOT)}:{line} holds {found[0]}"


def test_no_module_is_long():
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}, "split by idea"


def test_no_module_is_called_after_nothing():
    empty = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "tools"}
    assert [path for path in MODULES if path.stem in empty] == []


def test_every_module_says_what_it_is():
    for path in MODULES:
        text = ast.get_docstring(ast.parse(path.read_text()))
        assert text, f"{path.relative_to(ROOT)} has no docstring"
        first = text.splitlines()[0]
        assert first.endswith("."), f"{path.relative_to(ROOT)}: the first line is not a sentence: {first}"


def test_layers():
    # In a process without standard input, as in continuous integration.
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_constraints_are_versions_and_nothing_else():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0].lower())
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line


def test_constraints_hold_every_dependency():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in wanted}
    held = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names <= held


def test_the_demo_tells_its_story(tmp_path: Path):
    folder = tmp_path / "bicycles"
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        ["bash", ROOT / "examples" / "demo" / "demo.sh", folder],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "$ dsvc log --graph --oneline --all" in done.stdout
    assert "\x1b" not in done.stdout, "colours are for terminals"
    assert f"The project is in {folder}" in done.stdout
    assert "size," in (folder / "fit.py").read_text(), "the merge brought the change of train.py into fit.py"
    assert not (folder / "train.py").exists()


@pytest.mark.parametrize("script", [".ci/run", ".ci/packages", "examples/demo/demo.sh", "tests/tools/zfs-machine.sh"])
def test_scripts_can_be_run(script: str):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", path], check=True)
