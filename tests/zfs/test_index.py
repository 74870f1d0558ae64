"""Indexed datasets: with their files, for machines without ZFS. And the JSON of commands that need a pool."""

from __future__ import annotations

import pytest

from tests.commands.conftest import CommandLine
from tests.test_json_docs import documented


@pytest.fixture
def indexed(project):
    (project.data / "sub").mkdir()
    (project.data / "sub" / "b").write_text("two\n")
    project.commit("second")
    said = project.ok("data", "index", "--json").json
    assert said["files"] == 2
    hub = project.folder.parent / "hub"
    project.ok("remote", "add", "-q", "origin", str(hub))
    project.ok("push", "-q")
    return project


def without_zfs(project) -> CommandLine:
    """A clone, by a process that sees no pool."""
    base = project.folder.parent
    environment = {**project.pool.environment, "PATH": "/usr/bin:/bin"}
    person = CommandLine(base, environment)
    person.ok("clone", "-q", str(base / "hub"), "plain")
    return CommandLine(base / "plain", environment)


def test_the_index_is_a_commit_and_the_data_is_the_same(indexed):
    assert indexed.ok("status", "--json").json["clean"]
    assert indexed("data", "index").code == 3
    assert len([n for n in indexed.pool.zfs("list", "-H", "-o", "name").split() if n.startswith(indexed.dataset)]) == 1


def test_files_are_checked_out_without_zfs(indexed):
    plain = without_zfs(indexed)
    assert not (plain.directory / "data").exists()
    assert plain.ok("status", "--json").json["clean"]
    plain.ok("data", "get", "-q", "--files", "data")
    assert (plain.directory / "data" / "sub" / "b").read_text() == "two\n"
    assert plain.ok("status", "--json").json["clean"]
    (plain.directory / "code").write_text("x\n")
    plain.ok("commit", "-q", "-m", "code")
    assert plain.ok("diff", "--name-only", "HEAD~1", "HEAD").out == "code\n"
    plain.ok("push", "-q")
    indexed.ok("pull", "-q")
    assert (indexed.data / "a").read_text() == "one\n"
    assert indexed.ok("status", "--json").json["clean"]


def test_files_that_change_without_zfs_become_files(indexed):
    plain = without_zfs(indexed)
    plain.ok("data", "get", "-q", "--files", "data")
    (plain.directory / "data" / "a").write_text("changed\n")
    assert [c["path"] for c in plain.ok("status", "--json").json["changes"]] == ["data/a"]
    plain.ok("commit", "-q", "-m", "changed")
    plain.ok("switch", "-q", "--detach", "HEAD~1")
    assert (plain.directory / "data" / "a").read_text() == "one\n"
    plain.ok("switch", "-q", "main")
    plain.ok("push", "-q")
    indexed.ok("pull", "-q")
    assert (indexed.folder / "data" / "a").read_text() == "changed\n"
    assert indexed.ok("status", "--json").json["clean"]


def test_what_was_not_indexed_needs_zfs(project):
    project.ok("remote", "add", "-q", "origin", str(project.folder.parent / "hub"))
    project.ok("push", "-q")
    plain = without_zfs(project)
    said = plain("data", "get", "--files", "data")
    assert said.code == 3
    assert "were not indexed" in said.err
    said = plain("data", "get", "data")
    assert said.code == 3
    assert "zfs.parent" in said.err
    assert plain.ok("data", "get", "-q").code == 0


def test_documents_are_on_the_page(empty_project):
    page = documented()
    empty_project.pool.zfs("create", "-o", f"mountpoint={empty_project.folder}/data", empty_project.dataset)
    added = empty_project.ok("data", "add", "data", "--json").json
    empty_project.commit("first")
    indexed = empty_project.ok("data", "index", "--json").json
    for document in (added, indexed):
        assert (document["version"], list(document)[2:]) == page[document["schema"]]
