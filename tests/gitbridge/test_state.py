"""Where the git repository beside dsvc stands, as git itself says it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dsvc.gitbridge.state import GitState, git_state
from tests.gitbridge.conftest import Git


def test_no_git(git: Git) -> None:
    assert git_state(git.path / "..") is None
    (git.path / "folder").mkdir()
    assert git_state(git.path / "folder") is None, "only the folder itself counts"


def test_states(git: Git) -> None:
    assert git_state(git.path) == GitState(None, "main", True)
    first = git.commit("first", a="1")
    assert git_state(git.path) == GitState(bytes.fromhex(first), "main", True)
    git("pack-refs", "--all")
    git.write("untracked", b"")
    assert git_state(git.path) == GitState(bytes.fromhex(first), "main", True)
    git.write("a", b"2")
    assert git_state(git.path) == GitState(bytes.fromhex(first), "main", False)
    git("add", "a")
    assert git_state(git.path) == GitState(bytes.fromhex(first), "main", False)
    git("commit", "-q", "-m", "second")
    git("switch", "-q", "--detach", "HEAD~1")
    assert git_state(git.path) == GitState(bytes.fromhex(first), None, True)
    git("switch", "-q", "-c", "topic/a")
    assert git_state(git.path) == GitState(bytes.fromhex(first), "topic/a", True)


def test_linked_worktree_and_submodule_folder(git: Git) -> None:
    first = git.commit("first", a="1")
    git("worktree", "add", "-q", "-b", "other", "../other")
    assert git_state(git.path.parent / "other") == GitState(bytes.fromhex(first), "other", True)
    git("pack-refs", "--all")
    assert git_state(git.path.parent / "other") == GitState(bytes.fromhex(first), "other", True)


def test_git_is_left_alone(git: Git) -> None:
    git.commit("first", a="1")
    (git.path / "a").write_text("1")  # same content, other time: git status would like to refresh its index
    before = {p: p.stat().st_mtime_ns for p in (git.path / ".git").rglob("*")}
    assert git_state(git.path) is not None
    assert {p: p.stat().st_mtime_ns for p in (git.path / ".git").rglob("*")} == before


@pytest.mark.parametrize("content", ["", "ref: refs/heads/", "nonsense", "gitdir: /nowhere"])
def test_damage_is_no_error(git: Git, content: str) -> None:
    (git.path / ".git" / "HEAD").write_text(content)
    state = git_state(git.path)
    assert state is None or state.head is None


def test_without_git_nothing_heavy_is_imported(git: Git) -> None:
    code = "import sys, pathlib; from dsvc.gitbridge.state import git_state; "
    code += f"git_state(pathlib.Path({str(git.path / 'x')!r})); "
    code += "print([m for m in ('pygit2', 'blake3', 'msgpack') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"[]\n"
