"""A project whose dsvc processes can be killed, and what it looks like from outside afterwards.

Every command runs in a forked process of its own, with the modules loaded already, so that a kill hits its work and
not the start of Python. Nothing of dsvc runs in the process that forks.
"""

import importlib
import io
import json
import os
import pickle
import pkgutil
import re
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blake3 import blake3

import dsvc
from dsvc.actions.gc import collect
from dsvc.commands.entry import run
from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.tree import EntryKind
from dsvc.refs.view import Direct, Symbolic
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

CALLS = ("rename", "replace", "link", "unlink", "fsync", "mkdir", "rmdir", "symlink", "write", "writev")
PASSING = re.compile(r"/saved$|/moving/")  # refs that keep files for the last command of a worktree alone


def load_everything() -> None:
    """Import every module of dsvc and what it uses, so that a forked process has it all."""
    for module in pkgutil.walk_packages(dsvc.__path__, "dsvc."):
        if module.name != "dsvc.__main__" and not module.name.startswith("dsvc.integrations."):
            importlib.import_module(module.name)
    importlib.import_module("pygit2")
    run(["status", "--help"], {}, stdin=io.BytesIO(), stdout=io.BytesIO(), stderr=io.BytesIO())


load_everything()


@dataclass
class Answer:
    code: int
    out: str
    err: str


@dataclass
class State:
    """What a user sees: refs, files (path -> mode and content), and what `dsvc status` says of them."""

    refs: dict[str, str]
    files: dict[bytes, tuple[int, bytes]]
    status: dict[str, Any]

    def difference(self, other: "State") -> str:
        found = []
        for name in ("refs", "files"):
            mine, theirs = getattr(self, name), getattr(other, name)
            keys = [key for key in sorted(mine.keys() | theirs.keys()) if mine.get(key) != theirs.get(key)]
            found += [f"{name} {key!r}: {mine.get(key)} / {theirs.get(key)}" for key in keys]
        keys = [key for key in self.status if self.status[key] != other.status.get(key)]
        found += [f"status {key}: {self.status[key]} / {other.status.get(key)}" for key in keys]
        return "\n".join(found)


@dataclass
class Look:
    """What a user sees, the ids of the files that any operation reaches, and of those that the newest one does."""

    state: State
    stored: set[bytes]
    current: set[bytes]
    trees: dict[bytes, frozenset[bytes]]

    def present(self) -> set[bytes]:
        # An empty folder has no content that could lie anywhere else; that it is there is part of the state.
        return {content for _, content in self.state.files.values() if content}


def lost_contents(before: Look, now: Look, after: Look, *, collected: bool) -> set[bytes]:
    """Return what was there before a command and is nowhere any more, though nothing and nobody let it go.

    When all garbage was `collected`, what only older operations reach may be gone.
    """
    kept = before.stored
    if collected:
        kept = before.current if now.state == before.state else after.current
    return (kept | before.present()) - now.present() - now.stored


@dataclass
class Project:
    """A working copy at `folder`; `trees` remembers which files the trees hold that were looked at."""

    folder: Path
    clock: int = 1_700_000_000
    home: Path | None = None
    trees: dict[bytes, frozenset[bytes]] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        home = self.home or self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DSVC_USER_NAME": "Ada Example",
            "DSVC_USER_EMAIL": "ada@example.com",
            "DSVC_DATE": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(self.clock)),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def copy(self, to: Path) -> "Project":
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.folder, to, symlinks=True)
        return Project(to, self.clock, self.home, self.trees)

    def run(self, *words: str) -> Answer:
        answer, killed = self.try_to_run(words)
        assert not killed
        assert answer is not None
        return answer

    def ok(self, *words: str) -> str:
        answer = self.run(*words)
        assert answer.code == 0, f"dsvc {' '.join(words)}: exit code {answer.code}\n{answer.err}"
        return answer.out

    def try_to_run(
        self, words: tuple[str, ...], *, after: float | None = None, at_call: int | None = None
    ) -> tuple[Answer | None, bool]:
        """Run a command and kill it `after` seconds, or before the n-th call that changes the disk.

        Returns its answer, None when it was killed, and whether it was.
        """

        def work() -> Answer:
            if at_call is not None:
                die_before(at_call)
            return self.here(*words)

        result, status = apart(work, after=after)
        if result is None:
            assert os.WIFSIGNALED(status), f"dsvc {' '.join(words)} ended by itself without an answer: {status}"
            return None, True
        return result, False

    def here(self, *words: str) -> Answer:
        """Run a command in this process, which should be a forked one."""
        out, err = io.BytesIO(), io.BytesIO()
        code = run(words, self.environment(), stdin=io.BytesIO(), stdout=out, stderr=err, directory=self.folder)
        return Answer(code, out.getvalue().decode("utf-8", "replace"), err.getvalue().decode("utf-8", "replace"))

    def state(self) -> State:
        """Return what a user sees; this runs `dsvc status`, which must work."""
        return self.look(check=False).state

    def look(self, *, check: bool = True) -> "Look":
        """Return what a user sees and what is stored; with `check` fsck must find nothing and the index must fit."""

        def work() -> Look:
            said = self._say("status", "--json")
            state = State(self._refs(), self.files(), json.loads(said))
            if check:
                self._say("fsck", "-q")
                (self.folder / ".dsvc" / "worktree" / "index").unlink(missing_ok=True)
                anew = json.loads(self._say("status", "--json"))
                assert anew == state.status, f"the index does not fit the files:\n{state.status}\nanew:\n{anew}"
            return Look(state, self._stored(newest_only=False), self._stored(newest_only=True), self.trees)

        found: Look = self.inside(work)
        self.trees = found.trees
        return found

    def _say(self, *words: str) -> str:
        answer = self.here(*words)
        assert answer.code == 0, f"dsvc {' '.join(words)}: exit code {answer.code}\n{answer.err}{answer.out}"
        return answer.out

    def files(self) -> dict[bytes, tuple[int, bytes]]:
        root = os.fsencode(self.folder)
        found: dict[bytes, tuple[int, bytes]] = {}
        for base, folders, names in os.walk(root):
            if base == root:
                folders.remove(b".dsvc")
            for name in names + [f for f in folders if os.path.islink(os.path.join(base, f))]:
                path = os.path.join(base, name)
                mode = os.lstat(path).st_mode
                content = os.readlink(path) if stat.S_ISLNK(mode) else Path(os.fsdecode(path)).read_bytes()
                found[os.path.relpath(path, root)] = (mode, blake3(content).digest())
            if not names and not folders:
                found[os.path.relpath(base, root) + b"/"] = (0, b"")
        return found

    def collect_from_elsewhere(self) -> None:
        """Collect all garbage as another worktree's gc would: without a look at this working copy."""

        def work() -> bool:
            repo = self._open()
            collect(repo, now=(self.clock + 3600) * 1_000_000, grace=0, prune_all=True)
            repo.close()
            return True

        self.inside(work)

    def inside(self, work: Callable[[], Any]) -> Any:
        result, status = apart(work)
        assert result is not None, f"the process ended with {status}"
        return result

    def _open(self) -> Repository:
        backend = LocalBackend(self.folder / ".dsvc" / "store")
        return Repository.open(backend, backend.staging)

    def _refs(self) -> dict[str, str]:
        found = {}
        for name, ref in self._open().view().items():
            if not name.startswith("added/") and not PASSING.search(name):
                found[name] = ref.target if isinstance(ref, Symbolic) else ref.id.hex()
        return found

    def _stored(self, *, newest_only: bool) -> set[bytes]:
        """Return the ids of all files that refs reach, of every operation or of the newest one alone."""
        repo = self._open()
        found: set[bytes] = set()
        commits: set[bytes] = set()
        views: set[bytes] = set()
        for operation_id, operation in repo.log.walk(repo.head.operation):
            if operation.view in views:
                continue
            views.add(operation.view)
            for name, ref in repo.log.view(operation_id).items():
                if isinstance(ref, Direct) and not (newest_only and PASSING.search(name)):
                    self._add(repo, repo.peel(ref.kind, ref.id), found, commits)
            if newest_only:
                break
        return found

    def _add(self, repo: Repository, target: tuple[Kind, bytes], found: set[bytes], commits: set[bytes]) -> None:
        kind, object_id = target
        if kind == Kind.TREE:
            if object_id not in self.trees:
                self.trees[object_id] = frozenset(
                    entry.id for _, entry in trees.walk(repo.store, object_id) if entry.kind != EntryKind.TREE
                )
            found |= self.trees[object_id]
            return
        waiting = [object_id] if kind == Kind.COMMIT else []
        while waiting:
            commit_id = waiting.pop()
            if commit_id not in commits:
                commits.add(commit_id)
                commit = repo.commit(commit_id)
                self._add(repo, (Kind.TREE, commit.tree), found, commits)
                waiting += commit.parents


def apart(work: Callable[[], Any], *, after: float | None = None) -> tuple[Any, int]:
    """Run `work` in a forked process and return its result; None and the exit status when it was killed."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.setsid()
                pickle.dump(work(), answer)
                answer.flush()
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(code)
        if after is not None:
            time.sleep(after)
            for kill in (lambda: os.killpg(child, signal.SIGKILL), lambda: os.kill(child, signal.SIGKILL)):
                try:
                    kill()
                except ProcessLookupError:
                    continue
        _, status = os.waitpid(child, 0)
        if status != 0:
            return None, status
        answer.seek(0)
        return pickle.load(answer), status


def die_before(number: int) -> None:
    """Let this process kill itself before its `number`-th call (from 1) that changes the disk."""
    lock, count = threading.Lock(), [0]

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            with lock:
                count[0] += 1
                if count[0] == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return counted

    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))
