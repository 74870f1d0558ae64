"""Git repositories made by git itself, and dsvc repositories in memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dsvc.gitbridge.exporting import ExportResult, export_git
from dsvc.gitbridge.importing import ImportResult, import_git
from dsvc.objects.ids import CommitId
from dsvc.objects.values import Commit
from dsvc.refs.transaction import Act
from dsvc.refs.view import Symbolic
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend

HEAD = "worktrees/main/HEAD"
ACT = Act("test", "a test", "tester", "host", "main", 0, 0)


@dataclass
class Git:
    """A git repository and a clock that advances with each call."""

    path: Path
    environment: dict[str, str]
    clock: list[int] = field(default_factory=lambda: [1_600_000_000])

    def __call__(self, *arguments: str | bytes, stdin: bytes | None = None, check: bool = True) -> bytes:
        self.clock[0] += 60
        date = f"{self.clock[0]} +0130"
        environment = {**self.environment, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        command: list[str | bytes] = ["git", "-C", str(self.path), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, env=environment, check=False)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout.strip()

    def write(self, name: str | bytes, content: bytes) -> None:
        path = os.path.join(os.fsencode(self.path), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)

    def commit(self, message: str = "a commit", **files: str) -> str:
        for name, content in files.items():
            self.write(name.replace("__", "/"), content.encode())
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "-m", message)
        return self("rev-parse", "HEAD").decode()

    def everything(self) -> list[bytes]:
        """Every object that refs reach, and the refs."""
        objects = sorted(line.split()[0] for line in self("rev-list", "--all", "--objects").splitlines())
        return objects + self("for-each-ref", "--format=%(objectname) %(refname)").splitlines()


def _environment(home: Path) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada Løvelace",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "C O Mitter",
        "GIT_COMMITTER_EMAIL": "c@example.org",
    }


@pytest.fixture
def new_git(tmp_path: Path) -> Callable[..., Git]:
    """Make a git repository in a folder below tmp_path."""

    def make(name: str = "git", *, bare: bool = False) -> Git:
        git = Git(tmp_path / name, _environment(tmp_path / "home"))
        git.path.mkdir()
        git("init", "-q", "-b", "main", *(["--bare"] if bare else []))
        return git

    return make


@pytest.fixture
def git(new_git: Callable[..., Git]) -> Git:
    """A git repository with a working copy."""
    return new_git()


@dataclass
class Bridge:
    """A dsvc repository in memory, and the way to and from git."""

    repo: Repository
    folder: Path
    environment: dict[str, str]

    @property
    def map_path(self) -> Path:
        return self.folder / "git-map"

    def take(self, git: Git, **options: object) -> ImportResult:
        return import_git(
            self.repo,
            git.path,
            publish=lambda transaction, *_: self.repo.publish(transaction, ACT),
            map_path=self.map_path,
            head=HEAD,
            **options,  # type: ignore[arg-type]
        )

    def give(self, name: str = "out", **options: object) -> tuple[Git, ExportResult]:
        path = self.folder / name
        result = export_git(self.repo, path, map_path=self.map_path, **options)  # type: ignore[arg-type]
        return Git(path, self.environment), result

    def tip(self, branch: str = "main") -> tuple[CommitId, Commit]:
        commit_id = self.repo.view().commit(f"heads/{branch}")
        assert commit_id is not None
        return commit_id, self.repo.commit(commit_id)

    def set(self, name: str, ref: object) -> None:
        transaction = self.repo.transaction()
        transaction.set(name, ref)  # type: ignore[arg-type]
        self.repo.publish(transaction, ACT)


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """A new dsvc repository whose HEAD stands at an unborn branch."""
    staging = tmp_path / "staging"
    staging.mkdir()
    repo = Repository.create(MemoryBackend(), lambda: staging, act=ACT, refs={HEAD: Symbolic("heads/trunk")})
    return Bridge(repo, tmp_path, _environment(tmp_path / "home"))
