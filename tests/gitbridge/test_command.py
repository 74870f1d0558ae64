"""`dsvc git import` and `dsvc git export` as a user types them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsvc.commands.entry import run
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from tests.gitbridge.conftest import Git


@dataclass
class Dsvc:
    directory: Path
    environment: dict[str, str]

    def __call__(self, *words: str, code: int = 0) -> tuple[str, str]:
        out, err = io.BytesIO(), io.BytesIO()
        got = run(words, self.environment, stdin=io.BytesIO(), stdout=out, stderr=err, directory=self.directory)
        assert got == code, err.getvalue().decode()
        return out.getvalue().decode(), err.getvalue().decode()

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json")[0])

    def files(self) -> dict[str, bytes]:
        found = [p for p in self.directory.rglob("*") if p.is_file() and not {".dsvc", ".git"} & set(p.parts)]
        return {
            str(p.relative_to(self.directory)): p.read_bytes()
            for p in found
            if p.name not in {".dsvcignore", ".gitignore"}
        }


@pytest.fixture
def dsvc(git: Git) -> Callable[[str], Dsvc]:
    def make(name: str) -> Dsvc:
        directory = git.path.parent / name
        directory.mkdir(exist_ok=True)
        environment = {**git.environment, "DSVC_USER_NAME": "Ada", "DSVC_USER_EMAIL": "ada@example.org"}
        made = Dsvc(directory, environment)
        made("init")
        return made

    return make


def test_import_checks_the_branch_out_and_follows_it(dsvc: Callable[[str], Dsvc], git: Git) -> None:
    git.commit("first", a="1", d__b="2")
    here = dsvc("project")
    (here.directory / ".dsvcignore").unlink()
    document = here.json("git", "import", str(git.path))
    assert (document["schema"], document["commits"]) == ("dsvc.git.import", 1)
    assert here.files() == {"a": b"1", "d/b": b"2"}
    assert here.json("status")["branch"] == "main"
    git.commit("second", a="3")
    here("git", "import", str(git.path))
    assert here.files() == {"a": b"3", "d/b": b"2"}


def test_import_does_not_overwrite_what_is_not_stored(dsvc: Callable[[str], Dsvc], git: Git) -> None:
    git.commit("first", a="1")
    here = dsvc("project")
    (here.directory / "a").write_text("mine")
    _, err = here("git", "import", str(git.path), code=3)
    assert "a" in err
    assert here.files() == {"a": b"mine"}
    (here.directory / "a").unlink()
    here("git", "import", str(git.path))
    assert here.files() == {"a": b"1"}


def test_beside_git_in_one_folder(dsvc: Callable[[str], Dsvc], git: Git) -> None:
    (git.path / ".git" / "info" / "exclude").write_text(".dsvc\n.dsvcignore\n")
    tip = git.commit("first", a="1", b="1")
    git.write("a", b"not committed")
    here = dsvc(git.path.name)
    (here.directory / ".dsvcignore").unlink()
    here("git", "import")
    assert here.files() == {"a": b"not committed", "b": b"1"}
    out, _ = here("status", "--porcelain")
    assert out.split() == ["M", "a"]
    assert git("status", "--porcelain") == b"M a"
    here("commit", "-m", "by dsvc")
    _, err = here("git", "export", ".", code=3)
    assert "working copy" in err
    assert "hint" in err
    assert git("rev-parse", "main").decode() == tip
    store = LocalBackend(here.directory / ".dsvc" / "store")
    repo = Repository.open(store, store.staging)
    made = repo.view().commit("heads/main")
    assert made is not None
    assert repo.commit(made).metadata["git_head"] == {"commit": bytes.fromhex(tip), "branch": "main", "clean": False}
    repo.close()
    ours, theirs = here.json("log")["commits"]
    assert (ours["git_head"], "git_commit" in ours) == ({"commit": tip, "branch": "main", "clean": False}, False)
    assert (theirs["git_commit"], "git_head" in theirs) == (tip, False)
    shown, _ = here("log", "--format=fuller")
    assert f"GitHead:    {tip[:10]} (main, with changes)\n" in shown
    assert f"Git:        {tip}\n" in shown
    assert "Git" not in here("log")[0]

    git("switch", "-q", "--detach")
    here("git", "export", ".")
    git("symbolic-ref", "HEAD", "refs/heads/main")
    git("reset", "-q")
    assert git("status", "--porcelain") == b""
    assert git("log", "--format=%s").splitlines() == [b"by dsvc", b"first"]
    here("git", "import")
    assert here("status", "--porcelain")[0] == ""
    git.commit("by git", a="3")
    here("git", "import")
    assert here("status", "--porcelain")[0] == ""
    assert here.files() == {"a": b"3", "b": b"1"}


def test_export_and_divergence(dsvc: Callable[[str], Dsvc], git: Git) -> None:
    here = dsvc("project")
    (here.directory / "a").write_text("1")
    (here.directory / "hollow").mkdir()
    here("commit", "-m", "first")
    _, err = here("git", "export", "../out.git")
    assert "hollow" in err
    out = Git(git.path.parent / "out.git", git.environment)
    assert out("log", "--format=%s").splitlines() == [b"first"]
    (here.directory / "a").write_text("2")
    here("commit", "-m", "second")
    document = here.json("git", "export", "../out.git", "main")
    assert [move["ref"] for move in document["moved"]] == ["refs/heads/main"]
    assert document["refs"]["refs/heads/main"] == out("rev-parse", "main").decode()
    _, err = here("git", "export", "../out.git", "nothing", code=3)
    assert "nothing" in err

    git("fetch", "-q", "../out.git", "main~1:main", check=False)
    git("pull", "-q", "../out.git", "main")
    git("reset", "-q", "--hard", "HEAD~1")
    git.commit("other", b="2")
    _, err = here("git", "import", str(git.path), code=12)
    assert "main" in err
    assert here.files() == {"a": b"2"}
    here("git", "export", str(git.path), code=3)
    git("switch", "-q", "--detach")
    here("git", "export", str(git.path), code=12)


def test_refs_that_git_cannot_read_are_left_out_and_told(dsvc: Callable[[str], Dsvc], git: Git) -> None:
    git.commit("first", a="1")
    for name in ("heads/broken", "notes/of-no-interest"):
        path = git.path / ".git" / "refs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1" * 40 + "\n")
    here = dsvc("project")
    (here.directory / ".dsvcignore").unlink()
    _, err = here("git", "import", str(git.path), code=15)
    assert "left out, because git cannot read what they point to: refs/heads/broken\n" in err
    assert here.files() == {"a": b"1"}
    (git.path / ".git" / "refs" / "heads" / "broken").unlink()
    assert here.json("git", "import", str(git.path))["unread"] == []


@pytest.mark.parametrize(("side", "commit"), [("--ours", "3" * 40), ("--theirs", "2" * 40), ("--base", "1" * 40)])
def test_a_conflict_of_submodules_is_settled_for_a_side(
    dsvc: Callable[[str], Dsvc], git: Git, side: str, commit: str
) -> None:
    def at(oid: str) -> None:
        git("update-index", "--add", "--cacheinfo", f"160000,{oid},library")
        git("commit", "-q", "-m", oid[:1])

    at("1" * 40)
    git("switch", "-q", "-c", "topic")
    at("2" * 40)
    git("switch", "-q", "main")
    at("3" * 40)
    here = dsvc("project")
    here("git", "import", str(git.path))
    (here.directory / "library" / "mine").write_text("mine")
    assert "CONFLICT (reference): library" in here("merge", "topic", code=13)[0]
    here("resolve", side, "library")
    here("merge", "--continue")
    (entry,) = [e for e in here.json("ls", "-l")["entries"] if e["path"] == "library"]
    assert (entry["kind"], entry["id"]) == ("gitlink", commit)
    assert (here.directory / "library" / "mine").read_text() == "mine"
    here("git", "export", "../out.git")
    assert Git(git.path.parent / "out.git", git.environment)("rev-parse", "main:library").decode() == commit


def test_no_git_there(dsvc: Callable[[str], Dsvc]) -> None:
    here = dsvc("project")
    _, err = here("git", "import", code=10)
    assert "no git repository" in err
