"""Indexed datasets: with their files, for machines without ZFS. And the JSON of commands that need a pool."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine
from tests.test_json_docs import documented
from tests.tools.zfs_pool import OPENZFS


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


def test_an_index_changes_no_data(indexed):
    """Its commit shows no file as changed, and when it is undone nothing is left to commit."""
    assert indexed.ok("diff", "--name-status", "HEAD~", "HEAD").out == ""
    assert "snapshot" not in indexed.ok("show").out
    indexed.ok("undo")
    assert indexed.ok("status", "--json").json["clean"]
    assert indexed("commit", "-m", "nothing").code == 3
    (indexed.data / "a").write_text("three\n")
    indexed.commit("third")
    changed = "data/a" if OPENZFS else "data"  # 'zfs diff' of zfs-fuse names no files of a dataset that is mounted
    assert indexed.ok("diff", "--name-status", "HEAD~", "HEAD").out == f"M\t{changed}\n"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_index_reads_what_changed(indexed):
    """Each file that is written to keeps its size, and its time where a program can set it."""
    data = indexed.data
    (data / "many").mkdir()
    large = bytes(range(256)) * 1200
    for name in ("1", "2", "3"):
        (data / "many" / name).write_text(f"number {name}\n")
    for name in ("large", "emptied", "ended", "still"):
        (data / name).write_bytes(large)
    (data / "link").symlink_to("a")
    indexed.commit("more")
    first = indexed.ok("data", "index", "--json").json
    assert (first["files"], first["unchanged"]) == (8, 2)  # a and sub/b are in the index of the fixture
    for name, change in (
        ("a", lambda file: file.write(b"new\n")),
        ("large", lambda file: (file.seek(200_000), file.write(b"new"))),
        ("emptied", lambda file: (file.truncate(0), file.truncate(len(large)))),
        ("ended", lambda file: (file.truncate(131_072), file.truncate(len(large)))),
    ):
        before = (data / name).stat()
        with (data / name).open("r+b") as file:
            change(file)
        os.utime(data / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    (data / "link").unlink()
    (data / "link").symlink_to("b")
    (data / "many" / "1").rename(data / "many" / "0")
    (data / "many" / "2").rename(data / "many" / "1")
    (data / "many" / "0").rename(data / "many" / "2")
    (data / "many" / "new").write_text("number 5\n")
    (data / "many" / "3").unlink()
    expected = contents(data)
    indexed.commit("changed")
    second = indexed.ok("data", "index", "--json").json
    assert (second["files"], second["unchanged"]) == (8, 2)  # sub/b and still
    indexed.ok("push", "-q")
    plain = without_zfs(indexed)
    plain.ok("data", "get", "-q", "--files", "data")
    assert contents(plain.directory / "data") == expected
    assert (plain.directory / "data" / "link").readlink() == Path("b")


def test_an_index_is_as_good_where_nothing_is_known(indexed):
    """The dataset is another one by now, whose inode numbers are those of other files."""
    (indexed.data / "a").write_text("changed\n")
    indexed.commit("changed")
    again = indexed.ok("data", "index", "--json").json
    assert (again["files"], again["unchanged"]) == (1, 1)
    other = f"{indexed.dataset}-other"
    indexed.pool.zfs("create", "-o", "mountpoint=none", other)
    indexed.pool.zfs("unmount", indexed.dataset)
    indexed.pool.zfs("set", "mountpoint=none", indexed.dataset)
    indexed.pool.zfs("set", f"mountpoint={indexed.folder}/data", other)
    indexed.pool.zfs("mount", other, check=False)
    indexed.ok("data", "add", "data", "--zfs", other)
    (indexed.data / "a").write_text("another\n")
    indexed.commit("another dataset")
    last = indexed.ok("data", "index", "--json").json
    assert (last["files"], last["unchanged"]) == (1, 0)


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
