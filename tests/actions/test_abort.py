"""Merges and rebases of random projects: an abort leaves every file as it was, and undo and redo go both ways."""

from __future__ import annotations

import io
import os
import random
import shutil
from pathlib import Path

import pytest

from dsvc.commands.entry import run

NAMES = ["a", "b", "a/x", "a/y", "b/x", "c", "d/e/f", "d/e", "d/g"]
CONTENTS = [b"1\n2\n3\n4\n5\n", b"1\nx\n3\n4\n5\n", b"1\ny\n3\n4\n5\n", b"1\n2\n3\n4\nz\n", b"\0one", b"\0two", b""]


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors = ""
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DSVC_USER_NAME": "Ada",
            "DSVC_USER_EMAIL": "ada@example.com",
        }

    def __call__(self, *words: str) -> int:
        streams = {name: io.BytesIO() for name in ("stdin", "stdout", "stderr")}
        code = run(words, self.environment, directory=self.folder, **streams)
        self.errors = streams["stderr"].getvalue().decode()
        assert code in (0, 3, 13), self.errors
        return code

    def files(self) -> dict[str, bytes | None]:
        """Everything in the working copy; None for an empty folder."""
        found: dict[str, bytes | None] = {}
        for base, folders, names in os.walk(self.folder):
            if ".dsvc" in folders:
                folders.remove(".dsvc")
            relative = Path(base).relative_to(self.folder)
            found |= {str(relative / name): (Path(base) / name).read_bytes() for name in names}
            if not folders and not names:
                found[str(relative)] = None
        return found

    def change(self, choice: random.Random, times: int) -> None:
        """Write and remove files anyhow."""
        for _ in range(times):
            path = self.folder / choice.choice(NAMES)
            if path.is_dir():
                if choice.random() < 0.3:
                    shutil.rmtree(path)
                continue
            if path.parent.is_file():
                path.parent.unlink()
            elif path.parent.parent.is_file():
                path.parent.parent.unlink()
            if path.exists() and choice.random() < 0.3:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(choice.choice(CONTENTS))


@pytest.mark.parametrize("verb", ["merge", "rebase"])
@pytest.mark.parametrize("seed", range(10))
def test_aborting_restores_every_file(tmp_path: Path, seed: int, verb: str) -> None:
    choice, desk = random.Random(seed), Desk(tmp_path)
    assert desk("init") == 0
    desk.change(choice, 8)
    assert desk("commit", "--allow-empty", "-m", "base") == 0
    assert desk("switch", "-c", "side") == 0
    for number in range(2):
        desk.change(choice, 4)
        assert desk("commit", "--allow-empty", "-m", f"side {number}") == 0
    assert desk("switch", "main") == 0
    for number in range(2):
        desk.change(choice, 4)
        assert desk("commit", "--allow-empty", "-m", f"main {number}") == 0
    dirty = choice.choice([0, 0, 1])
    desk.change(choice, dirty)
    (tmp_path / "untracked").write_bytes(b"mine")
    before = desk.files()
    code = desk(verb, "side")
    if code == 3:  # a change that is not committed was in the way
        assert desk.files() == before
        return
    after = desk.files()
    if code == 13:
        assert desk(verb, "--abort") == 0
        assert desk.files() == before
    if dirty:  # a file that was deleted by hand, and by the merge too, comes back by an undo
        return
    assert desk("undo") == 0
    assert desk.files() == (after if code == 13 else before)
    assert desk("redo") == 0
    assert desk.files() == (before if code == 13 else after)
