"""Snapshots straight into the pool of an SSH host, and from there: real sshd, which sees the pools too."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

import pytest

from tests.servers import sshd as sshd_module
from tests.servers.sshd import DSVC, Sshd, start_sshd, stop_sshd
from tests.zfs.conftest import Project
from tests.zfs.test_remotes import clone


@pytest.fixture(scope="module")
def beside(pool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """An SSH host where the pools are: its processes are in their mount namespace."""
    if sshd_module.SSHD is None:
        pytest.skip("there is no program sshd (Debian's package openssh-server)")
    folder = tmp_path_factory.mktemp("sshd")
    wrapper = folder / "sshd"
    wrapper.write_text(f'#!/bin/sh\nexec nsenter --mount --target {pool.pid} {sshd_module.SSHD} "$@"\n')
    wrapper.chmod(0o755)
    real, sshd_module.SSHD = sshd_module.SSHD, str(wrapper)
    try:
        server, process = start_sshd(folder)
    finally:
        sshd_module.SSHD = real
    yield server
    stop_sshd(process)


@pytest.fixture(scope="module")
def hub_pool(pool) -> str:
    return pool.another("hub")


@pytest.fixture
def far(project: Project, hub_pool: str, beside: Sshd) -> Iterator[Project]:
    """A project whose remote is a host with a pool of its own."""
    parent = f"{hub_pool}/{project.dataset.partition('/')[2]}"
    project.pool.zfs("create", parent)
    before = dict(project.pool.environment)
    project.pool.environment["DSVC_SSH_COMMAND"] = shlex.join(["ssh", *beside.options])
    project.ok("remote", "add", "-q", "origin", f"ssh://far{project.folder.parent}/hub")
    set_up(project, parent)
    yield project
    project.pool.environment.clear()
    project.pool.environment.update(before)


def set_up(project: Project, parent: str) -> None:
    project.ok("config", "remote.origin.command", DSVC)
    project.ok("config", "remote.origin.zfs", parent)


def far_snapshots(project: Project) -> list[str]:
    parent = project.ok("config", "remote.origin.zfs").out.strip()
    return project.pool.zfs("list", "-H", "-r", "-t", "snapshot", "-o", "name", parent).split()


def test_there_and_back(far, far_pool):
    far.ok("push", "-q")
    (name,) = far_snapshots(far)
    assert far.pool.zfs("get", "-Hp", "-o", "value", "userrefs", name).strip() == "1"
    other = clone_by_ssh(far, far_pool)
    assert other.ok("data", "get", "--json").json["snapshots"] == 1
    assert (other.data / "a").read_text() == "one\n"
    (far.data / "a").write_text("two\n")
    (far.data / "big").write_bytes(os.urandom(1 << 20))
    far.commit("second")
    far.ok("push", "-q")
    assert len(far_snapshots(far)) == 2
    hub = far.folder.parent / "hub"
    assert sum(p.stat().st_size for p in hub.rglob("*") if p.is_file()) < 500_000  # no stream is stored there
    other.ok("pull", "-q")
    assert (other.data / "a").read_text() == "two\n"
    assert (other.data / "big").stat().st_size == 1 << 20
    assert other.ok("status", "--json").json["clean"]


def clone_by_ssh(far: Project, far_pool: str) -> Project:
    """Clone from the host; the command there is the one under test."""
    address = f"ssh://far{far.folder.parent}/hub"
    parent = far.ok("config", "remote.origin.zfs").out.strip()
    hub = str(far.folder.parent / "hub")
    other = clone(far, far_pool, address=hub)
    other.ok("remote", "set-url", "origin", address)
    set_up(other, parent)
    return other


def test_a_dataset_that_is_not_there(far):
    far.ok("config", "remote.origin.zfs", "nopool/x")
    said = far("push")
    assert said.code == 3
    assert "there is no dataset nopool/x at far" in said.err


def test_only_for_ssh(project):
    project.ok("remote", "add", "-q", "origin", str(project.folder.parent / "hub"))
    project.ok("config", "remote.origin.zfs", "tank/x")
    said = project("push")
    assert said.code == 2
    assert "is no SSH host" in said.err
    assert "--unset remote.origin.zfs" in said.err
