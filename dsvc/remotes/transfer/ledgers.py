"""Ledgers travel between repositories: each side takes what the other one knows, and neither forgets anything.

A push puts what is known here into the ledger there, a fetch does the reverse. docs/formats/ledger.md says how two are
merged; the result is the same in whatever order repositories exchange theirs.
"""

from __future__ import annotations

from dsvc.objects.ids import Kind
from dsvc.objects.store import ObjectStore
from dsvc.objects.trees import empty_tree
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct, View
from dsvc.repo.ledgers import EXCHANGED, merge_ledgers


def unlike_ledgers(ours: View, theirs: View) -> list[tuple[str, Direct]]:
    """Return (name, ref) of the ledgers of `theirs` which are not the same in `ours`."""
    found = []
    for name in EXCHANGED:
        ref = theirs.get(name)
        if isinstance(ref, Direct) and ref.kind == Kind.TREE and ours.get(name) != ref:
            found.append((name, ref))
    return found


def take_ledgers(source: ObjectStore, target: ObjectStore, transaction: Transaction, theirs: View) -> bool:
    """Let `transaction`, of the repository of `target`, know what the ledgers of `theirs` do; say whether that was new.

    `source` has the nodes of `theirs`; those of which both sides have the same are not read.

    Raises:
        IntegrityError: when one of them cannot be read.
    """
    news = False
    for name, ref in unlike_ledgers(transaction.view, theirs):
        own = transaction.get(name)
        before = own.id if isinstance(own, Direct) else empty_tree(target)
        merged = merge_ledgers(target, before, ref.id, theirs_store=source)
        if not isinstance(own, Direct) or merged != own.id:
            transaction.set(name, Direct(Kind.TREE, merged))
            news = True
    return news
