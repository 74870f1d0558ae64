"""Undo and redo against the model that every editor has: a list of states and a place in it."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import pytest

from dsvc.commands.entry import run
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

State = tuple[str, str | None]


class Desk:
    """A repository with a file, and the state that undo moves: branch and commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DSVC_USER_NAME": "Ada",
            "DSVC_USER_EMAIL": "ada@example.com",
        }
        assert self("init") == 0
        (folder / "a").write_bytes(b"0")
        assert self("commit", "-m", "0") == 0

    def __call__(self, *words: str) -> int:
        streams = {name: io.BytesIO() for name in ("stdin", "stdout", "stderr")}
        return run(words, self.environment, directory=self.folder, **streams)

    def state(self) -> State:
        backend = LocalBackend(self.folder / ".dsvc" / "store")
        repo = Repository.open(backend, backend.staging)
        try:
            branch, ref = repo.view().resolve("worktrees/main/HEAD")
            return branch, ref.id.hex() if ref else None
        finally:
            repo.close()


def act(desk: Desk, number: int, choice: random.Random) -> None:
    """Do something that moves refs, and most of the time files."""
    (branch, _), what = desk.state(), choice.choice(["commit", "switch", "reset"])
    if what == "commit":
        (desk.folder / "a").write_text(str(number))
        assert desk("commit", "-m", str(number)) == 0
        return
    other = "side" if branch.endswith("main") else "main"
    if what == "switch":
        assert desk("switch", other) == 0 or desk("switch", "-c", other) == 0
    else:
        assert desk("reset", "--hard", "HEAD~1") == 0 or desk("switch", "-c", f"b{number}") == 0


@pytest.mark.parametrize("seed", range(4))
def test_undo_and_redo_walk_a_list_of_states(tmp_path: Path, seed: int) -> None:
    desk, choice = Desk(tmp_path), random.Random(seed)
    states, at = [desk.state()], 0
    for number in range(1, 25):
        word = choice.choice(["act", "undo", "undo", "redo"])
        before = desk.state()
        if word == "act":
            act(desk, number, choice)
            if desk.state() == before:
                continue
            states, at = [*states[: at + 1], desk.state()], at + 1
        elif word == "undo" and at > 0:
            assert desk("undo") == 0
            at -= 1
        elif word == "redo":
            assert desk("redo") == (0 if at + 1 < len(states) else 3)
            at = min(at + 1, len(states) - 1)
        assert desk.state() == states[at]
