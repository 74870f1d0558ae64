"""The environment as people meet it: lock, show, diff, check, restore, export, and commits that name it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from tests.commands.conftest import CommandLine
from tests.environments.wheels import git, install, make_project, make_venv, make_wheel


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    make_wheel(folder, "left-pad", "1.0")
    make_wheel(folder, "rentals", "2.0", scripts=True)
    return folder


@pytest.fixture
def project(cli: CommandLine, wheels: Path) -> CommandLine:
    """A repository with a virtual environment in .venv; pip and uv look into the folder of wheels alone."""
    cli.environment |= {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    cli.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{cli.environment['PATH']}"
    cli.ok("init", "-q")
    install(make_venv(cli.directory / ".venv"), "--find-links", wheels, "left-pad", "rentals")
    return cli


def upgrade(cli: CommandLine, wheels: Path) -> None:
    make_wheel(wheels, "rentals", "2.1")
    install(cli.directory / ".venv" / "bin" / "python", "--find-links", wheels, "rentals==2.1")


def test_packages_with_cuda_are_named(project, wheels):
    make_wheel(wheels, "nvidia-cudnn-cu12", "9.1")
    install(project.directory / ".venv" / "bin" / "python", "--find-links", wheels, "nvidia-cudnn-cu12")
    project.ok("env", "lock", "--no-pylock")
    (line,) = [line for line in project.ok("env", "show").out.splitlines() if line.startswith("CUDA")]
    assert line.endswith("in packages nvidia-cudnn-cu12 9.1")


def test_lock_and_show(project):
    locked = project.ok("env", "lock")
    assert "2 distributions" in locked.err
    assert "Wrote" in locked.err
    digits = project.ok("env", "lock", "-q").out.strip()
    assert len(digits) == 64
    assert locked.out == f"environment {digits[:10]}\n"
    shown = project.ok("env", "show").out
    assert shown.startswith(f"environment {digits} (what was last locked here)\n")
    assert "  left-pad  1.0\n  rentals   2.0\n" in shown
    assert project.ok("env", "show", digits[:12]).out.splitlines()[1:] == shown.splitlines()[1:]
    described = project.ok("env", "show", "--json").json
    assert [one["name"] for one in described["distributions"]] == ["left-pad", "rentals"]


def test_dsvc_show_knows_environments(project):
    digits = project.ok("env", "lock", "-q", "--no-pylock").out.strip()
    assert project.ok("show", digits[:12]).out.splitlines()[1:] == project.ok("env", "show").out.splitlines()[1:]
    (described,) = project.ok("show", "--json", digits).json["objects"]
    assert (described["kind"], described["system"]["name"]) == ("environment", os.uname().sysname.lower())


def test_the_lock_file_is_one_that_others_read(project, wheels):
    project.ok("env", "lock")
    lock = Pylock.from_dict(tomllib.loads((project.directory / "pylock.toml").read_text()))
    assert [(one.name, str(one.version)) for one in lock.packages] == [("left-pad", "1.0"), ("rentals", "2.0")]
    assert lock.packages[0].wheels[0].path == str(wheels / "left_pad-1.0-py3-none-any.whl")


def test_what_a_lock_file_knows_is_not_asked_again(project, wheels):
    project.ok("env", "lock")
    before = (project.directory / "pylock.toml").read_bytes()
    for wheel in wheels.iterdir():
        wheel.unlink()
    project.ok("env", "lock", "--no-index")
    assert (project.directory / "pylock.toml").read_bytes() == before
    (project.directory / "pylock.toml").unlink()
    answer = project.ok("env", "lock", "--no-index")
    assert "no archive is known of left-pad 1.0, rentals 2.0" in answer.err


def test_a_lock_file_of_another_tool_is_left_alone(project):
    theirs = project.directory / "pylock.toml"
    theirs.write_text('lock-version = "1.0"\ncreated-by = "uv"\npackages = []\n')
    before = theirs.read_bytes()
    answer = project("env", "lock")
    assert answer.code == 3
    assert "was not written by dsvc" in answer.err
    assert theirs.read_bytes() == before
    assert project("env", "show").code == 3
    project.ok("env", "lock", "-o", "pylock.dsvc.toml")
    assert (project.directory / "pylock.dsvc.toml").exists()
    project.ok("env", "lock", "--no-pylock")
    assert theirs.read_bytes() == before


def test_locking_twice_is_one_operation_and_undo_takes_it_back(project):
    project.ok("env", "lock", "--no-pylock")
    project.ok("env", "lock", "--no-pylock")
    assert project.ok("op", "log").out.count("env lock:") == 1
    project.ok("undo")
    assert "no environment was recorded" in project("env", "show").err


def test_check(project, wheels):
    project.ok("env", "lock", "--no-pylock")
    assert project.ok("env", "check").out == ""
    upgrade(project, wheels)
    answer = project("env", "check")
    assert answer.code == 1
    assert answer.out == "~ rentals  2.0 -> 2.1\n"
    assert "1 difference from environment" in answer.err
    described = project("env", "check", "--json")
    assert described.code == 1
    assert (described.json["matches"], described.json["differences"][0]["subject"]) == (False, "rentals")


def test_check_of_another_virtual_environment(project, wheels, tmp_path):
    project.ok("env", "lock", "--no-pylock")
    install(make_venv(tmp_path / "other"), "--find-links", wheels, "left-pad")
    answer = project("env", "check", "--python", "../other")
    assert (answer.code, answer.out) == (1, "- rentals  2.0\n")


def test_what_is_not_counted_is_told(project):
    project.ok("env", "lock", "--no-pylock")
    project.environment["DSVC_CONTAINER_IMAGE"] = "train:1@sha256:" + "0" * 64
    answer = project.ok("env", "check")
    assert "Not counted:\n" in answer.out
    assert "train:1" in answer.out
    assert project("env", "check", "--strict").code == 1
    assert project.ok("env", "check", "-q").out == ""


def test_diff(project, wheels):
    first = project.ok("env", "lock", "-q", "--no-pylock").out.strip()
    assert project.ok("env", "diff", first).err == "They are the same\n"
    upgrade(project, wheels)
    second = project.ok("env", "lock", "-q", "--no-pylock").out.strip()
    assert project.ok("env", "diff", first, second).out == "Python\n  ~ rentals  2.0 -> 2.1\n"
    assert project.ok("env", "diff", first).out == "Python\n  ~ rentals  2.0 -> 2.1\n"
    (found,) = project.ok("env", "diff", "--json", second, first).json["differences"]
    assert (found["old"], found["new"], found["level"]) == ("2.1", "2.0", "packages")


def test_names_that_have_no_environment(project):
    assert project("env", "show").code == 3
    project.ok("commit", "-q", "-m", "first")
    answer = project("env", "show", "HEAD")
    assert answer.code == 3
    assert "HEAD was committed without an environment" in answer.err
    assert project("env", "show", "nothing").code == 3
    (project.directory / "a").write_text("a")
    project.ok("commit", "-q", "-m", "second")
    assert "has no environment" in project("env", "show", "HEAD:a").err


# Commits.


def commit(cli: CommandLine, message: str) -> dict[str, object]:
    (cli.directory / "notes.txt").write_text(message)
    return cli.ok("commit", "--json", "-m", message).json


def test_commits_name_their_environment_once_one_was_locked(project, wheels):
    assert commit(project, "before")["environment"] is None
    locked = project.ok("env", "lock", "-q").out.strip()
    assert commit(project, "one")["environment"] == locked
    upgrade(project, wheels)
    two = commit(project, "two")["environment"]
    assert two != locked
    assert project.ok("env", "show", "HEAD", "--json").json["environment"] == two
    assert project.ok("env", "diff", "HEAD~1", "HEAD").out == "Python\n  ~ rentals  2.0 -> 2.1\n"
    assert project.ok("env", "check").out == ""
    project.ok("fsck")


def test_a_run_names_the_environment_of_its_program(project, wheels, tmp_path):
    here = project.ok("env", "lock", "-q", "--no-pylock").out.strip()
    python = project.directory / ".venv" / "bin" / "python"
    project.ok("run", "--", str(python), "-c", "pass")
    (run,) = project.ok("runs", "--json").json["runs"]
    short = project.ok("runs", "--columns", "run").out.split()[-1]
    for name in (run["id"], run["run"], short):
        assert project.ok("env", "show", name, "--json").json["environment"] == here
    assert "fedcba9 is unknown" in project("env", "show", "fedcba9").err.replace("'", "")
    upgrade(project, wheels)
    assert project("env", "check", run["id"]).out == "~ rentals  2.0 -> 2.1\n"


def test_commit_environment_says_when(project):
    project.ok("config", "commit.environment", "always")
    assert commit(project, "one")["environment"] is not None
    project.ok("config", "commit.environment", "never")
    assert commit(project, "two")["environment"] is None


def test_a_broken_interpreter_does_not_stop_a_commit(project):
    project.ok("env", "lock", "-q", "--no-pylock")
    python = project.directory / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    (project.directory / "a").write_text("a")
    answer = project.ok("commit", "-q", "-m", "first")
    assert "the commit names no environment" in answer.err
    assert "/nowhere/python3" in answer.err
    assert project("env", "lock").code == 3


def test_an_environment_goes_where_its_commits_go(project, tmp_path, wheels):
    locked = project.ok("env", "lock", "-q").out.strip()
    commit(project, "one")
    project.ok("push", str(tmp_path / "hub"), "main")
    project.ok("clone", "-q", str(tmp_path / "hub"), str(tmp_path / "clone"))
    project.directory = tmp_path / "clone"
    assert project.ok("env", "show", "HEAD", "--json").json["environment"] == locked
    upgrade_free = make_venv(project.directory / ".venv")
    install(upgrade_free, "--find-links", wheels, "left-pad", "rentals")
    assert project.ok("env", "check").err.startswith(str(upgrade_free))
    project.ok("fsck")


def test_gc_keeps_what_is_locked(project):
    locked = project.ok("env", "lock", "-q", "--no-pylock").out.strip()
    project.ok("-c", "gc.graceDays=0", "gc")
    assert project.ok("env", "show", "--json").json["environment"] == locked


# Restoring: venv and pip as a person would use them, so these take seconds.


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_restore(project, wheels, tmp_path, installer):
    """pip is not among the recorded packages, so the new folder has none either."""
    project.ok("env", "lock", "--no-pylock")
    commit(project, "one")
    upgrade(project, wheels)
    answer = project.ok("env", "restore", "HEAD", "../again", "--installer", installer)
    assert "matches environment" in answer.err
    python = tmp_path / "again" / "bin" / "python"
    code = "import importlib.metadata as m; print(sorted((d.name, d.version) for d in m.distributions()))"
    said = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[('left-pad', '1.0'), ('rentals', '2.0')]\n"
    assert (tmp_path / "again" / "bin" / "rentals").exists()


def test_restore_of_packages_without_a_record_and_from_elsewhere(project, wheels, tmp_path):
    """What is seen over PYTHONPATH is installed as well, and versions are enough where files were not known."""
    make_wheel(wheels, "outside", "3.0")
    target = tmp_path / "target"
    install(project.directory / ".venv" / "bin" / "python", "--target", target, "--find-links", wheels, "outside")
    next((project.directory / ".venv").glob("lib/*/site-packages/rentals-2.0.dist-info/RECORD")).unlink()
    project.environment["PYTHONPATH"] = str(target)
    digits = project.ok("env", "lock", "-q", "--no-pylock").out.strip()
    restored = project.ok("env", "restore", digits, str(tmp_path / "made"))
    assert "rentals has its version; its files were not known" in restored.err
    code = "import importlib.metadata as m; print(m.version('rentals'), m.version('outside'))"
    said = subprocess.run([tmp_path / "made/bin/python", "-c", code], capture_output=True, text=True, check=False)
    assert said.stdout == "2.0 3.0\n", said.stderr


def test_restore_without_a_package_installs_the_others_and_says_so(project, wheels):
    project.ok("env", "lock", "--no-pylock")
    (wheels / "rentals-2.0-py3-none-any.whl").unlink()
    answer = project("env", "restore", project.ok("env", "lock", "-q", "--no-pylock").out.strip(), "../again",
                     "--installer", "uv")  # fmt: skip
    assert answer.code == 1
    assert answer.out == "- rentals  2.0\n"
    assert "rentals was not installed: " in answer.err
    described = project("env", "check", "--json", "--python", "../again").json
    assert [one["subject"] for one in described["differences"]] == ["rentals"]


def test_restore_says_that_it_leaves_conda_out(project):
    folder = project.directory / ".venv" / "conda-meta"
    folder.mkdir()
    record = {"name": "libfoo", "version": "1.3", "build": "0", "channel": "conda-forge", "subdir": "linux-64"}
    (folder / "libfoo-1.3-0.json").write_text(json.dumps(record))
    answer = project("env", "restore", project.ok("env", "lock", "-q", "--no-pylock").out.strip(), "../again")
    assert (answer.code, "- libfoo (conda)" in answer.out) == (1, True)
    assert "1 conda package not installed" in answer.err
    assert "--dockerfile" in answer.err


def test_restore_of_editable_and_local_packages(project, tmp_path):
    make_project(project.directory / "features", "features")
    outside = make_project(tmp_path / "outside", "outside")
    git(outside, "init", "-q")
    (outside / ".gitignore").write_text("__pycache__/\n")
    git(outside, "add", ".")
    git(outside, "commit", "-q", "-m", "first")
    python = project.directory / ".venv" / "bin" / "python"
    install(python, "-e", project.directory / "features", "-e", outside)
    locked = project.ok("env", "lock", "-q", "--no-pylock").out.strip()
    project.ok("env", "restore", locked, "../again", "--installer", "uv")
    git(outside, "commit", "-q", "--allow-empty", "-m", "second")
    answer = project("env", "restore", locked, "../third", "--installer", "uv")
    assert answer.code == 1
    assert "outside" in answer.out
    assert "features" not in answer.out


def test_restore_refuses_a_folder_with_something_in_it(project):
    locked = project.ok("env", "lock", "-q", "--no-pylock").out.strip()
    answer = project("env", "restore", locked)
    assert answer.code == 3
    assert ".venv is not empty" in answer.err


def test_restore_without_a_fitting_interpreter(project, tmp_path):
    folder = sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"))
    if not folder:
        pytest.skip("there is no Python 3.9 here")
    locked = project.ok("env", "lock", "-q", "--no-pylock", "--python", str(folder[0])).out.strip()
    project.environment["PATH"] = "/usr/bin:/bin"
    answer = project("env", "restore", locked, "../again")
    assert answer.code == 3
    assert "there is no cpython 3.9." in answer.err
    assert not (tmp_path / "again").exists()


# Exports.


def test_export(project):
    project.ok("env", "lock")
    assert project.ok("env", "export", "--requirements").out.splitlines()[3:] == ["left-pad==1.0", "rentals==2.0"]
    assert '"bomFormat": "CycloneDX"' in project.ok("env", "export", "--sbom").out
    assert "\nFROM own:1\n" in project.ok("env", "export", "--dockerfile", "--base", "own:1").out
    assert project.ok("env", "export", "--pylock").out == (project.directory / "pylock.toml").read_text()
    project.ok("env", "export", "--requirements", "-o", "requirements.txt")
    assert (project.directory / "requirements.txt").read_text().endswith("rentals==2.0\n")


def test_export_takes_one_form(project):
    project.ok("env", "lock", "--no-pylock")
    assert project("env", "export").code == 2
    assert project("env", "export", "--sbom", "--pylock").code == 2
