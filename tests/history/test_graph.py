from __future__ import annotations

import random
from pathlib import Path

import pytest

from dsvc.history.ancestry import Ancestry
from dsvc.history.changedpaths import LISTED, LOOK, NO, TOO_MANY, UNKNOWN, YES, answer, entries_of, extended, hashes_of
from dsvc.history.graph import open_graph
from dsvc.history.graphupdate import paths_changed_in, uncovered, update_graph
from dsvc.history.mergebase import ahead_behind, is_ancestor, merge_bases
from dsvc.history.treediff import diff_trees


def random_history(project, rng: random.Random, count: int) -> list:
    commits = []
    files = {f"d{n}/f{m}": "0" for n in range(3) for m in range(3)}
    for number in range(count):
        near = commits[-8:]
        parents = rng.sample(near, min(len(near), rng.choice([0, 1, 1, 1, 2, 2, 3, 5])))
        files = {**files, rng.choice(sorted(files)): str(number)}
        commits.append(project.commit(*parents, files=files, message=str(number), time=number + rng.randrange(-9, 9)))
    return commits


def same_as_commits(project, graph, commits) -> None:
    for commit_id in commits:
        number, commit = graph.find(commit_id), project.get(commit_id)
        assert graph.commit_id(number) == commit_id
        assert [graph.commit_id(parent) for parent in graph.parents(number)] == list(commit.parents)
        assert all(parent < number for parent in graph.parents(number))
        assert (graph.time(number), graph.tree_id(number)) == (commit.committer.time, commit.tree)


@pytest.mark.parametrize("seed", range(4))
def test_built_at_once_and_in_steps(project, tmp_path: Path, seed: int):
    commits = random_history(project, random.Random(seed), 60)
    path = tmp_path / "graph"
    for part in (commits[:1], commits[:20], commits[:50], commits):
        update_graph(path, project.get, part)
        graph = open_graph(path)
        assert len(graph) == len(part)
        same_as_commits(project, graph, part)
    assert update_graph(path, project.get, commits).added == 0
    assert graph.find(b"x" * 32) is None


def test_answers_are_those_without_it(project, tmp_path: Path):
    rng = random.Random(5)
    commits = random_history(project, rng, 70)
    path = tmp_path / "graph"
    update_graph(path, project.get, commits[:50])
    graph = open_graph(path)
    for _ in range(150):
        a, b = rng.choice(commits), rng.choice(commits)
        with_graph, without = Ancestry(project.get, graph), Ancestry(project.get)
        assert set(merge_bases(with_graph, a, b)) == set(merge_bases(without, a, b))
        assert is_ancestor(with_graph, a, b) == is_ancestor(without, a, b)
        assert ahead_behind(with_graph, a, b) == ahead_behind(without, a, b)


def test_commits_that_are_not_covered_are_counted(project, tmp_path: Path):
    commits = random_history(project, random.Random(6), 20)
    path = tmp_path / "graph"
    assert uncovered(open_graph(path), project.get, commits, limit=100) == 20
    update_graph(path, project.get, commits[:15])
    assert uncovered(open_graph(path), project.get, commits, limit=100) == 5
    assert uncovered(open_graph(path), project.get, commits, limit=3) == 3


def test_what_is_listed_is_what_changed(project, tmp_path: Path):
    commits = random_history(project, random.Random(7), 40)
    path = tmp_path / "graph"
    update_graph(path, project.get, commits[:20])
    done = update_graph(path, project.get, commits, changed_paths=paths_changed_in(project.store), max_listed=30)
    assert (done.added, done.listed) == (20, 30)
    graph, denied = open_graph(path), 0
    for commit_id in commits:
        commit, number = project.get(commit_id), graph.find(commit_id)
        before = project.get(commit.parents[0]).tree if commit.parents else None
        for wanted in (b"d0", b"d1/f1", b"d2/f0", b"none"):
            changed = any(diff_trees(project.store, before, commit.tree, paths=[wanted]))
            denied += not graph.may_touch(number, [wanted])
            assert graph.touching([wanted])[number] in (LOOK, YES if changed else NO)
        assert graph.may_touch(number, [b""])
    assert denied > 30
    assert update_graph(path, project.get, commits, changed_paths=paths_changed_in(project.store)).listed == 10


@pytest.mark.parametrize("where", [0, 3, 40, 100, 500, 2000, -1])
def test_a_damaged_file_is_made_anew(project, tmp_path: Path, where: int):
    commits = random_history(project, random.Random(8), 30)
    path = tmp_path / "graph"
    changed = paths_changed_in(project.store)
    update_graph(path, project.get, commits, changed_paths=changed)
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    graph = open_graph(path)
    assert graph is None or graph.may_touch(0, [b"none"])
    path.write_bytes(data[:-10])
    assert open_graph(path) is None
    path.write_bytes(b"")
    assert update_graph(path, project.get, commits, changed_paths=changed).added == 30
    same_as_commits(project, open_graph(path), commits)


def test_answers_of_the_index_of_changed_paths():
    assert hashes_of(str(n).encode() for n in range(10**9)) is None
    first = extended((), [*entries_of(3, hashes_of([b"a/b/c", b"d"])), *entries_of(5, hashes_of([b"d"]))])
    second = extended((), entries_of(1 << 16, hashes_of([b"a"])))
    states = bytes([LISTED] * 6 + [UNKNOWN, TOO_MANY]) + bytes([LISTED]) * (1 << 16)

    def yes(*paths):
        return [number for number, known in enumerate(answer(states, [first, second], paths)) if known == YES]

    assert yes(b"a") == [3, 1 << 16]
    assert yes(b"a/b") == yes(b"a/b/c") == [3]
    assert yes(b"d") == [3, 5]
    assert yes(b"a/b", b"d") == [3, 5]
    assert yes(b"b") == []
    assert list(answer(states, [first, second], [b"d"])[:8]) == [NO, NO, NO, YES, NO, YES, LOOK, LOOK]
    assert set(answer(states, [first, second], [b""])) == {LOOK}
    assert list(extended(extended((), entries_of(3, hashes_of([b"d"]))), entries_of(2, hashes_of([b"c"])))) == sorted(
        extended((), [*entries_of(2, hashes_of([b"c"])), *entries_of(3, hashes_of([b"d"]))])
    )
