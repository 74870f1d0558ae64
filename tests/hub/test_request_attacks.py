"""Accounts that speak the protocol by hand to get around approvals: they are refused, and nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsvc.objects import codec, trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, encode_commit
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository
from dsvc.requests.event import Event, Witness, encode_event, encode_witness
from dsvc.requests.merge_request import MergeRequest, read_request
from dsvc.requests.names import commit_name, event_name, open_name, witness_name
from dsvc.storage.local import LocalBackend
from tests.hub.attacker import Attacker
from tests.hub.conftest import HubHost, Person
from tests.hub.test_attacks import WHO, Forge, offer, state

RULES = '[[protect]]\nrefs = ["main", "release/*"]\napprovals = 1\n'


@dataclass
class Scene:
    """Mallory has opened request 1 with one commit; `main` is where the target is."""

    host: HubHost
    mallory: Person
    ada: Person
    forge: Forge
    by_hand: Attacker

    @property
    def repo(self) -> Repository:
        backend = LocalBackend(self.host.repo("vision"))
        return Repository.open(backend, backend.staging, far=True)

    @property
    def main(self) -> CommitId:
        found = self.repo.view().commit("heads/main")
        assert found is not None
        return found

    @property
    def request(self) -> MergeRequest:
        repo = self.repo
        found = read_request(repo.store, repo.view(), 1)
        assert found is not None
        return found

    def event(self, kind: Any, **fields: Any) -> tuple[bytes, ObjectId]:
        """The payload and id of a further event of request 1."""
        payload = encode_event(Event(kind, WHO, request=self.request.opening.id, **fields))
        return payload, self.forge.store.put(Kind.STATE, payload)

    def said(self, kind: Any, *refs: list[Any], number: int = 1, **fields: Any) -> str:
        """Push an event and other refs; return why not."""
        _, event_id = self.event(kind, **fields)
        return offer(self.by_hand, self.forge.packs(), new(event_name(number, event_id), event_id), *refs)

    def commit(self, tree: TreeId | None = None, *parents: bytes) -> CommitId:
        """A commit with these parents, and one file that nobody has seen unless a tree is given."""
        if tree is None:
            evil = self.forge.store.put_content(b"evil\n")
            entries = [(b"evil", Entry(EntryKind.FILE, evil, 5))]
            tree = TreeId(trees.write_tree(self.forge.store, entries).id)
        made = Commit(tree, tuple(CommitId(ObjectId(p)) for p in parents), WHO, WHO, "mine")
        return CommitId(self.forge.store.put(Kind.COMMIT, encode_commit(made)))


def new(name: str, target: bytes, kind: Kind = Kind.STATE) -> list[Any]:
    return [name, None, [int(kind), bytes(target)]]


def moved(name: str, old: bytes, target: bytes | None) -> list[Any]:
    return [name, [int(Kind.COMMIT), bytes(old)], [int(Kind.COMMIT), bytes(target)] if target is not None else None]


@pytest.fixture
def scene(host: HubHost, tmp_path: Path) -> Iterator[Scene]:
    ada = host.user("ada", "owner").start("vision")
    ada.commit("first", code=b"1\n")
    ada.ok("push")
    host.rules(RULES)
    mallory = host.user("mallory", "writer").clone("vision")
    ada.commit("second", other=b"2\n")
    mallory.ok("switch", "-q", "-c", "topic")
    mallory.commit("topic", topic=b"3\n")
    mallory.ok("request", "open")
    with Attacker(host, "mallory", "vision") as by_hand:
        by_hand.hello()
        yield Scene(host, mallory, ada, Forge(tmp_path / "forge"), by_hand)


def test_nothing_that_was_said_is_changed(scene: Scene) -> None:
    before = state(scene.host)
    opening, head = scene.request.opening.id, scene.request.head
    other = scene.forge.store.put(Kind.STATE, encode_event(scene.request.opening.event._replace(title="another")))
    kept = [int(Kind.STATE), bytes(opening)]
    for name, old in ((open_name(1), kept), (witness_name(1, opening), kept)):
        for target in (None, [int(Kind.STATE), bytes(other)]):
            said = offer(scene.by_hand, scene.forge.packs(), [name, old, target])
            assert "stays as it is" in said or "hub alone" in said, name
    assert "stays" in offer(scene.by_hand, [], moved(commit_name(1, head), head, None))
    witness = scene.forge.store.put(Kind.STATE, encode_witness(Witness("ada", "", 1, 0), other))
    said = offer(scene.by_hand, scene.forge.packs(), new(witness_name(1, other), witness))
    assert "written by the hub alone" in said
    for name in ("requests/1", "requests/01/open", "requests/1/events/x", "requests/x/open", "requests/1/head"):
        assert "no ref of a request" in offer(scene.by_hand, [], new(name, opening)), name
    assert state(scene.host) == before


def test_events_that_are_none(scene: Scene) -> None:
    before = state(scene.host)
    store, request = scene.forge.store, scene.request
    for value in ({"what": "request"}, {"what": "purged"}, {"what": "request", "event": "comment", "extra": 1}):
        bad = store.put(Kind.STATE, codec.encode(value))
        said = offer(scene.by_hand, scene.forge.packs(), new(event_name(1, bad), bad))
        assert "request" in said, value
    _, event_id = scene.event("comment", text="hello")
    packs = scene.forge.packs()
    assert "points to something else" in offer(scene.by_hand, packs, new(event_name(1, bad), event_id))
    assert "belongs to another request" in offer(scene.by_hand, packs, new(event_name(2, event_id), event_id))
    again = new(open_name(3), request.opening.id)
    assert "there is no request 2" in offer(scene.by_hand, [], again)
    assert "no place for an event 'comment'" in offer(scene.by_hand, packs, new(open_name(2), event_id))
    hidden = scene.commit(None, request.head)
    said = offer(scene.by_hand, scene.forge.packs(), new(commit_name(1, hidden), hidden, Kind.COMMIT))
    assert "does not speak of" in said
    assert "was not pushed with it" in scene.said("update", commit=hidden)
    assert state(scene.host) == before


def test_approvals_that_are_not_given(scene: Scene) -> None:
    before = state(scene.host)
    head, main = scene.request.head, scene.main
    assert "does not approve" in scene.said("approve", commit=head)
    assert "newer version" in scene.said("approve", commit=main)
    evil = scene.commit(None, head)
    kept = new(commit_name(1, evil), evil, Kind.COMMIT)
    _, update = scene.event("update", commit=evil)
    _, approve = scene.event("approve", commit=evil)
    refs = [kept, new(event_name(1, update), update), new(event_name(1, approve), approve)]
    assert "does not approve" in offer(scene.by_hand, scene.forge.packs(), *refs)
    said = scene.said("merge", moved("heads/main", main, head), commit=head, base=main, result=head)
    assert "has 0 of 1 approval that main asks for" in said
    assert state(scene.host) == before


def test_merges_of_something_else(scene: Scene) -> None:
    scene.ada.ok("request", "show", "1")
    scene.ada.ok("request", "approve", "1")
    before = state(scene.host)
    repo, head, main = scene.repo, scene.request.head, scene.main
    tree = repo.commit(head).tree
    for result in (
        scene.commit(None, main, head),
        scene.commit(None, main),
        scene.commit(None, head),
        scene.commit(tree, head, main),
        scene.commit(tree),
    ):
        said = scene.said("merge", moved("heads/main", main, result), commit=head, base=main, result=result)
        assert any(words in said for words in ("not what was approved", "does not have the commits", "history")), said
    evil = scene.commit(None, head)
    said = scene.said("merge", moved("heads/main", main, evil), commit=evil, base=main, result=evil)
    assert "newer version" in said
    said = scene.said("merge", moved("heads/main", main, evil), commit=head, base=main, result=head)
    assert "is not pushed to directly" in said
    assert "is not pushed to directly" in offer(scene.by_hand, [], moved("heads/main", main, head))
    assert "can begin only at a commit" in offer(scene.by_hand, [], new("heads/release/1", head, Kind.COMMIT))
    good = scene.commit(tree, main, head)
    others = [moved("heads/main", main, good), new("heads/release/1", evil, Kind.COMMIT)]
    said = scene.said("merge", *others, commit=head, base=main, result=good)
    assert "release/1 takes approvals" in said
    assert state(scene.host) == before
    scene.mallory.ok("push", "origin", "origin/main:release/1")
    assert "not deleted by anybody" in scene.ada("push", "--delete", "origin", "release/1").err
    assert "is not pushed to directly" in scene.ada("push", "--force-with-lease", "origin", "HEAD:main").err


def test_an_approval_counts_as_long_as_whoever_gave_it_has_the_role(scene: Scene) -> None:
    bo = scene.host.user("bo", "writer").clone("vision")
    bo.ok("request", "show", "1")
    bo.ok("request", "approve", "1")
    folder, doors = str(scene.host.folder), ("--authorized-keys", str(scene.host.doors))
    scene.host.hub("user", "role", folder, "bo", "reader", *doors)
    answer = scene.mallory("request", "merge", "1")
    assert answer.code == 14
    assert "the one by bo is of a reader" in answer.err
    scene.host.hub("user", "remove", folder, "bo", *doors)
    assert "of nobody who has an account" in scene.mallory("request", "merge", "1").err
    scene.ada.ok("request", "show", "1")
    scene.ada.ok("request", "approve", "1")
    scene.mallory.ok("request", "merge", "1")
    assert isinstance(scene.repo.view().get("heads/main"), Direct)
