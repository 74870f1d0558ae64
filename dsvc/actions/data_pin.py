"""Put ordinary files into history in the place of references."""

from __future__ import annotations

from collections.abc import Mapping

from dsvc.actions.checkout import checkout
from dsvc.actions.import_url import note_origins
from dsvc.actions.signing import find_signer
from dsvc.actions.state import read_state
from dsvc.errors import RequestError
from dsvc.objects.ids import CommitId, ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.trees import edit_tree
from dsvc.objects.values import Commit
from dsvc.repo.fetched import with_content
from dsvc.workspace import Workspace


def pin_references(workspace: Workspace, entries: Mapping[bytes, Entry], *, sign: bool | None = None) -> CommitId:
    """Commit the content of those of these entries of HEAD's tree that are references; return the new commit.

    Only they change, and what is not committed yet stays so. What they pointed to is noted, for `data update`.

    Raises:
        RequestError: in the middle of a merge or the like.
    """
    head, repo = workspace.head(), workspace.repo
    state = read_state(workspace)
    if head.commit_id is None or state is not None:
        what = f"a {state.verb} is under way" if state is not None else "there is no commit yet"
        raise RequestError(f"{what}, so references cannot be pinned", hint="dsvc commit")
    references = {path: entry for path, entry in entries.items() if entry.kind == EntryKind.REFERENCE}
    pinned: dict[bytes, Entry | None] = {path: with_content(repo, entry) for path, entry in references.items()}
    base = workspace.head_tree()
    tree = TreeId(ObjectId(edit_tree(repo.store, base, pinned).id))
    count = "one reference" if len(pinned) == 1 else f"{len(pinned)} references"
    person = workspace.person()
    made = Commit(tree=tree, parents=(head.commit_id,), author=person, committer=person, message=f"Pin {count}\n")
    signer = find_signer(workspace, sign)
    commit_id = repo.put_commit(made if signer is None else signer.commit(made))
    transaction = workspace.transaction()
    workspace.move_head(transaction, commit_id)
    note_origins(repo.store, transaction, dict(references))
    checkout(workspace, base, tree, transaction=transaction, verb="data", description=f"data: pin {count}")
    return commit_id
