"""What is installed is recorded: wheels, sdists, local folders, editable ones, commits of git; and what is damaged."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from dsvc.environments import Environment, Source, differences
from dsvc.objects.ids import content_id
from tests.environments.wheels import git, install, make_project, make_venv, make_wheel


def site(python: Path) -> Path:
    return python.parent.parent / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def names(environment: Environment) -> dict[str, str]:
    return {one.name: one.version for one in environment.distributions}


def test_distributions_have_normalized_names_and_what_stands_for_their_files(locked, python):
    environment = locked(python).environment
    assert names(environment) == {"left-pad": "1.0", "rentals": "2.0"}
    pad, rentals = environment.distributions
    assert (pad.installer, pad.wheel, pad.license) == ("uv", ("py3-none-any",), "MIT")
    assert rentals.requires == ("left-pad",)
    rows = [
        row
        for row in (site(python) / "rentals-2.0.dist-info" / "RECORD").read_text().splitlines()
        if row.startswith(("rentals.py", "rentals-2.0.dist-info/METADATA", "rentals-2.0.dist-info/WHEEL"))
    ]
    lines = sorted(row.rpartition(",")[0] + "\n" for row in rows)
    assert rentals.contents == content_id("".join(lines).encode())


def test_the_same_wheels_in_another_place_are_the_same(locked, python, wheels, tmp_path):
    scripts = make_wheel(wheels, "tool", "1.0", scripts=True)
    other = make_venv(tmp_path / "elsewhere" / "deeper")
    install(python, scripts)
    install(other, *sorted(wheels.iterdir()), pip=True)
    first, second = locked(python).environment, locked(other).environment
    assert [one.contents for one in first.distributions] == [one.contents for one in second.distributions]
    assert not [one for one in differences(first, second) if one.level == "packages"]


def test_a_wheel_of_the_same_version_with_another_module_differs(locked, python, tmp_path):
    before = locked(python).environment
    install(python, "--force-reinstall", make_wheel(tmp_path / "again", "rentals", "2.0", {"rentals.py": "patched\n"}))
    after = locked(python).environment
    (found,) = differences(before, after)
    assert (found.subject, found.what, found.level) == ("rentals", "files", "packages")
    assert found.old != found.new


def test_an_archive_by_its_path(locked, tmp_path):
    python = make_venv(tmp_path / "venv")
    wheel = make_wheel(tmp_path / "with blank", "rentals", "2.0")
    install(python, wheel, pip=True)
    (one,) = locked(python).environment.distributions
    assert one.source == Source("archive", url=one.source.url, hashes=one.source.hashes)
    assert one.source.url == wheel.as_uri()
    assert list(one.source.hashes) == ["sha256"]


def test_a_commit_of_a_git_repository(locked, tmp_path):
    project = make_project(tmp_path / "project", "features")
    git(project, "init", "-q", "-b", "main")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "first")
    commit = git(project, "rev-parse", "HEAD")
    python = make_venv(tmp_path / "venv")
    install(python, f"git+file://{project}@main#egg=features", pip=True)
    (one,) = locked(python).environment.distributions
    assert one.source == Source("vcs", url=f"file://{project}", vcs="git", requested="main", commit=commit)
    assert one.contents is not None


@pytest.fixture
def editable(tmp_path: Path) -> tuple[Path, Path]:
    """A git repository and an interpreter for which it is installed editable."""
    project = make_project(tmp_path / "features", "features")
    git(project, "init", "-q")
    git(project, "remote", "add", "origin", "https://ada:secret@example.org/features")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "first")
    python = make_venv(tmp_path / "venv")
    install(python, "-e", project, pip=True)
    return project, python


def test_an_editable_installation_has_the_commit_of_its_repository(locked, editable):
    project, python = editable
    (project / ".gitignore").write_text("__pycache__/\n")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "ignore")
    (one,) = locked(python).environment.distributions
    assert one.contents is None
    assert one.source == Source(
        "editable",
        url=project.as_uri(),
        vcs="git",
        commit=git(project, "rev-parse", "HEAD"),
        remote="https://example.org/features",
    )


def test_changes_of_an_editable_installation_are_seen_at_once_and_kept_as_a_patch(locked, editable, store):
    project, python = editable
    clean = locked(python)
    (project / "src" / "features.py").write_text("VERSION = 'changed'\n")
    changed = locked(python)
    assert clean.environment_id != changed.environment_id
    (one,) = changed.environment.distributions
    assert one.source.changed
    assert b"+VERSION = 'changed'" in store.read_file(one.source.patch)
    assert [one.what for one in differences(clean.environment, changed.environment)] == ["files"]
    git(project, "commit", "-qam", "second")
    assert locked(python).environment.distributions[0].source.commit == git(project, "rev-parse", "HEAD")


def test_files_that_git_does_not_track_are_told(locked, editable):
    project, python = editable
    for leftover in ("src/__pycache__/more.pyc", "src/features.egg-info/PKG-INFO"):  # of an installation
        (project / leftover).parent.mkdir(exist_ok=True)
        (project / leftover).write_text("")
    assert not locked(python).environment.distributions[0].source.changed
    (project / "src" / "more.py").write_text("")
    environment = locked(python).environment
    assert environment.distributions[0].source.changed
    assert any("does not track" in note for note in environment.notes)


def test_an_editable_installation_without_a_repository_is_told(locked, tmp_path):
    python = make_venv(tmp_path / "venv")
    install(python, "-e", make_project(tmp_path / "features", "features"))
    environment = locked(python).environment
    assert environment.distributions[0].source == Source("editable", url=(tmp_path / "features").as_uri())
    assert environment.notes == (
        "features is used from a folder that is in no git repository, so its state is not known",
    )


def test_what_lies_in_the_working_copy_is_named_by_its_path(locked, tmp_path):
    root = tmp_path / "bikes"
    make_project(root / "libs" / "features", "features")
    python = make_venv(root / ".venv")
    install(python, "-e", root / "libs" / "features")
    first = locked(python, root=root)
    assert first.environment.distributions[0].source == Source("editable", path="libs/features")
    shutil.move(root, tmp_path / "moved")
    root, python = tmp_path / "moved", tmp_path / "moved" / ".venv" / "bin" / "python"
    install(python, "--force-reinstall", "-e", root / "libs" / "features")
    assert locked(python, root=root).environment_id == first.environment_id


def test_an_old_installation_from_a_source_tree(locked, tmp_path):
    python, tree = make_venv(tmp_path / "venv"), tmp_path / "tree"
    (tree / "old.egg-info").mkdir(parents=True)
    (tree / "old.egg-info" / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 0.1\n")
    (site(python) / "easy-install.pth").write_text(f"{tree}\n")
    (site(python) / "old.egg-link").write_text(f"{tree}\n.\n")
    (one,) = locked(python).environment.distributions
    assert (one.name, one.version, one.source) == ("old", "0.1", Source("editable", url=tree.as_uri()))


def test_the_first_folder_on_the_path_wins(locked, python, tmp_path):
    other = make_venv(tmp_path / "other")
    install(other, make_wheel(tmp_path / "newer", "rentals", "3.0"))
    environment = locked(python, variables={"PYTHONPATH": str(site(other))}).environment
    assert names(environment) == {"left-pad": "1.0", "rentals": "3.0"}


# Damaged installations.


def test_a_broken_record(locked, python):
    record = site(python) / "rentals-2.0.dist-info" / "RECORD"
    record.write_bytes(record.read_bytes() + b'"unfinished,sha256=x\nonly\n\xff\xfe,sha256=y,1\n')
    environment = locked(python, fresh=True).environment
    assert environment.notes == ("rentals-2.0.dist-info/RECORD has lines that are not of its form",)
    assert environment.distribution("rentals").contents is not None


def test_a_missing_record(locked, python):
    (site(python) / "rentals-2.0.dist-info" / "RECORD").unlink()
    environment = locked(python, fresh=True).environment
    assert environment.notes == ("rentals-2.0.dist-info has no RECORD, so its files are not known",)
    assert environment.distribution("rentals").contents is None


def test_missing_metadata(locked, python):
    (site(python) / "rentals-2.0.dist-info" / "METADATA").unlink()
    environment = locked(python, fresh=True).environment
    assert environment.notes == ("rentals-2.0.dist-info has no metadata: name and version are those of the folder",)
    assert names(environment) == {"left-pad": "1.0", "rentals": "2.0"}


def test_metadata_that_is_not_utf_8(locked, python):
    path = site(python) / "rentals-2.0.dist-info" / "METADATA"
    path.write_bytes(b"Name: rentals\nVersion: 2.0\nAuthor: J\xfcrgen\n\n\xff")
    assert locked(python, fresh=True).environment.notes == ()
    path.write_bytes(b"Name: rent\xe4ls\nVersion: 2.0\n")
    environment = locked(python, fresh=True).environment
    assert environment.notes == ("rentals-2.0.dist-info: its name or version is not UTF-8",)


def test_a_folder_whose_name_is_not_utf_8(locked, python):
    os.mkdir(os.fsencode(site(python)) + b"/b\xff-1.0.dist-info")
    environment = locked(python, fresh=True).environment
    assert "b\ufffd" in names(environment)
    assert len(environment.notes) == 2


def test_two_versions_in_one_folder(locked, python):
    info = site(python) / "rentals-2.0.dist-info"
    shutil.copytree(info, site(python) / "rentals-1.9.dist-info")
    metadata = site(python) / "rentals-1.9.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("2.0", "1.9"))
    environment = locked(python, fresh=True).environment
    assert [one.version for one in environment.distributions] == ["1.0", "1.9", "2.0"]
    assert environment.notes == ("rentals is installed twice in one folder: 1.9 and 2.0",)


def test_leftovers_of_pip(locked, python):
    shutil.copytree(site(python) / "rentals-2.0.dist-info", site(python) / "~entals-2.0.dist-info")
    environment = locked(python, fresh=True).environment
    assert names(environment) == {"left-pad": "1.0", "rentals": "2.0"}
    assert environment.notes == ("~entals-2.0.dist-info was left behind by an installation that was broken off",)


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"url": 3, "dir_info": {}}', b'{"url": "file:///x"}', b"\xff"])
def test_a_damaged_direct_url(locked, python, data):
    (site(python) / "rentals-2.0.dist-info" / "direct_url.json").write_bytes(data)
    environment = locked(python, fresh=True).environment
    assert environment.distribution("rentals").source is None
    assert len(environment.notes) == 1
    assert "direct_url.json cannot be used" in environment.notes[0]


def test_no_password_of_a_direct_url_is_recorded(locked, python):
    (site(python) / "rentals-2.0.dist-info" / "direct_url.json").write_text(
        '{"url": "https://ada:hunter2@example.org/r.whl?access_token=hunter2#x", "archive_info": {"hash": "sha256=00"}}'
    )
    source = locked(python, fresh=True).environment.distribution("rentals").source
    assert source.url == "https://example.org/r.whl?access_token=***#x"
    assert source.hashes == {"sha256": "00"}
