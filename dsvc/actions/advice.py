"""Find the rules that a project keeps for a place which enforces none."""

from __future__ import annotations

from dsvc.actions.ref_update import RefUpdate
from dsvc.actions.remote_access import OpenRemote
from dsvc.objects import trees
from dsvc.objects.ids import CommitId
from dsvc.objects.tree import EntryKind
from dsvc.refs.names import short_name
from dsvc.remotes.refspec import mapped
from dsvc.remotes.transfer.selection import present_tips
from dsvc.requests.advice import FILE, Advice, decode_advice
from dsvc.workspace import Workspace

_MOST = 1 << 20  # bytes of the file
ALL_THE_SAME = "--no-rules does it all the same, since nothing enforces them there"


def find_advice(workspace: Workspace, remote: OpenRemote) -> Advice:
    """Return what the default branch of a remote asks, as far as it was fetched: nothing is asked of the remote.

    A hub has rules of its own, and enforces them.

    Raises:
        BadAdviceError: when the file is not of its form.
    """
    default = remote.default_branch()
    if remote.publisher is not None or default is None:
        return Advice()
    store, now = workspace.repo.store, remote.view().commit(default)
    commit: CommitId | None = now if now is not None and present_tips(store, [now]) else None
    if commit is None:
        found = mapped(remote.settings.fetch, default)
        commit = workspace.view().commit(found[0]) if found is not None else None
    if commit is None or not present_tips(store, [commit]):
        return Advice()
    entry = trees.lookup(store, workspace.tree_of(commit), FILE.encode())
    if entry is None or entry.kind not in (EntryKind.FILE, EntryKind.EXECUTABLE) or entry.size > _MOST:
        return Advice()
    return decode_advice(store.read_file(entry.id)) if store.has_file(entry.id) else Advice()


def objection(workspace: Workspace, advice: Advice, update: RefUpdate) -> tuple[str, str] | None:
    """Say what speaks against a move of a ref, with a hint; None where nothing does.

    Raises:
        MissingIdentityError: when the rules name people and nothing says who this is.
    """
    asked = advice.of(update.theirs)
    if not asked or update.outcome in ("same", "rejected"):
        return None
    name = short_name(update.theirs)
    wanted = advice.approvals(update.theirs)
    if wanted and update.old is not None:
        count = f"{wanted} approval{'' if wanted == 1 else 's'}"
        return f"{FILE} asks for {count}", f"dsvc request open --into {name}; {ALL_THE_SAME}"
    who = workspace.person()
    if not advice.may_push(update.theirs, who):
        return f"{FILE} leaves {name} to others than {who.email}", f"push another branch; {ALL_THE_SAME}"
    if update.outcome in ("forced", "deleted") and not advice.may_rewind(update.theirs, who):
        return f"{FILE} does not let {who.email} take back what {name} has", f"dsvc pull joins it; {ALL_THE_SAME}"
    return None
