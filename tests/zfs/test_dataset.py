"""A folder that is a dataset: commits, status, switches, restores."""

from __future__ import annotations

import os
import tarfile
from contextlib import closing
from pathlib import Path

from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend


def test_commit_takes_a_snapshot_and_holds_it(project):
    assert len(project.snapshots()) == 2  # of data add and of the commit
    for name in project.snapshots():
        assert project.pool.zfs("get", "-Hp", "-o", "value", "userrefs", name).strip() == "1"
    assert project("status", "--json").json["clean"]


def test_commit_without_a_change_takes_none(project):
    before = project.snapshots()
    (project.folder / "code.py").write_text("1\n")
    project.commit("code alone")
    assert project.snapshots() == before


def test_an_export_has_the_files_of_the_snapshot(project, tmp_path):
    (project.data / "sub" / "empty").mkdir(parents=True)
    (project.data / "sub" / "run").write_text("run\n")
    (project.data / "sub" / "run").chmod(0o755)
    (project.data / "link").symlink_to("a")
    commit = project.commit("more")
    (project.data / "a").write_text("two\n")
    datasets = project.pool.zfs("list", "-H", "-o", "name")
    said = project.ok("export", commit, str(tmp_path / "out"))
    assert "left out" not in said.err
    made = tmp_path / "out" / "data"
    assert (made / "a").read_text() == "one\n"
    assert (made / "link").readlink() == Path("a")
    assert (made / "sub" / "empty").is_dir()
    assert os.access(made / "sub" / "run", os.X_OK)
    archives = [tmp_path / f"{n}.tar.gz" for n in (1, 2)]
    for archive in archives:
        project.ok("export", "-q", commit, str(archive), "data")
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with tarfile.open(archives[0]) as tar:
        assert sorted(tar.getnames()) == ["data/a", "data/link", "data/sub/empty", "data/sub/run"]
    assert project.pool.zfs("list", "-H", "-o", "name") == datasets


def test_status_says_what_was_written(project):
    (project.data / "a").write_text("two\n")
    said = project.ok("status", "--json").json
    assert [(c["path"], c["change"]) for c in said["changes"]] == [("data", "modified")]
    assert "modified:   data" in project.ok("status").out


def test_diff_of_a_path_in_a_dataset_says_that_this_differs(project):
    """zfs-fuse cannot tell which files differ."""
    (project.data / "a").write_text("two\n")
    assert project.ok("diff", "--name-only", "data/a").out in ("data\n", "data/a\n")
    project.commit("second")
    assert project.ok("diff", "--name-only", "HEAD~1", "HEAD", "data/a").out in ("data\n", "data/a\n")
    assert project.ok("diff", "--name-only", "HEAD~1", "HEAD").out in ("data\n", "data/a\n")
    assert project.ok("diff", "--name-only", "HEAD~1", "HEAD", "--", "database").out == ""


def test_switch_there_and_back(project):
    project.ok("switch", "-q", "-c", "other")
    (project.data / "a").write_text("two\n")
    (project.data / "b").write_text("new\n")
    project.commit("second")
    project.ok("switch", "-q", "main")
    assert sorted(p.name for p in project.data.iterdir()) == ["a"]
    assert (project.data / "a").read_text() == "one\n"
    assert project("status", "--json").json["clean"]
    project.ok("switch", "-q", "other")
    assert (project.data / "a").read_text() == "two\n"
    assert (project.data / "b").read_text() == "new\n"
    assert project("status", "--json").json["clean"]


def test_switch_does_not_leave_what_is_not_committed(project):
    project.ok("switch", "-q", "-c", "other")
    (project.data / "a").write_text("two\n")
    project.commit("second")
    (project.data / "a").write_text("three\n")
    said = project("switch", "main")
    assert said.code == 3
    assert "data: changed since the last commit" in said.err
    assert (project.data / "a").read_text() == "three\n"


def test_restore_keeps_what_it_replaces(project):
    (project.data / "a").write_text("written since\n")
    project.ok("restore", "-q", "data")
    assert (project.data / "a").read_text() == "one\n"
    assert project("status", "--json").json["clean"]
    project.ok("undo")
    assert (project.data / "a").read_text() == "written since\n"


def test_goes_to_a_commit_without_it_and_back(empty_project):
    project = empty_project
    (project.folder / "code.py").write_text("1\n")
    first = project.commit("no data")
    project.ok("data", "add", "data", "--zfs", project.dataset)
    (project.data / "a").write_text("one\n")
    project.commit("data")
    project.ok("switch", "-q", "--detach", first)
    assert not project.data.exists()
    project.ok("switch", "-q", "main")
    assert (project.data / "a").read_text() == "one\n"


def test_snapshots_that_are_taken_in_turn_are_told(project, far_pool):
    project.ok("data", "add", "more", "--zfs", f"{far_pool}/{project.dataset.partition('/')[2]}")
    (project.data / "a").write_text("two\n")
    project.pool.inside(project.folder / "more" / "b").write_text("two\n")
    commit_id = bytes.fromhex(project.commit("both"))
    backend = LocalBackend(project.folder / ".dsvc" / "store")
    with closing(Repository.open(backend, backend.staging)) as repo:
        assert repo.commit(commit_id).metadata["snapshots"] == "in turn"


def test_a_dataset_is_not_moved_by_mv(project):
    said = project("mv", "data", "elsewhere")
    assert said.code == 3
    assert "data is the dataset" in said.err
    assert project.ok("status", "--json").json["clean"]


def test_rm_unmounts_and_undo_mounts(project):
    project.ok("rm", "data")
    assert not project.data.exists()
    project.ok("undo")
    assert (project.data / "a").read_text() == "one\n"
    assert project.ok("status", "--json").json["clean"]
