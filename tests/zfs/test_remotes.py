"""Snapshots on their way: as streams to a remote that knows nothing of ZFS, and back into a pool."""

from __future__ import annotations

from pathlib import Path

from tests.zfs.conftest import Project


def clone(project: Project, pool: str, name: str = "other") -> Project:
    """Clone what the project pushed to, with datasets that are to lie in another pool."""
    folder = project.folder.parent / name
    parent = f"{pool}/{project.dataset.partition('/')[2]}-{name}"
    project.pool.zfs("create", parent)
    said = project.pool.dsvc(project.folder.parent, "clone", "-q", str(project.folder.parent / "hub"), name)
    assert said.code == 0, said.err
    made = Project(project.pool, folder, parent)
    made.ok("config", "zfs.parent", parent)
    return made


def pushed(project: Project) -> Path:
    hub = project.folder.parent / "hub"
    project.ok("remote", "add", "-q", "origin", str(hub))
    project.ok("push", "-q")
    return hub


def test_a_clone_receives_what_was_pushed(project, far_pool):
    pushed(project)
    other = clone(project, far_pool)
    assert not other.data.exists()
    assert other.ok("status", "--json").json["clean"]
    said = other.ok("data", "get", "--json").json
    assert said["snapshots"] == 1
    assert [m["path"] for m in said["mounted"]] == ["data"]
    assert (other.data / "a").read_text() == "one\n"
    assert other.ok("status", "--json").json["clean"]


def test_an_increment_goes_there_and_a_pull_brings_it(project, far_pool):
    pushed(project)
    (project.data / "big").write_bytes(bytes(range(256)) * 4096)
    project.commit("second")
    project.ok("push", "-q")
    other = clone(project, far_pool)
    assert other.ok("data", "get", "--json").json["snapshots"] == 2
    (project.data / "a").write_text("three\n")
    project.commit("third")
    said = project.ok("push", "--json").json
    assert said["bytes"] < 100_000  # and not the megabyte again
    other.ok("pull", "-q")
    assert (other.data / "a").read_text() == "three\n"
    assert (other.data / "big").stat().st_size == 1 << 20
    (other.data / "a").write_text("from there\n")
    other.commit("fourth")
    other.ok("push", "-q")
    project.ok("pull", "-q")
    assert (project.data / "a").read_text() == "from there\n"
    assert project.ok("status", "--json").json["clean"]
