"""Snapshots on their way: as streams to a remote that knows nothing of ZFS, and back into a pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import cli
from tests.hub.conftest import host, hub_server
from tests.zfs.conftest import Project

__all__ = ["cli", "host", "hub_server"]


@pytest.fixture
def environment(pool) -> Iterator[dict[str, str]]:
    """What commands beside the pool see, which is as before when the test is over."""
    before = dict(pool.environment)
    yield pool.environment
    pool.environment.clear()
    pool.environment.update(before)


def clone(project: Project, pool: str, name: str = "other", address: str | None = None) -> Project:
    """Clone what the project pushed to, with datasets that are to lie in another pool."""
    folder = project.folder.parent / name
    parent = f"{pool}/{project.dataset.partition('/')[2]}-{name}"
    project.pool.zfs("create", parent)
    address = address or str(project.folder.parent / "hub")
    said = project.pool.dsvc(project.folder.parent, "clone", "-q", address, name)
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


def test_a_clone_receives_at_once_where_a_pool_is_configured(project, far_pool):
    hub = pushed(project)
    base, parent = project.folder.parent, f"{far_pool}/{project.dataset.partition('/')[2]}-once"
    said = project.pool.dsvc(base, "-c", f"zfs.parent={parent}", "clone", "-q", str(hub), "early")
    assert said.code == 3
    assert "but not its datasets: there is no dataset" in said.err
    early = Project(project.pool, base / "early", parent)
    assert early.ok("status", "--json").json["clean"]
    project.pool.zfs("create", parent)
    said = project.pool.dsvc(base, "-c", f"zfs.parent={parent}", "clone", "-q", str(hub), "once")
    assert said.code == 0, said.err
    once = Project(project.pool, base / "once", parent)
    assert (once.data / "a").read_text() == "one\n"
    (project.data / "a").write_text("two\n")
    project.commit("second")
    project.ok("push", "-q")
    once.ok("pull", "-q")
    assert (once.data / "a").read_text() == "two\n"
    assert once.ok("status", "--json").json["clean"]


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


def there_and_back(project: Project, far_pool: str, address: str) -> None:
    project.ok("remote", "add", "-q", "origin", address)
    project.ok("push", "-q")
    (project.data / "a").write_text("two\n")
    project.commit("second")
    project.ok("push", "-q")
    other = clone(project, far_pool, address=address)
    assert other.ok("data", "get", "--json").json["snapshots"] == 2
    assert (other.data / "a").read_text() == "two\n"


def test_a_hub_keeps_streams(project, far_pool, host, environment):
    ada = host.user("ada", "owner")
    environment["DSVC_SSH_COMMAND"] = ada.environment["DSVC_SSH_COMMAND"]
    there_and_back(project, far_pool, ada.address("vision"))


def test_a_bucket_keeps_streams(project, far_pool, seaweed, environment):
    environment.update(seaweed.environment)
    there_and_back(project, far_pool, f"s3://{seaweed.bucket()}/project")
