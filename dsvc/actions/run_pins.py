"""Find out what a run read and wrote, from what was declared, observed, and compared before and after."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from dsvc.actions.run_begin import start_index
from dsvc.errors import DsvcError, RequestError
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.files import hash_content
from dsvc.objects.ids import ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind, is_valid_name
from dsvc.progress import Silent
from dsvc.runs.opens import Opened
from dsvc.runs.pins import Pin, Pins, PinState, Seen, put_pins
from dsvc.workspace import Workspace
from dsvc.worktree.ignore import IgnoreRules
from dsvc.worktree.index import Index, changed_at, signature
from dsvc.worktree.record import Recorder
from dsvc.worktree.storing import store_file

_SLACK = 10_000_000  # nanoseconds by which the time of a change may lag behind the clock
_CACHES = frozenset(
    {b"__pycache__", b".pytest_cache", b".mypy_cache", b".ruff_cache", b".ipynb_checkpoints", b"node_modules"}
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for inputs and outputs of a run. Paths are absolute.

    `before` and `after` are the trees of the working copy when it began and when it ended (None: not known). `inputs`
    and `outputs` were declared, inputs with the signature of their stat at that moment (empty: not known). `opened` was
    observed in the way that `how` says. `stamp` is the file system's time at the begin, `last` at the end; both are
    None where the clock was set meanwhile, so that times say nothing.
    """

    before: TreeId | None
    after: TreeId | None
    index: Index | None
    opened: Opened
    how: Seen
    inputs: Mapping[bytes, bytes] = field(default_factory=dict)
    outputs: Iterable[bytes] = ()
    stamp: int | None = None
    last: int | None = None


def find_pins(workspace: Workspace, evidence: Evidence) -> tuple[Pins, Pins]:
    """Return the inputs and the outputs of a run; what of them is to be stored is stored, and nothing published.

    Raises:
        OSError: when the store's disk refuses.
    """
    finder = _Finder(workspace, evidence)
    return finder.inputs(), finder.outputs()


class _Finder:
    def __init__(self, workspace: Workspace, evidence: Evidence) -> None:
        self._workspace = workspace
        self._store = workspace.repo.store
        self._root = os.path.realpath(workspace.root_bytes)
        self._evidence = evidence
        self._rules: IgnoreRules | None = None

    # What a run read.

    def inputs(self) -> Pins:
        found: dict[bytes, Pin] = {}
        kept: dict[bytes, Entry] = {}
        evidence = self._evidence
        for path, sig in evidence.inputs.items():
            self._input(path, Seen.DECLARED, sig, found, kept)
        for path, time in evidence.opened.read.items():
            self._input(path, evidence.how, b"", found, kept, first=time)
        return put_pins(self._store, found.values(), self._tree(kept))

    def _input(
        self, full: bytes, seen: Seen, sig: bytes, found: dict[bytes, Pin], kept: dict[bytes, Entry], *, first: int = 0
    ) -> None:
        path = self._inside(full)
        if path is None:
            path = full
        if path in found:
            found[path] = found[path]._replace(seen=found[path].seen | seen)
            return
        entry = self._lookup(self._evidence.before, path)
        if entry is not None and (entry.kind != EntryKind.TREE or seen & Seen.DECLARED):
            same = self._still(path, entry)
            found[path] = _pin(path, PinState.PINNED if same else PinState.CHANGED, seen, entry)
            kept[path] = entry
        elif entry is None and (seen & Seen.DECLARED or not self._is_noise(path)):
            loose, stored = self._loose_input(full, path, seen, sig, first)
            if loose is not None:
                found[path] = loose
            if stored is not None:
                kept[path] = stored

    def _still(self, path: bytes, entry: Entry) -> bool:
        """Say whether what stood at a path when the run began still stands there."""
        if self._evidence.after is not None:
            return self._lookup(self._evidence.after, path) == entry
        if entry.kind == EntryKind.TREE:
            with suppress(DsvcError, OSError):  # somebody is just writing there
                return self._folder_now(path) == entry
            return False
        now = _described(os.path.join(self._root, path))
        return now is not None and now.id == entry.id

    def _loose_input(
        self, full: bytes, path: bytes, seen: Seen, sig: bytes, first: int
    ) -> tuple[Pin | None, Entry | None]:
        """Return the pin of a file that was not part of the working copy when the run began: ignored, or outside."""
        declared = bool(seen & Seen.DECLARED)
        if not declared and self._lookup(self._evidence.after, path) is not None:
            return None, None  # it came into being during the run
        try:
            before = os.stat(full)
            if stat.S_ISDIR(before.st_mode):
                return self._loose_folder(path, seen) if declared else (None, None)
            store = declared and path is not full
            entry = self._stored(full) if store else _described(full)
            after = signature(os.stat(full))
        except (FileNotFoundError, NotADirectoryError):
            if not declared and (seen == Seen.PYTHON or full in self._evidence.opened.removed):
                return None, None  # Python notes the attempt: nobody saw that there ever was such a file
            return Pin(path, PinState.MISSING, seen), None
        except (OSError, RequestError):
            return (Pin(path, PinState.MISSING, seen), None) if declared else (None, None)
        if entry is None:
            return None, None
        same = signature(before) == after and self._unchanged(after, sig, full, first)
        if not same and not declared and self._was_made(full):
            return None, None
        return _pin(path, PinState.PINNED if same else PinState.CHANGED, seen, entry), entry if store else None

    def _unchanged(self, now: bytes, declared: bytes, full: bytes, first: int) -> bool:
        """Say whether a file has the content that it had when it was declared or first opened."""
        if declared:
            return now == declared
        stamp = self._evidence.stamp
        if stamp is None:
            return False
        changed = changed_at(now)
        if changed < stamp:
            return True
        return full not in self._evidence.opened.written and changed + _SLACK < first

    def _was_made(self, full: bytes) -> bool:
        """Say whether a file was written by the run before anybody read it, as far as that is known."""
        written, read = self._evidence.opened.written.get(full), self._evidence.opened.until.get(full)
        return written is not None and read is not None and written <= read

    def _loose_folder(self, path: bytes, seen: Seen) -> tuple[Pin | None, Entry | None]:
        entry = self._folder(path)
        if entry is None:
            return Pin(path, PinState.MISSING, seen), None
        state = PinState.PINNED if self._evidence.after is not None else PinState.CHANGED
        return _pin(path, state, seen, entry), entry

    # What it wrote.

    def outputs(self) -> Pins:
        found: dict[bytes, Pin] = {}
        kept: dict[bytes, Entry] = {}
        evidence = self._evidence
        if evidence.after is not None:
            for change in diff_trees(self._store, evidence.before, evidence.after):
                entry = change.new
                if entry is not None and entry.kind == EntryKind.TREE:
                    continue
                if entry is None:
                    if change.old is not None and change.old.kind != EntryKind.TREE:
                        found[change.path] = Pin(change.path, PinState.MISSING, Seen.COMPARED)
                else:
                    found[change.path] = _pin(change.path, PinState.PINNED, Seen.COMPARED, entry)
                    kept[change.path] = entry
        for full in evidence.outputs:  # before what was seen, which is not stored unless somebody declares it
            self._output(full, Seen.DECLARED, found, kept)
        for full in evidence.opened.written:
            if full not in evidence.opened.removed:
                self._output(full, evidence.how, found, kept)
        return put_pins(self._store, found.values(), self._tree(kept))

    def _output(self, full: bytes, seen: Seen, found: dict[bytes, Pin], kept: dict[bytes, Entry]) -> None:
        path = self._inside(full)
        if path is None:
            path = full
        if path in found:
            found[path] = found[path]._replace(seen=found[path].seen | seen)
            return
        declared = bool(seen & Seen.DECLARED)
        entry = self._lookup(self._evidence.after, path)
        if entry is not None:
            if entry.kind != EntryKind.TREE or declared:
                found[path] = _pin(path, PinState.PINNED, seen, entry)
                kept[path] = entry
            return
        if not declared and self._is_noise(path):
            return
        loose, stored = self._loose_output(full, path, seen)
        if loose is not None:
            found[path] = loose
        if stored is not None:
            kept[path] = stored

    def _loose_output(self, full: bytes, path: bytes, seen: Seen) -> tuple[Pin | None, Entry | None]:
        declared = bool(seen & Seen.DECLARED)
        store = path is not full and (declared or self._would_be_compared(path))
        try:
            st = os.stat(full)
            if stat.S_ISDIR(st.st_mode):
                entry = self._folder(path) if store else None
            else:
                entry = self._stored(full) if store else _described(full)
        except (OSError, RequestError):
            entry = None
        if entry is None:
            return (Pin(path, PinState.MISSING, seen), None) if declared else (None, None)
        last = self._evidence.last
        same = self._evidence.after is not None or (last is not None and changed_at(signature(st)) <= last)
        state = PinState.PINNED if same else PinState.CHANGED
        return _pin(path, state, seen, entry), entry if store else None

    def _would_be_compared(self, path: bytes) -> bool:
        """Say whether a file is left out of the comparison only because there is none: others work here, too."""
        if self._evidence.after is not None:
            return False
        self._rules = self._rules or self._workspace.ignore_rules()
        return not self._rules.ignored(path, is_directory=False)

    # Both.

    def _inside(self, full: bytes) -> bytes | None:
        """Return the path inside the working copy, None for one outside of it."""
        prefix = self._root.rstrip(b"/") + b"/"
        if not full.startswith(prefix):  # the working copy may have been reached by a link
            folder, name = os.path.split(full)
            full = os.path.join(os.path.realpath(folder), name)
        return self._true_path(full[len(prefix) :]) if full.startswith(prefix) else None

    def _true_path(self, path: bytes) -> bytes:
        index = self._evidence.index
        return index.names.true_path(path) if index is not None and index.names.enabled else path

    def _lookup(self, tree: TreeId | None, path: bytes) -> Entry | None:
        if tree is None or path.startswith(b"/"):
            return None
        entry = trees.lookup(self._store, tree, path)
        if entry is not None and entry.kind == EntryKind.REFERENCE and self._store.elsewhere is not None:
            return self._store.elsewhere.here(entry)  # a run reads what was fetched of it
        return entry

    def _is_noise(self, path: bytes) -> bool:
        """Say whether a path is of a cache, or none that can be versioned at all."""
        parts = path.strip(b"/").split(b"/")
        return not _CACHES.isdisjoint(parts) or not all(map(is_valid_name, parts))

    def _stored(self, full: bytes) -> Entry | None:
        """Store a file, or what a link leads to."""
        real = os.path.realpath(full)
        return store_file(self._store, real, signature(os.stat(real)), progress=Silent())[0]

    def _folder_now(self, path: bytes) -> Entry | None:
        """Return a folder of the working copy as it is now, read as far as its files changed since the last look."""
        workspace = self._workspace
        recorder = Recorder(
            self._store,
            workspace.root_bytes,
            start_index(workspace),
            workspace.ignore_rules(),
            stamp=workspace.clock(),
            paths=[path],
            datasets=workspace.datasets(),
        )
        return trees.lookup(self._store, recorder.run().tree, path)

    def _folder(self, path: bytes) -> Entry | None:
        """Store a folder that is ignored, with all that is in it."""
        if path.startswith(b"/"):
            return None
        recorder = Recorder(
            self._store,
            self._workspace.root_bytes,
            Index(trees.empty_tree(self._store), 0),
            IgnoreRules.nothing(self._workspace.root_bytes),
            stamp=0,
            paths=[path],
        )
        return trees.lookup(self._store, recorder.run().tree, path)

    def _tree(self, kept: Mapping[bytes, Entry]) -> TreeId | None:
        inside = {path: entry for path, entry in kept.items() if not path.startswith(b"/")}
        if not inside:
            return None
        # A folder comes before what lies in it, which it then holds already.
        covered = [path for path, entry in inside.items() if entry.kind == EntryKind.TREE]
        plain = {p: e for p, e in inside.items() if not any(p.startswith(folder + b"/") for folder in covered)}
        root = trees.edit_tree(self._store, trees.empty_tree(self._store), plain)
        return TreeId(ObjectId(root.id))


def _pin(path: bytes, state: PinState, seen: Seen, entry: Entry) -> Pin:
    return Pin(path, state, seen, EntryKind(entry.kind), ObjectId(entry.id), entry.size)


def _described(full: bytes) -> Entry | None:
    """Return the entry of a file without storing it; None where there is none, or something else."""
    try:
        with open(os.fsdecode(full), "rb", buffering=0, opener=_open_plainly) as file:
            st = os.fstat(file.fileno())
            if not stat.S_ISREG(st.st_mode):
                return None
            kind = EntryKind.EXECUTABLE if st.st_mode & 0o100 else EntryKind.FILE
            return Entry(kind, hash_content(file.read), st.st_size)
    except OSError:
        return None


def _open_plainly(path: str | bytes, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not hold us up
