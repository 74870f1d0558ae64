from __future__ import annotations

import random

import pytest

from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import ahead_behind, is_ancestor, merge_base_octopus, merge_bases, merge_bases_many


def contained(project, commit_id) -> set[bytes]:
    """All commits that a commit contains, itself included."""
    found, todo = set(), [commit_id]
    while todo:
        at = todo.pop()
        if at not in found:
            found.add(at)
            todo += project.get(at).parents
    return found


def best(project, candidates: set[bytes]) -> set[bytes]:
    return {c for c in candidates if not any(c != d and c in contained(project, d) for d in candidates)}


def random_history(project, rng: random.Random, count: int) -> list:
    """Commits with merges, whose times are often wrong."""
    commits = []
    for number in range(count):
        parents = rng.sample(commits[-6:], min(len(commits[-6:]), rng.choice([0, 1, 1, 1, 2, 2, 3])))
        commits.append(project.commit(*parents, message=str(number), time=number * 10 + rng.randrange(-200, 200)))
    return commits


def test_a_fork_a_fast_forward_and_unrelated_histories(project):
    root = project.commit(message="root")
    left, right = project.commit(root, message="l"), project.commit(root, message="r")
    other = project.commit(message="other")
    ancestry = Ancestry(project.get)
    assert merge_bases(ancestry, left, right) == (root,)
    assert merge_bases(ancestry, root, right) == (root,)
    assert merge_bases(ancestry, right, right) == (right,)
    assert merge_bases(ancestry, left, other) == ()
    assert is_ancestor(ancestry, root, left)
    assert is_ancestor(ancestry, left, left)
    assert not is_ancestor(ancestry, left, root)
    assert not is_ancestor(ancestry, left, right)
    assert ahead_behind(ancestry, left, right) == (1, 1)
    assert ahead_behind(ancestry, left, root) == (1, 0)


def test_a_criss_cross_has_two(project):
    root = project.commit(message="root")
    a, b = project.commit(root, message="a"), project.commit(root, message="b")
    left, right = project.commit(a, b, message="l"), project.commit(b, a, message="r")
    assert set(merge_bases(Ancestry(project.get), left, right)) == {a, b}


@pytest.mark.parametrize("seed", range(12))
def test_equal_to_the_definition_whatever_the_times(project, seed):
    rng = random.Random(seed)
    commits = random_history(project, rng, 40)
    for _ in range(40):
        a, b, c = rng.choice(commits), rng.choice(commits), rng.choice(commits)
        ancestry = Ancestry(project.get)
        below_a, below_b, below_c = (contained(project, x) for x in (a, b, c))
        assert set(merge_bases(ancestry, a, b)) == best(project, below_a & below_b)
        assert set(merge_bases_many(ancestry, a, [b, c])) == best(project, below_a & (below_b | below_c))
        assert set(merge_base_octopus(ancestry, [a, b, c])) == best(project, below_a & below_b & below_c)
        assert is_ancestor(ancestry, a, b) == (a in below_b)
        assert ahead_behind(ancestry, a, b) == (len(below_a - below_b), len(below_b - below_a))
