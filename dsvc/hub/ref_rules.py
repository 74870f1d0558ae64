"""Check the refs of a push: names, kinds, that all they reach is there, branch rules and signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from dsvc.errors import IntegrityError
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import is_ancestor
from dsvc.history.walk import walk
from dsvc.hub.request_events import check_name_of_request
from dsvc.hub.rules import Rules, may
from dsvc.hub.signers import Signers
from dsvc.hub.visitor import HubRefusedError, Visitor
from dsvc.objects import mapdiff
from dsvc.objects.ids import CommitId, Kind, ObjectId, TagId
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.tree import EntryKind
from dsvc.objects.trees import TREES, empty_tree
from dsvc.objects.values import encode_commit, encode_tag
from dsvc.refs.moved import RefMovedError
from dsvc.refs.names import (
    HEADS,
    NAMED,
    REQUESTS,
    RUNS,
    SHARED,
    STREAMS,
    TAGS,
    BadRefNameError,
    check_name,
    head_of,
    short_name,
)
from dsvc.refs.view import Symbolic, View
from dsvc.remotes.wire.publish import RefChange
from dsvc.repo.ledgers import EXCHANGED, outranks
from dsvc.repo.reachable import Target, check_whole, children, references
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import PURGED, decode_tombstone, encode_tombstone, purged_files
from dsvc.workspace import MAIN

_ALIKE = 8  # commits whose trees are looked through
_FILES = (Kind.CHUNK, Kind.FILE_MAP)


def moving(view: View, changes: Sequence[RefChange]) -> list[RefChange]:
    """Return the changes that are not in force yet.

    Raises:
        HubRefusedError: for refs that no push may touch. RefMovedError: when one is not what the near end saw.
    """
    found = []
    for change in changes:
        try:
            check_name(change.name)
        except BadRefNameError as error:
            raise HubRefusedError(error.message) from error
        if change.name.startswith(PURGED):
            if change.old is not None or change.new is None or change.new.kind != Kind.STATE:
                raise HubRefusedError(f"{change.name} is a note, which is made once and stays")
        elif change.name.startswith(RUNS):
            if change.new is None or (change.old is not None and change.old != change.new):
                raise HubRefusedError(f"{change.name} is of a run, which is made once and stays")
            if change.new.kind != Kind.RUN:
                raise HubRefusedError(f"{change.name} is of a run, and points to something else")
        elif change.name.startswith(STREAMS):
            if change.old is not None or change.new is None or change.new.kind != Kind.STREAM:
                raise HubRefusedError(f"{change.name} is of a dataset's snapshot, which is made once and stays")
        elif change.name.startswith(NAMED):
            if change.new is not None and change.new.kind != Kind.RUN:
                raise HubRefusedError(f"{change.name} is of a model or deployment, and points to something else")
        elif change.name in EXCHANGED:
            if change.new is None or change.new.kind != Kind.TREE:
                raise HubRefusedError(f"{change.name} is a ledger, which grows and stays")
        elif change.name.startswith(REQUESTS):
            check_name_of_request(change)
        elif not change.name.startswith(SHARED):
            raise HubRefusedError(f"{change.name} belongs to one repository alone and is not pushed")
        if change.new is not None and change.name.startswith(HEADS) and change.new.kind != Kind.COMMIT:
            raise HubRefusedError(f"{short_name(change.name)} is a branch, and a branch points to commits only")
        now = view.get(change.name)
        if now == change.new:
            continue
        if now != change.old:
            raise RefMovedError(change.name)
        found.append(change)
    return found


def check_reach(
    repo: Repository,
    view: View,
    changes: Sequence[RefChange],
    visitor: Visitor,
    *,
    met: Callable[[Target], object],
    collected: bool,
) -> None:
    """Make sure that everything is stored which the new refs reach, but for files that were purged.

    `met` hears of everything that they reach and that the refs of before may not. `collected`: packs that the near end
    was told of are not here any more.

    Raises:
        ObjectMissingError: where something was collected and is missing.
        HubRefusedError: naming the first object that is not, or a note on a file that nothing here needs.
    """
    tips = [(ref.kind, bytes(ref.id)) for _, ref in view.tips()]
    known = set(tips)
    if any(change.name.startswith(RUNS) for change in changes):
        known |= _trees_of(repo, tips)  # the source of a run is most likely much like one of these
    notes = {_noted(change.name) for change in changes if change.name.startswith(PURGED)}
    if not notes:  # whose files are looked for in all that is pushed
        for change in changes:
            known |= _kept(repo, change, known)
    erased = notes | purged_files(repo)
    absent = set()

    def stop(target: Target) -> bool:
        kind, wanted = target[0], bytes(target[1])
        if kind in _FILES and wanted in erased:
            absent.add(wanted)
            return not repo.store.has_file(wanted)
        return (kind, wanted) in known

    seen: set[Target] = set()
    for change in changes:
        if change.new is None:
            continue
        try:
            check_whole(repo.store, [(change.new.kind, bytes(change.new.id))], stop=stop, seen=seen, met=met)
        except ObjectMissingError as error:
            if collected:
                raise
            raise HubRefusedError(
                f"{short_name(change.name)} needs what was not pushed: {error.message}",
                hint="dsvc fsck, then push again",
            ) from error
        except IntegrityError as error:
            raise HubRefusedError(f"{short_name(change.name)}: {error.message}", hint="dsvc fsck") from error
    for wanted in notes:
        if wanted not in absent:
            raise HubRefusedError(f"file {wanted.hex()} was not purged from what is pushed")
        if visitor.role != "owner" and repo.store.has_file(wanted):
            raise HubRefusedError(
                f"file {wanted.hex()} is stored here, and {visitor.account} ({visitor.role}) may not purge it",
                hint="ask an owner of the hub to push this, or to purge the file there",
            )


def check_ledgers(repo: Repository, changes: Sequence[RefChange]) -> None:
    """Make sure that pushed ledgers know all that was known, and name content only by ids that nothing follows.

    Raises:
        HubRefusedError: for another one.
    """
    store = repo.store
    for change in changes:
        if change.name not in EXCHANGED or change.new is None:
            continue
        before = change.old.id if change.old is not None else empty_tree(store)
        for key, old, new in mapdiff.diff(store, TREES, before, change.new.id):
            if new is None or (old is not None and not outranks(new, old)):
                raise HubRefusedError(f"{change.name} forgets {key.decode(errors='replace')}", hint="push again")
            if new[0] != EntryKind.GITLINK:
                raise HubRefusedError(f"{change.name} holds an entry that is none of a ledger")


def _kept(repo: Repository, change: RefChange, known: AbstractSet[Target]) -> set[Target]:
    """Return what the tree of a new commit has of that of the commit in whose place it comes, or that it follows.

    What a ref names is complete, and so is all that its tree names: a push of one file into a hundred thousand is not
    worth a look at each of them. Only nodes that differ are read.
    """
    if change.new is None or change.new.kind != Kind.COMMIT:
        return set()
    try:
        commit = repo.commit(CommitId(change.new.id))
        parents = (parent for parent in commit.parents if (Kind.COMMIT, bytes(parent)) in known)
        old = change.old.id if change.old is not None and change.old.kind == Kind.COMMIT else next(parents, None)
        if old is None:
            return set()
        found: set[Target] = set()
        pairs = [(bytes(repo.commit(CommitId(old)).tree), bytes(commit.tree))]
        while pairs:
            before, after = (repo.store.get(i, Kind.TREE) for i in pairs.pop())
            there = dict(children(before))
            held = set(there.values())
            for key, target in children(after):
                if target in held:
                    found.add(target)
                elif target[0] == Kind.TREE and key in there and there[key][0] == Kind.TREE:
                    pairs.append((there[key][1], target[1]))
    except ObjectMissingError:  # the walk says what is missing
        return set()
    return found


def _trees_of(repo: Repository, tips: Sequence[Target]) -> set[Target]:
    """Return the nodes of the trees of some commits that refs name: all that they reach is here."""
    commits = [repo.commit(CommitId(ObjectId(wanted))) for kind, wanted in tips if kind == Kind.COMMIT]
    commits.sort(key=lambda commit: commit.committer.time)
    found: set[Target] = set()
    stack: list[Target] = [(Kind.TREE, commit.tree) for commit in commits[-_ALIKE:]]
    while stack:
        target = stack.pop()
        if target[0] == Kind.TREE and target not in found:
            found.add(target)
            stack += references(Kind.TREE, repo.store.get(target[1], Kind.TREE))
    return found


def check_rules(repo: Repository, view: View, changes: Sequence[RefChange], visitor: Visitor, rules: Rules) -> None:
    """Ask who may move which ref how.

    Raises:
        HubRefusedError: with the rule that speaks against it.
    """
    default = view.get(head_of(MAIN))
    for change in changes:
        if change.name.startswith(REQUESTS) or change.name in EXCHANGED:
            continue
        name = short_name(change.name)
        if change.new is None and isinstance(default, Symbolic) and default.target == change.name:
            raise HubRefusedError(f"{name} is the default branch of {visitor.repository} and is not deleted")
        for rule in rules.protections(visitor.repository, change.name):
            if not may(rule.push, role=visitor.role, account=visitor.account):
                raise HubRefusedError(
                    f"{name} is protected: {visitor.account} ({visitor.role}) may not push to it",
                    hint=f"push another branch, and ask {_listed(rule.push)} to take it over",
                )
            if _forward(repo, change) or may(rule.rewind, role=visitor.role, account=visitor.account):
                continue
            what = "deleted" if change.new is None else "given another history"
            raise HubRefusedError(
                f"{name} is protected and is not {what} by {visitor.account} ({visitor.role})",
                hint=f"dsvc pull joins what is there; only {_listed(rule.rewind)} may do this",
            )


def check_signatures(
    repo: Repository, view: View, changes: Sequence[RefChange], visitor: Visitor, rules: Rules, *, signers: Signers
) -> None:
    """Ask for signatures of the commits that come to the refs of which the rules want that, and of notes on purges.

    A commit that such a ref reaches already was looked at when it came.

    Raises:
        HubRefusedError: naming the first commit or tag without a good one.
    """

    def wanted(name: str) -> bool:
        return rules.signed(visitor.repository, name)

    if rules.signed_purges:
        _check_notes(repo, changes, signers)
    asked = [change for change in changes if change.new is not None and wanted(change.name)]
    if not asked:
        return
    ancestry = Ancestry(repo.walked)
    hidden = [
        CommitId(ref.id)
        for name, ref in view.tips()
        if ref.kind == Kind.COMMIT and name.startswith((HEADS, TAGS)) and wanted(name)
    ]
    tips = []
    for change in asked:
        assert change.new is not None
        if change.new.kind == Kind.TAG:
            tag = repo.tag(TagId(change.new.id))
            at = tag.tagger.time if tag.tagger is not None else 0
            reason = signers.why_not(encode_tag(tag, signed=False), tag.signature, at)
            name = short_name(change.name)
            _require(reason, f"the tag {name}", how=f"dsvc tag -d {name}, then dsvc tag -s {name} makes a signed one")
        kind, target = repo.peel(change.new.kind, change.new.id)
        if kind == Kind.COMMIT:
            tips.append(CommitId(ObjectId(target)))
    for step in walk(ancestry, tips, hidden=hidden):
        commit = repo.commit(step.id)
        reason = signers.why_not(encode_commit(commit, signed=False), commit.signature, commit.committer.time)
        how = "dsvc commit --amend -S signs the last commit, dsvc rebase -S those before it"
        _require(reason, f"commit {step.id.hex()[:10]}", how=how)


def _check_notes(repo: Repository, changes: Sequence[RefChange], signers: Signers) -> None:
    """Ask for signatures of the notes on what was purged."""
    for change in changes:
        if change.new is None or not change.name.startswith(PURGED):
            continue
        note = decode_tombstone(_noted(change.name), repo.store.get(change.new.id, change.new.kind))
        reason = signers.why_not(encode_tombstone(note, signed=False), note.signature, note.time)
        if reason is not None:
            raise HubRefusedError(
                f"the note that file {note.file_id.hex()} was purged needs a signature of somebody whom this hub "
                f"knows: {reason}",
                hint="ask an owner of the hub to purge the file there",
            )


def _noted(name: str) -> bytes:
    try:
        return bytes.fromhex(name.removeprefix(PURGED))
    except ValueError as error:
        raise HubRefusedError(f"{name} is not the note of a file") from error


def _require(reason: str | None, what: str, *, how: str) -> None:
    if reason is not None:
        raise HubRefusedError(
            f"{what} needs a signature of somebody whom this hub knows: {reason}",
            hint=f"{how}; the hub's allowed_signers says who is known",
        )


def takes_away(repo: Repository, changes: Iterable[RefChange]) -> bool:
    """Say whether a branch or tag is deleted, or given another history."""
    return any(change.name.startswith((HEADS, TAGS)) and not _forward(repo, change) for change in changes)


def _forward(repo: Repository, change: RefChange) -> bool:
    """Say whether a ref is new, or a branch that keeps all its history."""
    old, new = change.old, change.new
    if old is None:
        return True
    if new is None or old.kind != Kind.COMMIT or new.kind != Kind.COMMIT:
        return False
    return is_ancestor(Ancestry(repo.walked), CommitId(old.id), CommitId(new.id))


def _listed(who: Iterable[str]) -> str:
    words = [f"{word}s" if word in ("reader", "writer", "owner") else word.removeprefix("@") for word in who]
    return " and ".join(words) or "nobody"
