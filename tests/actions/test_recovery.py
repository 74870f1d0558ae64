"""A checkout that died at some stage, found by the next command, with whatever the user did meanwhile."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dsvc.actions.commit import commit
from dsvc.actions.init import init_repository
from dsvc.actions.restore import restore
from dsvc.actions.status import status
from dsvc.actions.switch import switch
from dsvc.config.identity import Identity
from dsvc.config.settings import Config
from dsvc.workspace import Surroundings, Workspace
from dsvc.worktree import journal, recovery
from dsvc.worktree.checkout import Writer
from dsvc.worktree.creating import Creator
from dsvc.worktree.journal import CheckoutRunningError, Journal

MAIN = {"a": b"one", "d/b": b"one", "only/main": b"one", "same": b"same"}
OTHER = {"a": b"other", "d/b": b"other", "new/file": b"other", "same": b"same"}


class Place:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.surroundings = Surroundings(
            now=lambda: datetime(2026, 1, 31, 12, tzinfo=UTC), identity=lambda: Identity("Ada", "ada@example.org")
        )
        init_repository(root, surroundings=self.surroundings)
        (root / ".dsvcignore").unlink()
        self.become(MAIN)
        commit(self.open(), "main")
        switch(self.open(), "other", create=True)
        self.become(OTHER)
        commit(self.open(), "other")
        switch(self.open(), "main")
        assert self.files() == MAIN

    def open(self) -> Workspace:
        return Workspace.open(self.root, config=Config(()), surroundings=self.surroundings)

    def put(self, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def become(self, files: dict[str, bytes]) -> None:
        for name in self.files().keys() - files.keys():
            (self.root / name).unlink()
            if (self.root / name).parent != self.root:
                (self.root / name).parent.rmdir()
        self.put(files)

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.root.rglob("*") if path.is_file() and ".dsvc" not in path.parts)
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}

    def changed(self) -> dict[str, str]:
        found = status(self.open(), all_files=True)
        kinds = {c.path.decode(): "D" if c.new is None else "M" for c in found.changes}
        return kinds | {c.path.decode(): "A" for c in found.added} | {path.decode(): "?" for path in found.new}

    def die(self, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
        """Switch to the other branch and stop at a stage as if killed there: nothing is cleaned up."""
        workspace = self.open()
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()

        class Killed(BaseException):
            pass

        def killed(*arguments, **options):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(recovery.os, "getpid", lambda: process.pid)
            patch.setattr(recovery, "_go_to", killed)
            if stage == "before any write":
                patch.setattr(Writer, "apply", killed)
            elif stage == "in the middle":
                patch.setattr(Writer, "_write_all", killed)
            elif stage == "before the publication":
                patch.setattr(Workspace, "publish", _last_one_raises(Workspace.publish, Killed))
            else:
                patch.setattr(Workspace, "write_index", killed)
            with pytest.raises(Killed):
                switch(workspace, "other")
        assert (self.root / ".dsvc" / "worktree" / "journal").exists()


def _last_one_raises(real, error):
    def publish(self, transaction, act):
        if act.verb == "begin":
            return real(self, transaction, act)
        raise error

    return publish


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "project")


STAGES = ["before any write", "in the middle", "before the publication", "before the index"]


@pytest.mark.parametrize("stage", STAGES)
def test_taken_back_or_finished(place, monkeypatch, stage):
    place.die(monkeypatch, stage)
    workspace = place.open()
    published = stage == "before the index"
    assert workspace.head().branch == ("heads/other" if published else "heads/main")
    assert place.files() == (OTHER if published else MAIN)
    assert not workspace.journal_path.exists()
    assert place.changed() == {}


@pytest.mark.parametrize("stage", STAGES)
def test_what_was_written_meanwhile_stays(place, monkeypatch, stage):
    place.die(monkeypatch, stage)
    mine = {"a": b"mine", "only/main": b"mine", "new/file": b"mine", "untracked": b"mine"}
    place.put(mine)
    published = stage == "before the index"
    assert place.changed() == {
        "a": "M",
        "only/main": "?" if published else "M",
        "new/file": "M" if published else "?",
        "untracked": "?",
    }
    assert place.files() == (OTHER if published else MAIN) | mine


@pytest.mark.parametrize("stage", STAGES)
def test_other_things_in_the_way_do_not_stop_it(place, monkeypatch, stage):
    place.die(monkeypatch, stage)
    for folder in ("d", "new"):
        if (place.root / folder).is_dir():
            for path in (place.root / folder).iterdir():
                path.unlink()
            (place.root / folder).rmdir()
        (place.root / folder).write_bytes(b"mine")
    (place.root / "a").unlink()
    place.put({"a/inside": b"mine"})
    files = place.files()
    assert [files[name] for name in ("d", "new", "a/inside")] == [b"mine"] * 3
    changed = place.changed()
    assert changed.pop("new/file", "D") == "D"
    assert changed == {"a": "D", "a/inside": "?", "d": "?", "d/b": "D", "new": "?"}
    commit(place.open(), "all of it")
    assert place.changed() == {}
    files = place.files()
    assert [files[name] for name in ("d", "new", "a/inside")] == [b"mine"] * 3


def test_a_living_process_is_waited_for(place):
    workspace = place.open()
    tree = workspace.head_tree()
    record = Journal(tree, tree, b"token", os.getppid(), socket.gethostname())
    journal.begin(workspace.journal_path, record)
    with pytest.raises(CheckoutRunningError, match=str(os.getppid())):
        place.open()
    place.put({"a": b"mine"})
    with pytest.raises(CheckoutRunningError):
        commit(workspace, "half of a switch")
    assert workspace.journal_path.exists()
    workspace.journal_path.unlink()
    assert place.changed() == {"a": "M"}


def test_a_failed_write_puts_everything_back(place, monkeypatch):
    place.put({"same": b"mine"})
    real, left = Creator.create, [3]

    def create(self, *arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Creator, "create", create)
    with pytest.raises(Exception, match="No space left"):
        switch(place.open(), "other")
    assert place.files() == MAIN | {"same": b"mine"}
    assert place.open().head().branch == "heads/main"
    assert place.changed() == {"same": "M"}


def test_restore_of_a_file_that_is_nowhere(place):
    with pytest.raises(Exception, match="neither in HEAD nor in the working copy"):
        restore(place.open(), [b"nowhere"])
    assert place.files() == MAIN
