"""Dotmesh as a provider of snapshots, against a server that speaks its protocol."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dsvc.objects.tree import EntryKind
from dsvc.objects.trees import edit_tree, empty_tree
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.storage.snapshots import FileChange
from dsvc.worktree.datasets import Place
from dsvc.worktree.delegation import open_delegation
from dsvc.zfs.dotmesh import Api, DotmeshError, DotmeshProvider, DotmeshUnreachableError, read_api
from tests.commands.conftest import cli
from tests.servers.dotmesh import KEY, Dotmesh

__all__ = ["cli"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Dotmesh]:
    with Dotmesh(tmp_path / "server").running() as running:
        yield running


@pytest.fixture
def dotmesh(server: Dotmesh) -> DotmeshProvider:
    return DotmeshProvider(Api(port=server.port, key=KEY))


@pytest.fixture
def folder(dotmesh: DotmeshProvider, tmp_path: Path) -> Path:
    """A folder that leads to the dot admin/images, with one file."""
    folder = tmp_path / "images"
    dotmesh.make("admin/images", folder)
    (folder / "a").write_text("one\n")
    return folder


def test_commits_are_snapshots(dotmesh, folder):
    assert dotmesh.dataset_at(folder) == "admin/images"
    assert dotmesh.dataset("admin/other") is None
    (first,) = dotmesh.create(["admin/images"], "dsvc-1")
    assert first.dataset == "admin/images"
    assert first.size == 4
    assert not dotmesh.written("admin/images", first.name)
    (folder / "a").write_text("second\n")
    assert dotmesh.written("admin/images", first.name)
    assert dotmesh.diff(first.name, "admin/images") == [FileChange("M", b"a")]
    (second,) = dotmesh.create(["admin/images"], "dsvc-2")
    (third,) = dotmesh.create(["admin/images"], "dsvc-3")
    assert [kept.guid for kept in dotmesh.snapshots("admin/images")] == [first.guid, second.guid, third.guid]
    assert dotmesh.differs(first.name, second.name)
    assert not dotmesh.differs(second.name, third.name)
    assert dotmesh.find([second.guid, "unknown"], ["admin/images"]).keys() == {second.guid}
    assert dotmesh.diff(first.name, second.name) is None


def test_a_branch_is_a_clone(dotmesh, folder):
    (first,) = dotmesh.create(["admin/images"], "dsvc-1")
    (folder / "a").write_text("second\n")
    dotmesh.unmount("admin/images")
    assert not folder.exists()
    dotmesh.clone(first.name, "admin/images:clean", folder, mark="00000000")
    assert (folder / "a").read_text() == "one\n"
    found = dotmesh.dataset("admin/images:clean")
    assert found.origin == first.name
    assert found.mounted_at == folder
    assert dotmesh.dataset_at(folder) == "admin/images:clean"
    assert not dotmesh.written("admin/images:clean", first.name)
    dotmesh.mount("admin/images", folder)
    assert (folder / "a").read_text() == "second\n"


def test_nothing_is_destroyed(dotmesh, folder, server):
    (first,) = dotmesh.create(["admin/images"], "dsvc-1")
    (folder / "a").write_text("second\n")
    (second,) = dotmesh.create(["admin/images"], "dsvc-2")
    assert not dotmesh.destroy(first.name)
    assert not dotmesh.destroy("admin/images")
    with pytest.raises(DotmeshError, match="is not the newest commit"):
        dotmesh.rollback(first.name)
    (folder / "a").write_text("third\n")
    dotmesh.rollback(second.name)
    assert (folder / "a").read_text() == "second\n"
    assert "Delete" not in server.calls


def test_a_folder_with_files_is_not_replaced(dotmesh, tmp_path):
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "file").write_text("x")
    with pytest.raises(OSError, match="not empty"):
        dotmesh.make("admin/full", folder)
    assert (folder / "file").read_text() == "x"


def test_a_transfer_is_waited_for(dotmesh, folder, server):
    peer = Api("hub.example.com", 443, "ada", "secret")
    dotmesh.transfer("admin/images", "push", peer, "ada/images:clean")
    (asked,) = server.transfers
    assert (asked["Peer"], asked["Direction"], asked["RemoteBranchName"]) == ("hub.example.com", "push", "clean")
    assert asked["polls"] == 3
    with pytest.raises(DotmeshError, match="the pull of admin/images failed: no such dot"):
        dotmesh.transfer("admin/images", "pull", peer, "ada/nowhere")


def test_what_goes_wrong_is_said(server, dotmesh, tmp_path):
    with pytest.raises(DotmeshError, match="does not know the API key of admin"):
        DotmeshProvider(Api(port=server.port, key="another")).dataset("admin/images")
    with pytest.raises(DotmeshError, match="refused Create: Invalid volume name admin/a b"):
        dotmesh.make("admin/a b", tmp_path / "x")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(DotmeshUnreachableError, match="does not answer"):
            DotmeshProvider(Api(port=free.getsockname()[1])).dataset("admin/images")


def test_the_configuration_of_dm(tmp_path):
    file = tmp_path / "config"
    remotes = {"local": {"User": "admin", "Hostname": "127.0.0.1", "ApiKey": KEY}}
    file.write_text(json.dumps({"CurrentRemote": "local", "Remotes": remotes}))
    api = read_api(file)
    assert (api.host, api.port, api.user, api.key) == ("127.0.0.1", 32607, "admin", KEY)
    file.write_text("{}")
    with pytest.raises(DotmeshError, match="names no server"):
        read_api(file)


def test_a_working_copy_records_and_moves(dotmesh, tmp_path, cli):
    """What commit and switch do with a folder, done with this provider."""
    cli.ok("init", "-q")
    with_files = Path(cli.directory) / "images"
    dotmesh.make("admin/images", with_files)
    (with_files / "a").write_text("one\n")
    private = Path(cli.directory) / ".dsvc"
    backend = LocalBackend(private / "store")
    with closing(Repository.open(backend, backend.staging)) as repo:
        store = repo.store
        served = open_delegation(store, os.fsencode(cli.directory), private, private, dotmesh)
        identity = dotmesh.dataset("admin/images").guid
        served.set_place(b"images", Place("admin/images", identity, ("admin/images",)))
        first = served.record_new(b"images")
        assert first.kind == EntryKind.SNAPSHOT
        tree = edit_tree(store, empty_tree(store), {b"images": first}).id
        assert served.record(tree) == {}
        (with_files / "a").write_text("second\n")
        assert served.changed(tree) == {b"images": first}
        second = served.record(tree)[b"images"]
        assert served.snapshot(second).provider == "dotmesh"
        assert served.snapshot(second).previous == served.snapshot(first).guid
        served.bring(b"images", first)
        assert (with_files / "a").read_text() == "one\n"
        served.bring(b"images", second)
        assert (with_files / "a").read_text() == "second\n"
        served.close()
        store.abandon()
