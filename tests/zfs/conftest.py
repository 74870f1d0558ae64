"""One pool for all tests of this folder, and a repository for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.zfs_pool import Pool, Said, a_pool

_numbers = itertools.count()


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with a_pool(tmp_path_factory.mktemp("pool")) as found:
        yield found


@pytest.fixture(scope="session")
def far_pool(pool: Pool) -> str:
    """The name of a second pool, as that of another machine would be."""
    return pool.another("far")


@dataclass
class Project:
    """A repository whose folder `data` is a dataset. Its files are read and written through `data`."""

    pool: Pool
    folder: Path
    dataset: str

    @classmethod
    def of_its_own(cls, pool: Pool, base: Path) -> Project:
        """A repository `project` in a folder, whose dataset `set` is empty, in a pool that a test made for itself."""
        folder = base / "project"
        folder.mkdir()
        project = cls(pool, folder, f"{pool.name}/set")
        project.ok("init", "-q")
        project.ok("data", "add", "data", "--zfs", project.dataset)
        return project

    def __call__(self, *words: str) -> Said:
        return self.pool.dsvc(self.folder, *words)

    def ok(self, *words: str) -> Said:
        said = self(*words)
        assert said.code == 0, said.err
        return said

    @property
    def data(self) -> Path:
        return self.pool.inside(self.folder / "data")

    def commit(self, message: str) -> str:
        self.ok("commit", "-q", "-m", message)
        return self.ok("rev-parse", "HEAD").out.strip()

    def commit_on_a_branch(self, branch: str, text: str) -> str:
        """Commit a change of `a` on a new branch and come back to main; return the name of the snapshot."""
        self.ok("switch", "-q", "-c", branch)
        (self.data / "a").write_text(text)
        self.commit(f"on {branch}")
        name = self.snapshots()[-1]
        self.ok("switch", "-q", "main")
        return name

    def snapshots(self) -> list[str]:
        """The short names of all snapshots of the project's datasets."""
        names = self.pool.zfs("list", "-H", "-o", "name", "-t", "snapshot").split()
        return [name for name in names if name.startswith((f"{self.dataset}@", f"{self.dataset}-dsvc-"))]


@pytest.fixture
def empty_project(pool: Pool, tmp_path: Path) -> Iterator[Project]:
    """Variables that a test sets for its commands are gone when it is over."""
    before = dict(pool.environment)
    folder = tmp_path / "zfs" / "project"
    folder.mkdir(parents=True)
    project = Project(pool, folder, f"{pool.name}/set{next(_numbers)}")
    project.ok("init", "-q")
    yield project
    pool.environment.clear()
    pool.environment.update(before)


@pytest.fixture
def project(empty_project: Project) -> Project:
    """With one commit, in which `data` has the file `a`."""
    empty_project.ok("data", "add", "data", "--zfs", empty_project.dataset)
    (empty_project.data / "a").write_text("one\n")
    empty_project.commit("first")
    return empty_project
