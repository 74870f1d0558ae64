"""Begin a run: keep the state of the working copy, and write down in the journal what is known."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dsvc.errors import DsvcError, RequestError
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import Kind, ObjectId, TreeId
from dsvc.objects.tree import CONTENT_KINDS, Entry
from dsvc.refs.names import ran_of, running_of
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.runs.journal import FOLDER, Journal, create_journal
from dsvc.runs.machine import describe_machine
from dsvc.runs.masking import Masker
from dsvc.runs.names import RunKey, new_key
from dsvc.runs.record import Authority, Run, Word, decode_run, encode_run
from dsvc.runs.values import clean_name, clean_text
from dsvc.workspace import Workspace
from dsvc.worktree import journal as checkout_journal
from dsvc.worktree.guard import Guard
from dsvc.worktree.index import Index, read_index, signature
from dsvc.worktree.journal import CheckoutRunningError
from dsvc.worktree.record import Recorded, Recorder


class InputMissingError(RequestError):
    """A declared input does not exist."""

    def __init__(self, path: bytes) -> None:
        super().__init__(
            f"the input {os.fsdecode(path)} does not exist", hint="correct the path behind -i, or leave it out"
        )


@dataclass(frozen=True, slots=True)
class Beginning:
    """What whoever begins a run says of it. Paths are absolute, as the file system spells them."""

    command: Sequence[str] = ()
    directory: bytes = b""
    name: str = ""
    description: str = ""
    params: Mapping[str, Value] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[bytes] = ()
    outputs: Sequence[bytes] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    parent: RunKey | None = None
    program: str = ""
    confirmed: bool = False
    declared_outputs: bool = False
    observation: Mapping[str, Value] = field(default_factory=dict)
    authority: Authority = "workload"
    locks: bool = True  # the environment in which it runs is that of `program`


@dataclass(slots=True)
class ActiveRun:
    """A run that is under way in this process: its journal, what is known of it, and the working copy as it began."""

    journal: Journal
    run: Run
    index: Index


def journals_of(workspace: Workspace) -> Path:
    """Return the folder of the journals of this working copy."""
    return workspace.local / FOLDER


def begin_run(
    workspace: Workspace,
    beginning: Beginning,
    *,
    masker: Masker,
    environment: Mapping[str, str],
    stored: Collection[TreeId] = (),
) -> ActiveRun:
    """Keep the state of the working copy and begin the journal of a run.

    New files that are not ignored are part of that state. The index and what `dsvc status` says stay as they are.
    States that this process has `stored` and is about to publish are not published here.

    Raises:
        CheckoutRunningError: while another process moves the files.
        InputMissingError: for a declared input that is not there. NeedsConfirmationError: as for a commit, when new
            files are very large or look like private keys. UnreadableError, UnstableFileError: naming a file.
        OSError: when the disk refuses; no journal is left then.
    """
    from dsvc.actions.run_environment import lock_environment  # 'status' asks this module for less, and often

    under_way = checkout_journal.read(workspace.journal_path)
    if under_way is not None:
        raise CheckoutRunningError(under_way.pid, under_way.host)
    for path in beginning.inputs:
        if not os.path.lexists(path):
            raise InputMissingError(path)
    moment, zone = workspace.time()
    key = new_key(moment)
    recorded = record_state(workspace, start_index(workspace), confirmed=beginning.confirmed)
    run = Run(
        key=key,
        authority=beginning.authority,
        start=moment,
        zone=zone,
        user=user_of(workspace),
        name=masker.text(clean_name(beginning.name)),
        description=masker.text(clean_text(beginning.description)),
        command=tuple(_word(word) for word in masker.words(beginning.command)),
        directory=beginning.directory,
        source=recorded.tree,
        base=workspace.head().commit_id,
        environment=(
            lock_environment(workspace, program=beginning.program, environment=environment)
            if beginning.locks
            else None
        ),
        parent=beginning.parent,
        params={name: masker.value(name, value) for name, value in beginning.params.items()},
        labels={clean_name(name): masker.text(clean_text(text)) for name, text in beginning.labels.items()},
        variables={name: _variable(masker, name, text) for name, text in beginning.variables.items()},
        machine=describe_machine(),
        observation=beginning.observation,
    )
    if run.source not in stored:
        _keep_source(workspace, run, masker)
    workspace.repo.store.abandon()  # nothing is left in it but threads, which signals for the command could reach
    journal = create_journal(journals_of(workspace), key)
    try:
        journal.write_begin(
            {
                "run": encode_run(run),
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "stamp": workspace.clock(),
                "clocks": (time.time_ns(), time.monotonic_ns()),
                "inputs": [(path, signature(os.stat(path))) for path in beginning.inputs],
                "outputs": list(beginning.outputs),
                "declared_outputs": beginning.declared_outputs,
            }
        )
        journal.note_others(_ancestors(workspace, beginning.parent))
    except BaseException:
        journal.remove()
        raise
    return ActiveRun(journal, run, recorded.index)


def _ancestors(workspace: Workspace, parent: RunKey | None) -> frozenset[bytes]:
    """Return the keys of the runs around a run, the innermost one given."""
    found: set[bytes] = set()
    while parent is not None and parent not in found:
        found.add(parent)
        begin = Journal(journals_of(workspace) / parent.hex(), parent).begin()
        payload = begin.get("run") if begin is not None else None
        parent = decode_run(payload).parent if isinstance(payload, bytes) else None
    return frozenset(found)


def record_state(workspace: Workspace, index: Index, *, confirmed: bool) -> Recorded:
    """Store the working copy as a commit would take it, and return it; nothing is published.

    Raises what a commit raises for files that cannot be taken.
    """
    guard = None if confirmed else Guard(workspace.config.get_size("commit.confirm"))
    workspace.progress.start("Storing files")
    recorder = Recorder(
        workspace.repo.store,
        workspace.root_bytes,
        index,
        workspace.ignore_rules(),
        stamp=workspace.clock(),
        progress=workspace.progress,
        guard=guard,
        datasets=workspace.datasets(),
    )
    try:
        return recorder.run()
    except BaseException:
        workspace.repo.store.abandon()
        raise
    finally:
        workspace.progress.finish()


def ran_path(workspace: Workspace) -> Path:
    """Return where it is kept what the files looked like when the last run ended."""
    return workspace.local / "ran"


def start_index(workspace: Workspace) -> Index:
    """Return the index of the working copy, with what the last run has found out of files that the index does not know.

    So a large new file is not read again for each run. Files that are ignored by now stay unknown.
    """
    index = workspace.index()
    ref = workspace.view().get(ran_of(workspace.worktree_id))
    if index.may_lack or not isinstance(ref, Direct):
        return index
    try:
        known = read_index(ran_path(workspace))
        if known is None or known.tree != ref.id:
            return index
        return _joined(workspace, index, known)
    except (DsvcError, OSError):
        return index


def _joined(workspace: Workspace, index: Index, known: Index) -> Index:
    store, rules = workspace.repo.store, workspace.ignore_rules()
    changes: dict[bytes, Entry | None] = {}
    signs: dict[bytes, bytes | None] = {}
    for change in diff_trees(store, index.tree, known.tree):
        sig = known.get(change.path)
        if change.new is None or change.new.kind not in CONTENT_KINDS or sig is None:
            continue
        if change.old is None and rules.ignored(change.path, is_directory=False):
            continue
        changes[change.path], signs[change.path] = change.new, sig
    if not changes:
        return index
    tree = trees.edit_tree(store, index.tree, changes).id
    joined = Index(TreeId(ObjectId(tree)), min(index.stamp, known.stamp), dict(index.blocks), (), index.names)
    joined.update(signs)
    return joined


def _keep_source(workspace: Workspace, run: Run, masker: Masker) -> None:
    """Let refs keep the state and the environment that a run begins with, where no other ones do."""
    ref = workspace.view().get(ran_of(workspace.worktree_id))
    kept = {workspace.head_tree(), workspace.kept_tree()}
    if isinstance(ref, Direct):
        kept.add(TreeId(ref.id))
    stored = workspace.repo.store.flush()
    assert run.source is not None
    if run.source in kept and not stored:
        return
    transaction = workspace.repo.transaction()
    name = running_of(workspace.worktree_id, run.key.hex())
    transaction.set(name, Direct(Kind.TREE, ObjectId(run.source)))
    if run.environment is not None:
        transaction.set(f"{name}/environment", Direct(Kind.ENVIRONMENT, ObjectId(run.environment)))
    workspace.publish(transaction, run_act(workspace, run, masker))


def run_act(workspace: Workspace, run: Run, masker: Masker) -> Act:
    """Return what an operation records of a run: its command line, without credentials."""
    return masked_act(workspace.act("run", f"run: {command_text(run)}"), masker)


def masked_act(act: Act, masker: Masker) -> Act:
    """Return what an operation records without the credentials in it."""
    words = masker.words(act.command)
    return replace(act, command=tuple(clean_text(word) for word in words), description=masker.text(act.description))


def command_text(run: Run, limit: int = 200) -> str:
    """Return the name of a run or else its command on one line."""
    words = [word if isinstance(word, str) else word.decode("utf-8", "replace") for word in run.command]
    return clean_text(" ".join((run.name or " ".join(words) or "Python").split()), limit)


def user_of(workspace: Workspace) -> str:
    """Return who runs something here: name and e-mail, or the login name of people without an identity."""
    try:
        identity = workspace.surroundings.identity()
    except RequestError:
        return clean_text(workspace.surroundings.user)
    return clean_text(f"{identity.name} <{identity.email}>")


def _word(word: str) -> Word:
    try:
        word.encode()
    except UnicodeEncodeError:
        return os.fsencode(word)
    return word


def _variable(masker: Masker, name: str, text: str) -> str:
    value = masker.value(name, clean_text(text))
    return value if isinstance(value, str) else ""
