"""Ledgers on a hub: whoever may write may add to them, and nobody makes one forget."""

from __future__ import annotations

from dsvc.objects.ids import Kind
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.trees import write_tree
from dsvc.repo.ledgers import WHERE
from tests.commands.test_ledgers_travel import ledger, note
from tests.commands.test_runs_travel import opened
from tests.hub.attacker import Attacker
from tests.hub.conftest import HubHost
from tests.hub.test_attacks import Forge, offer
from tests.hub.test_rules import started


def test_a_hub_takes_ledgers_that_grow(host: HubHost) -> None:
    ada, walt = started(host)
    note(ada, 1_000, b"p" * 32)
    ada.ok("push", "-q")
    walt.ok("fetch", "-q")
    assert ledger(walt, WHERE) == ledger(ada, WHERE) != {}
    note(walt, 2_000, b"q" * 32)
    walt.ok("push", "-q")
    ada.ok("fetch", "-q")
    assert set(ledger(ada, WHERE).values()) == {b"q" * 32}

    repo = opened(ada)
    ref = repo.view().get(WHERE)
    commit = repo.view().commit("heads/main")
    repo.close()
    here = [int(Kind.TREE), bytes(ref.id)]
    forge = Forge(host.base / "forge")
    forgotten = write_tree(forge.store, ())
    followed = write_tree(forge.store, [(b"0", Entry(EntryKind.TREE, forgotten.id, 0))])
    packs = forge.packs()
    with Attacker(host, "walt", "vision") as walt_by_hand:
        walt_by_hand.hello()
        assert "forgets" in offer(walt_by_hand, packs, [WHERE, here, [int(Kind.TREE), bytes(forgotten.id)]])
        assert "grows and stays" in offer(walt_by_hand, [], [WHERE, here, None])
        assert "grows and stays" in offer(walt_by_hand, [], [WHERE, here, [int(Kind.COMMIT), bytes(commit)]])
        wrong = ["data/learned", None, [int(Kind.TREE), bytes(followed.id)]]
        assert "none of a ledger" in offer(walt_by_hand, packs, wrong)
        other = ["data/fetched", None, [int(Kind.TREE), bytes(forgotten.id)]]
        assert "belongs to one repository alone" in offer(walt_by_hand, packs, other)
