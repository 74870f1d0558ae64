"""What gc does with snapshots: what nothing reaches is released and destroyed, and nothing else."""

from __future__ import annotations

import os


def later(project, day: int) -> None:
    project.pool.environment["DSVC_DATE"] = f"2026-02-{day:02}T12:00:00+01:00"


def test_destroys_what_nothing_reaches(project):
    pool = project.pool
    pool.zfs("snapshot", f"{project.dataset}@mine")
    project.ok("switch", "-q", "-c", "other")
    (project.data / "a").write_text("two\n")
    project.commit("second")
    project.ok("switch", "-q", "main")  # a clone of the first one
    assert len(project.snapshots()) == 4
    later(project, 1)
    project.ok("branch", "-D", "other")
    assert project.ok("gc", "--json").json["snapshots_destroyed"] == []  # undo reaches it
    later(project, 2)
    would = project.ok("gc", "--prune=now", "-n", "--json").json
    said = project.ok("gc", "--prune=now", "--json").json
    assert len(said["snapshots_destroyed"]) == 2  # that of data add too
    assert sorted(would["snapshots_destroyed"]) == sorted(said["snapshots_destroyed"])
    assert f"{project.dataset}@mine" in project.snapshots()
    assert len(project.snapshots()) == 2
    assert (project.data / "a").read_text() == "one\n"
    assert project.ok("status", "--json").json["clean"]


def test_clones_that_dsvc_made_go_with_what_they_hold(project):
    first = project.ok("rev-parse", "HEAD").out.strip()
    (project.data / "a").write_text("two\n")
    project.commit("second")
    project.ok("switch", "-q", "--detach", first)
    (project.data / "a").write_text("aside\n")
    aside = project.commit("aside")
    project.ok("switch", "-q", "main")
    assert (project.data / "a").read_text() == "two\n"
    assert any("-dsvc-" in name for name in project.snapshots())
    later(project, 3)
    (project.folder / "code").write_text("x")
    project.commit("code")
    said = project.ok("gc", "--prune=now", "--json").json
    assert len(said["datasets_destroyed"]) == 1
    assert not any("-dsvc-" in name for name in project.snapshots())
    assert project("show", aside).code != 0


def test_a_snapshot_that_somebody_else_holds_stays(project):
    pool = project.pool
    name = project.commit_on_a_branch("other", "two\n")
    pool.zfs("hold", "backup", name)
    project.ok("branch", "-D", "other")
    later(project, 4)
    (project.folder / "code").write_text("x")
    project.commit("code")
    project.ok("gc", "--prune=now", "--json")
    assert name in project.snapshots()
    pool.zfs("release", "backup", name)
    assert name in project.ok("gc", "--prune=now", "--json").json["snapshots_destroyed"]


def test_what_killed_processes_left_goes(project):
    """A clone from which files were read, and the snapshot of a comparison: that after a day, for it may be in use."""
    pool = project.pool
    look, clone = f"{project.dataset}@dsvc-look-0123", f"{project.dataset}-dsvc-01234567"
    mark = (project.folder / ".dsvc" / "datasets.mark").read_text()
    folder = project.folder / ".dsvc" / "worktree" / "tmp" / "index-1"
    folder.mkdir(parents=True)
    pool.zfs("clone", "-o", f"mountpoint={folder}", "-o", f"dsvc:made={mark}", project.snapshots()[-1], clone)
    if not os.path.ismount(pool.inside(folder)):
        pool.zfs("mount", clone)
    (pool.inside(folder) / "a").write_text("swept")
    pool.zfs("snapshot", look)
    said = project.ok("gc", "--json").json
    assert said["datasets_destroyed"] == [clone]
    assert look in project.snapshots()
    pool.environment["DSVC_DATE"] = "2040-01-01T12:00:00+01:00"
    assert look in project.ok("gc", "-n", "--json").json["snapshots_destroyed"]
    assert look in project.snapshots()
    assert look in project.ok("gc", "--json").json["snapshots_destroyed"]
    assert look not in project.snapshots()
    assert (project.data / "a").read_text() == "one\n"
