"""What is written for other tools is what those tools take."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.pylock import Pylock

from dsvc.environments import Distribution, Environment, Source, differences
from dsvc.environments.archives import Archive, find_archives
from dsvc.environments.dockerfile import dockerfile_text, not_in_image
from dsvc.environments.hashed_requirements import hashed_requirements
from dsvc.environments.pylock import known_archives, make_pylock
from dsvc.environments.requirements import requirements_text
from dsvc.environments.restoring import restore
from dsvc.environments.sbom import sbom_text
from tests.environments.wheels import git, install, make_project, make_venv, make_wheel
from tests.formats.environment_value import FULL, SMALL

DIGITS = "0123456789abcdef" * 4
UV = Path(sys.executable).with_name("uv")


@pytest.fixture
def mixed(tmp_path: Path, wheels: Path) -> Path:
    """An interpreter with packages from a folder of wheels, a path, a commit, a folder, and an editable one."""
    python = make_venv(tmp_path / "venv")
    install(python, "--find-links", wheels, "left-pad", "rentals")
    install(python, make_wheel(tmp_path / "direct", "direct", "0.5"))
    project = make_project(tmp_path / "features", "features")
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "first")
    install(python, f"git+file://{project}#egg=features", pip=True)
    install(python, "-e", make_project(tmp_path / "bikes", "bikes"))
    return python


def variables(tmp_path: Path, wheels: Path, *, uv: bool = False) -> dict[str, str]:
    path = f"{UV.parent}{os.pathsep}/usr/bin:/bin" if uv else "/usr/bin:/bin"
    return {"PATH": path, "HOME": str(tmp_path), "PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"}


def pip_of_the_tests(tmp_path: Path, python: Path) -> Path:
    """A stand-in for pip in the virtual environment: that of the tests, on its behalf."""
    wrapper = tmp_path / "python-with-pip"
    wrapper.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" -m pip --python "{python}" "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def lock_file(environment: Environment, archives: dict[str, tuple[Archive, ...]], folder: Path) -> Pylock:
    found = make_pylock(environment, archives, DIGITS, str(folder))
    return Pylock.from_dict(tomllib.loads(found.text))


@pytest.mark.parametrize("uv", [False, True], ids=["pip", "uv"])
def test_archives_are_found_where_pip_is_told_to_look(locked, python, tmp_path, wheels, uv):
    install(python, "--reinstall", "--find-links", wheels, "left-pad", "rentals")
    environment = locked(python).environment
    interpreter = python if uv else pip_of_the_tests(tmp_path, python)
    made = variables(tmp_path, wheels, uv=uv)
    found = find_archives(environment.distributions, interpreter=interpreter, variables=made)
    assert {name: [archive.name for archive in archives] for name, archives in found.items()} == {
        "left-pad": ["Left_Pad-1.0-py3-none-any.whl"],
        "rentals": ["rentals-2.0-py3-none-any.whl"],
    }
    assert all(list(archives[0].hashes) == ["sha256"] for archives in found.values())


def test_those_that_cannot_be_found_do_not_hide_the_others(locked, python, tmp_path, wheels):
    install(python, "--reinstall", "--find-links", wheels, "left-pad", "rentals")
    (wheels / "rentals-2.0-py3-none-any.whl").unlink()
    distributions = locked(python).environment.distributions
    made = variables(tmp_path, wheels)
    found = find_archives(distributions, interpreter=pip_of_the_tests(tmp_path, python), variables=made)
    assert list(found) == ["left-pad"]
    assert find_archives(distributions, interpreter=tmp_path / "none", variables=made) == {}


def test_a_lock_file_of_every_kind_of_source(locked, mixed, tmp_path, wheels):
    environment = locked(mixed, root=tmp_path / "bikes").environment
    archives = find_archives(
        environment.distributions,
        interpreter=pip_of_the_tests(tmp_path, mixed),
        variables=variables(tmp_path, wheels),
    )
    lock = lock_file(environment, archives, tmp_path / "bikes")
    packages = {package.name: package for package in lock.packages}
    assert sorted(packages) == ["bikes", "direct", "features", "left-pad", "rentals"]
    assert (packages["bikes"].directory.path, packages["bikes"].directory.editable) == (".", True)
    assert packages["direct"].archive.path == str(tmp_path / "direct" / "direct-0.5-py3-none-any.whl")
    assert packages["features"].vcs.commit_id == git(tmp_path / "features", "rev-parse", "HEAD")
    assert str(packages["rentals"].version) == "2.0"
    assert packages["rentals"].dependencies == [{"name": "left-pad"}]
    assert packages["rentals"].wheels[0].filename == "rentals-2.0-py3-none-any.whl"
    assert lock.requires_python.contains(environment.python.version)
    assert [marker.evaluate() for marker in lock.environments] == [True]


def test_uv_installs_from_the_lock_file(locked, python, tmp_path, wheels):
    install(python, "--reinstall", "--find-links", wheels, "left-pad", "rentals")
    environment = locked(python).environment
    made = variables(tmp_path, wheels, uv=True)
    archives = find_archives(environment.distributions, interpreter=python, variables=made)
    file = tmp_path / "pylock.toml"
    file.write_text(make_pylock(environment, archives, DIGITS, str(tmp_path)).text)
    other = make_venv(tmp_path / "other")
    install(other, "-r", file)
    again = locked(other).environment
    assert [one.contents for one in again.distributions] == [one.contents for one in environment.distributions]


def test_what_no_archive_is_known_of_is_left_out_and_named():
    found = make_pylock(FULL, {}, DIGITS, "/srv")
    fields = tomllib.loads(found.text)
    assert [one.name for one in found.unlocked] == ["numpy"]
    assert fields["tool"]["dsvc"]["unlocked"] == ["numpy==2.2.3"]
    assert [package.name for package in Pylock.from_dict(fields).packages] == ["features", "model", "six", "tools"]
    empty = make_pylock(SMALL, {}, DIGITS, "/srv").text
    assert Pylock.from_dict(tomllib.loads(empty)).packages == []


def test_a_lock_file_tells_the_next_one_what_it_knows():
    name = "six-1.17.0-py3-none-any.whl"
    archive = Archive(name, {"sha256": "a" * 64}, path=f"/srv/wheels/{name}")
    text = make_pylock(SMALL, {"six": (archive,)}, DIGITS, "/srv").text
    assert 'path = "wheels/six-1.17.0-py3-none-any.whl"' in text
    assert known_archives(text, SMALL, "/srv") == {"six": (archive,)}
    assert known_archives(text, FULL, "/srv") == {}  # there it is another source
    assert known_archives(text.replace('"dsvc"', '"uv"'), SMALL, "/srv") is None
    assert known_archives("not toml", SMALL, "/srv") is None


def test_requirements_make_the_same_again(locked, mixed, tmp_path, wheels):
    root = tmp_path / "bikes"
    environment = locked(mixed, root=root).environment
    text = requirements_text(environment, DIGITS)
    assert re.findall(r"^[a-z].*==.*$", text, re.MULTILINE) == ["left-pad==1.0", "rentals==2.0"]
    (root / "requirements.txt").write_text(text)
    other = make_venv(tmp_path / "other")
    command = [sys.executable, "-m", "pip", "--python", str(other), "install", "-q", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--find-links", str(wheels), "-r", "requirements.txt"]
    subprocess.run(command, cwd=root, check=True)
    found = differences(environment, locked(other, root=root).environment)
    assert [one for one in found if one.level == "packages"] == []


def test_requirements_with_digests_are_taken_by_pip(locked, mixed, tmp_path, wheels):
    root = tmp_path / "bikes"
    environment = locked(mixed, root=root).environment
    pip = pip_of_the_tests(tmp_path, mixed)
    archives = find_archives(environment.distributions, interpreter=pip, variables=variables(tmp_path, wheels))
    text, left = hashed_requirements(environment, DIGITS, archives)
    assert re.findall(r"^[a-z].*==.*\\$", text, re.MULTILINE) == ["left-pad==1.0 \\", "rentals==2.0 \\"]
    assert {one.name for one in left} >= {"bikes", "features"}, "folders and commits have no digest"
    (root / "requirements.txt").write_text(text)
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--no-index"]
    command += ["--require-hashes", "--find-links", str(wheels), "-r", "requirements.txt"]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Would install .*left.pad-1.0 rentals-2.0", done.stdout, re.IGNORECASE)


@pytest.mark.parametrize(
    "hostile",
    [
        Distribution("--find-links=evil", "1.0"),
        Distribution("six\nRUN evil", "1.0"),
        Distribution("six", "1.0\n--find-links=evil"),
        Distribution("six", "1.0", source=Source("vcs", vcs="git", url="ssh://x\nevil", commit="0" * 40)),
        Distribution("six", "1.0", source=Source("editable", path="-r evil")),
    ],
)
def test_what_somebody_else_made_up_is_no_option_and_no_line(hostile, tmp_path):
    environment = replace(SMALL, distributions=(hostile,), variables={"A B": "x", "C": "1\nRUN evil"})
    assert requirements_text(environment, DIGITS).splitlines()[3:] == []
    text = dockerfile_text(environment, DIGITS)
    assert not re.search(r"^\s*(RUN |-|.*evil.*pip)", text, re.MULTILINE)
    for line in text.splitlines():
        assert re.match(r"(#|FROM |ENV C=|WORKDIR |$)", line), line
    assert tomllib.loads(make_pylock(environment, {}, DIGITS, "/srv").text)["created-by"] == "dsvc"
    python = make_venv(tmp_path / "venv")
    assert find_archives([hostile], interpreter=python, variables=variables(tmp_path, tmp_path)) == {}
    made = variables(tmp_path, tmp_path, uv=True)
    base = Path(sys.executable).resolve()
    (failed,) = restore(
        environment, tmp_path / "again", base=base, variables=made, root=tmp_path, installer="uv"
    )
    assert failed.name == hostile.name


def test_the_lines_of_a_dockerfile(tmp_path):
    text = dockerfile_text(FULL, DIGITS)
    assert "\nFROM example.org/train:1@sha256:" + "99" * 32 + "\n" in text
    assert "libgomp1" in text
    assert "zlib1g" not in text  # the interpreter's own
    assert 'ENV OMP_NUM_THREADS="4"' in text
    assert "API_TOKEN" not in text
    assert dockerfile_text(SMALL, DIGITS).splitlines()[1] == "FROM python:3.12.1-slim"
    assert dockerfile_text(FULL, DIGITS, base="own:1").splitlines()[1] == "FROM own:1"
    for line in text.replace("\\\n", " ").splitlines():
        assert re.match(r"(#|FROM |RUN |ENV |WORKDIR |COPY |$)", line), line


def test_an_image_has_no_folders_of_a_machine(tmp_path):
    (tmp_path / "there").mkdir()
    url = (tmp_path / "there").as_uri()
    at_remote = Source("editable", url=url, vcs="git", commit="c" * 40, remote="https://example.org/lib.git")
    sources = {"mine": Source("editable", url=url), "theirs": at_remote, "plain": None}
    found = tuple(Distribution(name, "1.0", source=source) for name, source in sources.items())
    environment = replace(SMALL, distributions=found)
    assert [one.name for one in not_in_image(environment)] == ["mine"]
    text = dockerfile_text(environment, DIGITS)
    assert str(tmp_path) not in text
    assert "# Not in this image: mine, " in text
    assert text.index("install -y --no-install-recommends git ") < text.index("git+https://example.org/lib.git@")


def test_what_a_dockerfile_runs_installs_the_same(locked, python, tmp_path, wheels):
    install(python, "--reinstall", "--find-links", wheels, "left-pad", "rentals")
    environment = locked(python).environment
    text = dockerfile_text(environment, DIGITS).replace("\\\n", " ")
    (line,) = re.findall(r"^RUN (python -m pip .*)$", text, re.MULTILINE)
    other = make_venv(tmp_path / "other")
    words = shlex.split(line)
    command = [sys.executable, "-m", "pip", "--python", str(other), *words[3:]]
    made = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    subprocess.run(command, env=made, check=True, capture_output=True)
    again = locked(other).environment
    assert [one.contents for one in again.distributions] == [one.contents for one in environment.distributions]


@pytest.mark.parametrize("environment", [SMALL, FULL], ids=["small", "full"])
def test_a_bill_of_materials_is_valid_by_the_official_schema(environment):
    text = sbom_text(environment, DIGITS, version="1.0")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text == sbom_text(environment, DIGITS, version="1.0")


def test_a_bill_of_materials_of_a_real_environment(locked, mixed, tmp_path):
    environment = locked(mixed, root=tmp_path / "bikes").environment
    text = sbom_text(environment, DIGITS, version="1.0")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert '"purl": "pkg:pypi/rentals@2.0"' in text
    assert '"expression": "MIT"' in text
    this = locked(Path(sys.executable)).environment  # some fifty packages
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom_text(this, DIGITS, version="1.0")) is None
