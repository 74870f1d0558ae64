from __future__ import annotations

from dsvc.actions.state import Conflict, WorktreeState, after_commit, decode_state, encode_state, in_conflict, settle
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.repo.reachable import references

COMMITS = [CommitId(ObjectId(bytes([n]) * 32)) for n in range(1, 5)]
SMALL = Entry(EntryKind.FILE, b"s" * 32, 10)
LARGE = Entry(EntryKind.EXECUTABLE, b"l" * 32, SMALL_LIMIT + 1)
LINK = Entry(EntryKind.SYMLINK, b"k" * 32, 3)
GITLINK = Entry(EntryKind.GITLINK, b"g" * 20, 0)

STATE = WorktreeState(
    "rebase",
    heads=(COMMITS[0],),
    message="text",
    original=COMMITS[1],
    merged=TreeId(ObjectId(b"t" * 32)),
    stash=COMMITS[2],
    todo=(COMMITS[3],),
    aside=(b"dirty\xff",),
    extra={"branch": "heads/main", "mainline": None},
)


def test_a_state_survives_encoding() -> None:
    conflicts = (
        Conflict(b"a", "content", SMALL, LARGE, None, (b"a", b"a~side")),
        Conflict(b"b", "kinds", LINK, GITLINK, SMALL, (b"b",)),
    )
    state = in_conflict(STATE, conflicts)
    assert decode_state(encode_state(state)) == state
    assert state.touched == (b"a", b"a~side", b"b")


def test_everything_that_a_state_needs_is_kept_from_gc() -> None:
    state = in_conflict(STATE, (Conflict(b"a", "binary", SMALL, LARGE, LINK),))
    kept = {target for _, target in references(Kind.STATE, encode_state(state))}
    assert kept == {*COMMITS, b"t" * 32, SMALL.id, LARGE.id, LINK.id}


def test_settling_and_committing() -> None:
    both = (Conflict(b"a", "content", None, SMALL, SMALL), Conflict(b"b", "mode", None, SMALL, LARGE))
    state = in_conflict(STATE, both)
    left = settle(state, {b"a"})
    assert [c.path for c in left.conflicts] == [b"b"]
    assert left.touched == (b"a", b"b")
    after = after_commit(left)
    assert after is not None
    assert (after.heads, after.conflicts, after.todo) == ((), (), STATE.todo)
    assert after_commit(WorktreeState("merge", heads=(COMMITS[0],))) is None
