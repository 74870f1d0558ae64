"""Move refs that say what a remote has, together with others, beside processes that do the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dsvc.refs.moved import RefMovedError
from dsvc.refs.names import REMOTES, SEEN
from dsvc.refs.transaction import Act, Transaction
from dsvc.refs.view import Ref
from dsvc.workspace import Workspace


def publish_tracking(
    workspace: Workspace,
    changes: Mapping[str, Ref | None],
    act: Act,
    *,
    also: Callable[[Transaction], bool] = lambda _transaction: False,
) -> None:
    """Let refs have these values (None: be gone), in one operation, or none where all of them have.

    `also` may change more in that operation, and says whether it did; it is called for each attempt.

    When another process moved a ref under `remotes/` or `seen/` meanwhile, it has seen the remote as well, and its
    value stays.

    Raises:
        RefMovedError: when another ref was moved, to something else.
    """
    left = dict(changes)
    while True:
        transaction = workspace.repo.transaction()
        left = {name: ref for name, ref in left.items() if transaction.view.get(name) != ref}
        for name, ref in left.items():
            if ref is None:
                transaction.delete(name)
            else:
                transaction.set(name, ref)
        if not also(transaction) and not left:
            return
        try:
            workspace.publish(transaction, act)
        except RefMovedError as error:
            workspace.repo.refresh()
            if error.name.startswith((REMOTES, SEEN)):
                left.pop(error.name, None)
            elif error.name in left and workspace.view().get(error.name) != left[error.name]:
                raise
        else:
            return
