"""Histories as values: with and without a commit graph, and what commits changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dsvc.actions.blame import blame
from dsvc.actions.commit import commit
from dsvc.actions.commit_graph import all_tips, graph_path, refresh_graph
from dsvc.actions.init import init_repository
from dsvc.actions.log import ALL_REFS, LogQuery, commit_files, log
from dsvc.actions.merge_base import merge_base
from dsvc.config.identity import Identity
from dsvc.config.settings import Config
from dsvc.objects.ids import CommitId
from dsvc.workspace import Surroundings, Workspace

Save = Callable[..., CommitId]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    surroundings = Surroundings(now=lambda: moment, identity=lambda: Identity("A", "a@example.org"))
    init_repository(tmp_path, surroundings=surroundings)
    return Workspace.open(tmp_path, config=Config(()), surroundings=surroundings)


@pytest.fixture
def save(workspace: Workspace) -> Save:
    def write_and_commit(message: str, **files: str) -> CommitId:
        for name, content in files.items():
            (workspace.root / name).write_text(content)
        return commit(workspace, message, allow_empty=True).commit_id

    return write_and_commit


def test_the_graph_changes_nothing_but_the_time(workspace: Workspace, save: Save) -> None:
    for number in range(12):
        save(f"commit {number}", **{f"f{number % 3}": f"{number}\n"})
    queries = [
        LogQuery(prefixes=ALL_REFS, head_too=True, order="topo"),
        LogQuery(paths=(b"f1",)),
        LogQuery(paths=(b"f1", b"f2"), rewrite=True, order="topo"),
        LogQuery(revisions=("HEAD~9..HEAD~2",), skip=1, count=3),
    ]

    def found(query: LogQuery) -> list[tuple[CommitId, tuple[CommitId, ...]]]:
        # without `rewrite` the parents are only where the walk went on, which a graph shortens
        return [(entry.commit_id, entry.parents if query.rewrite else ()) for entry in log(workspace, query)]

    before = [found(query) for query in queries]
    assert not graph_path(workspace).exists(), "not worth it for so few commits"
    assert refresh_graph(workspace, all_tips(workspace), least=1, listed=None)
    assert not refresh_graph(workspace, all_tips(workspace), least=1, listed=None)
    assert [found(query) for query in queries] == before
    graph_path(workspace).write_bytes(b"damaged")
    assert [found(query) for query in queries] == before
    messages = [entry.commit.message for entry in log(workspace, queries[1])]
    assert messages == ["commit 10", "commit 7", "commit 4", "commit 1"]


def test_files_of_a_commit(workspace: Workspace, save: Save) -> None:
    text = "".join(f"{n}\n" for n in range(50))
    save("one", a=text, b="b\n")
    (workspace.root / "a").unlink()
    made = workspace.repo.commit(save("two", c=text + "more\n", b="B\n"))
    files, sides, limit = commit_files(workspace, made)
    assert [(f.status, f.old_path, f.path) for f in files] == [("M", b"b", b"b"), ("R", b"a", b"c")]
    assert limit is None
    assert files[0].new is not None
    assert sides.read_new(b"b", files[0].new) == b"B\n"
    only, _, _ = commit_files(workspace, made, minimum=None, paths=[b"a"])
    assert [f.status for f in only] == ["D"]


def test_blame_and_merge_base_as_values(workspace: Workspace, save: Save) -> None:
    one = save("one", a="1\n2\n")
    two = save("two", a="1\nzwei\n")
    assert [(line.commit_id, line.text, line.boundary) for line in blame(workspace, b"a")] == [
        (one, b"1", True),
        (two, b"zwei", False),
    ]
    assert merge_base(workspace, ["HEAD", "HEAD~1"]).commits == (one,)
