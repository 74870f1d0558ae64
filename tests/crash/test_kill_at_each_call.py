"""Kill a command before each of its calls that change the disk: it has happened or not, and the next one works."""

import os
import random

import pytest
from mortal import Project, lost_contents


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def noise(seed, size):
    return random.Random(seed).randbytes(size)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A project with two branches that changed different files, and uncommitted changes in two more."""
    project = Project(tmp_path_factory.mktemp("start") / "project")
    project.folder.mkdir()
    project.ok("init", "-q")
    text = b"".join(b"line %d\n" % n for n in range(40))
    write(project.folder, {f"f{n}": b"first %d\n" % n for n in range(4)})
    write(project.folder, {"d/a": text, "d/deep/b": b"b", "big": noise(1, 300_000), "old/x": b"x", "keep": b"keep"})
    project.ok("commit", "-qm", "first")
    project.ok("switch", "-q", "-c", "other")
    write(project.folder, {"f1": b"other 1\n", "d/a": text.replace(b"line 3\n", b"other\n"), "n/new": b"new"})
    write(project.folder, {"big": noise(1, 200_000) + noise(2, 100_000)})
    (project.folder / "old" / "x").unlink()
    (project.folder / "old").rmdir()
    project.ok("commit", "-qm", "on other")
    project.ok("switch", "-q", "main")
    write(project.folder, {"f2": b"main 2\n", "d/a": text.replace(b"line 33\n", b"main\n")})
    project.ok("commit", "-qm", "on main")
    return project


def edit(project):
    write(project.folder, {"f3": b"unsaved 3\n", "keep": b"unsaved keep\n", "untracked": b"untracked\n"})


def prepare(project, what):
    if what != "clean":
        edit(project)
    if what == "stashed":
        project.ok("stash", "-q")
    elif what == "reset":
        project.ok("reset", "-q", "--hard")
    elif what == "merged":
        project.ok("merge", "-q", "other")
    elif what == "garbage":
        project.ok("stash", "-q")
        project.ok("stash", "drop")


STEP = int(os.environ.get("KILL_STEP", "11"))  # 1 tries every call

CASES = [
    ("commit -qm x", "edited"),
    ("commit -qm x f3", "edited"),
    ("add f3 untracked", "edited"),
    ("switch -q other", "edited"),
    ("switch -qf other", "edited"),
    ("merge other", "edited"),
    ("gc", "edited"),
    ("gc --prune=now", "garbage"),
    ("undo", "merged"),
    ("undo", "reset"),
    ("restore f3 keep", "edited"),
    ("restore --source other .", "edited"),
    ("stash -q", "edited"),
    ("stash pop", "stashed"),
    ("reset -q --hard HEAD~1", "edited"),
    ("reset -q --soft HEAD~1", "edited"),
    ("clean -f", "edited"),
    ("rm -f f3 keep", "edited"),
    ("mv f3 moved", "edited"),
    ("rebase other", "clean"),
    ("cherry-pick other", "edited"),
]


@pytest.mark.parametrize(("command", "what"), CASES, ids=[f"{c} ({w})" for c, w in CASES])
def test_each_call(start, tmp_path, command, what):
    base = start.copy(tmp_path / "base")
    prepare(base, what)
    base.clock += 60
    before = base.look(check=False)
    done = base.copy(tmp_path / "done")
    done.ok(*command.split())
    after = done.look(check=False)
    number = random.Random(command + what).randrange(1, STEP + 1)
    while True:
        where = f"dsvc {command}, killed before call {number}"
        project = base.copy(tmp_path / "project")
        _, killed = project.try_to_run(tuple(command.split()), at_call=number)
        if not killed:
            assert number > 5
            break
        collected = number % 2 == 0
        if collected:
            project.collect_from_elsewhere()
        look = project.look()
        assert look.state in (before.state, after.state), (
            f"{where}: neither the old state nor the new one\n"
            f"against the old one:\n{look.state.difference(before.state)}\n"
            f"against the new one:\n{look.state.difference(after.state)}"
        )
        lost = lost_contents(before, look, after, collected=collected or "--prune" in command)
        assert not lost, f"{where}: {len(lost)} contents are lost"
        number += STEP
