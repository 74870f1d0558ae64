from __future__ import annotations

import pytest

from dsvc.actions.halving import halve
from dsvc.history.ancestry import Ancestry
from dsvc.objects.ids import CommitId, ObjectId, TreeId
from dsvc.objects.values import Commit, Person

PERSON = Person("A", "a@example.com", 0)


def commit_id(number: int) -> CommitId:
    return CommitId(ObjectId(number.to_bytes(32, "big")))


def line(count: int) -> tuple[Ancestry, list[CommitId]]:
    """Commits 0, 1, 2 … each with the one before as its parent."""

    def get(wanted: CommitId) -> Commit:
        number = int.from_bytes(wanted, "big")
        parents = (commit_id(number - 1),) if number else ()
        return Commit(TreeId(ObjectId(bytes(32))), parents, PERSON, PERSON, "")

    return Ancestry(get), [commit_id(number) for number in range(count)]


@pytest.mark.parametrize(("count", "steps"), [(2, 1), (3, 2), (64, 6), (1000, 10), (20_000, 15)])
def test_a_line_takes_as_many_steps_as_its_length_has_bits(count: int, steps: int) -> None:
    for first_bad in (0, count // 3, count - 1):
        ancestry, left = line(count)
        taken = 0
        while (chosen := halve(ancestry, left)) is not None:
            taken += 1
            at = left.index(chosen)
            left = left[: at + 1] if chosen >= commit_id(first_bad) else left[at + 1 :]
        assert left == [commit_id(first_bad)]
        assert taken <= steps


def test_skipped_commits_are_not_chosen() -> None:
    ancestry, left = line(5)
    assert halve(ancestry, left, skipped=frozenset(left[:4])) is None
    assert halve(ancestry, left, skipped=frozenset(left[1:])) == left[0]
