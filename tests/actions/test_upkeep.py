"""What happens behind commands: the commit graph follows by itself, and may be deleted or damaged at any moment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from dsvc.actions.commit_graph import commit_graph, complete_graph, graph_path
from dsvc.actions.init import init_repository
from dsvc.actions.upkeep import upkeep
from dsvc.config.identity import Identity
from dsvc.config.settings import Config
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.values import Commit, Person
from dsvc.refs.view import Direct
from dsvc.workspace import Surroundings, Workspace


def long_history(folder: Path, count: int) -> Workspace:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    surroundings = Surroundings(now=lambda: moment, identity=lambda: Identity("A", "a@example.org"))
    init_repository(folder, surroundings=surroundings)
    workspace = Workspace.open(folder, config=Config(()), surroundings=surroundings)
    tree = TreeId(trees.empty_tree(workspace.repo.store))
    parents: tuple[CommitId, ...] = ()
    for number in range(count):
        person = Person("A", "a@example.org", number * 1_000_000)
        parents = (workspace.repo.put_commit(Commit(tree, parents, person, person, f"{number}\n")),)
    transaction = workspace.transaction()
    transaction.set("heads/main", Direct(Kind.COMMIT, ObjectId(parents[0])))
    workspace.publish(transaction, workspace.act("test", "many commits"))
    return workspace


def covered(workspace: Workspace) -> int:
    graph = commit_graph(workspace)
    return 0 if graph is None else len(graph)


def test_the_graph_follows_a_long_history_by_itself(tmp_path: Path) -> None:
    workspace = long_history(tmp_path, 600)
    upkeep(workspace)
    assert covered(workspace) == 600
    graph_path(workspace).unlink()
    upkeep(workspace)
    assert covered(workspace) == 600
    graph_path(workspace).write_bytes(b"damaged")
    assert covered(workspace) == 0
    upkeep(workspace)
    assert covered(workspace) == 600


def test_a_short_history_needs_no_graph_until_gc_makes_one(tmp_path: Path) -> None:
    workspace = long_history(tmp_path, 20)
    upkeep(workspace)
    assert covered(workspace) == 0
    assert complete_graph(workspace)
    assert covered(workspace) == 20
    assert not complete_graph(workspace)
