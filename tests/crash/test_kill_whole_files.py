"""Kill commands that keep large files whole, and collect them, before each of their calls that change the disk."""

import random

import pytest
from mortal import Project, lost_contents

from dsvc.worktree import creating, storing


@pytest.fixture
def start(cloning_disk, monkeypatch):
    """A project on a disk that clones files, with a whole file in its last commit and changes beside it."""
    for module in (storing, creating):
        monkeypatch.setattr(module, "LARGE", 300_000)  # so that hundreds of steps take seconds
    project = Project(cloning_disk / "start")
    project.folder.mkdir()
    project.ok("init", "-q")
    (project.folder / "big").write_bytes(random.Random(1).randbytes(400_000))
    (project.folder / "gone").write_bytes(random.Random(2).randbytes(400_000))
    project.ok("commit", "-qm", "first")
    (project.folder / "gone").unlink()
    project.clock += 60
    project.ok("commit", "-q", "--amend", "-m", "first")
    (project.folder / "big").unlink()
    (project.folder / "new").write_bytes(random.Random(3).randbytes(400_000))
    project.clock += 60
    assert any(path.is_dir() for path in (project.folder / ".dsvc/store/packs").iterdir())
    return project


@pytest.mark.parametrize("command", ["commit -qm x", "restore big", "gc --prune=now"])
def test_each_call(start, cloning_disk, command):
    before = start.look(check=False)
    done = start.copy(cloning_disk / "done")
    done.ok(*command.split())
    after = done.look(check=False)
    number, kills = random.Random(command).randrange(1, 4), 0
    while True:
        project = start.copy(cloning_disk / f"project{number}")
        _, killed = project.try_to_run(tuple(command.split()), at_call=number)
        if not killed:
            assert kills > 3
            break
        look = project.look()  # fsck finds nothing either
        assert look.state in (before.state, after.state), f"{command}, killed before call {number}"
        assert not lost_contents(before, look, after, collected="--prune" in command)
        number, kills = number + 4, kills + 1
