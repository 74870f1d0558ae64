"""Random histories of two people: a push and a fetch bring what the refs reach, all of it, once, and nothing else."""

from __future__ import annotations

import collections
import itertools
import random
import sys
import tempfile
import time
from pathlib import Path

from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.actions.fsck import check
from dsvc.objects.ids import Kind
from dsvc.refs.view import Direct
from dsvc.repo.reachable import references
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import CommandLine

sys.setrecursionlimit(40_000)  # as the program does, or Hypothesis wonders who did

SHARED = frozenset({Kind.COMMIT, Kind.TREE, Kind.TAG, Kind.CHUNK, Kind.FILE_MAP, Kind.MAP_PAGE})
BIG = random.Random(1).randbytes(700_000)
NAMES = ("a", "b", "d/a", "d/e/a")
STEPS = st.sampled_from(
    [
        *(("write", name, content) for name in NAMES for content in range(4)),
        *(("commit",),) * 8,
        ("remove", "a"),
        ("remove", "d/a"),
        ("amend",),
        ("undo",),
        ("stash",),
        ("branch", "x"),
        ("branch", "y"),
        ("switch", "x"),
        ("switch", "main"),
        ("merge", "x"),
        ("tag", "t"),
        ("gc",),
        *(("push",),) * 3,
        ("push all",),
        ("delete", "x"),
        ("pull",),
        ("fetch",),
        ("other",),
    ]
)


def content(number: int) -> bytes:
    return b"" if number == 0 else b"%d\n" % number if number == 1 else BIG[: 700_000 - 200_000 * (number - 2)]


class Two:
    """Ada and Bob, who take turns; what they pushed is remembered."""

    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "home").mkdir()
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(base / "home"), "LANG": "C.UTF-8"}
        self.environment |= {"DSVC_USER_EMAIL": "x@example.com", "GIT_CONFIG_NOSYSTEM": "1"}
        self.pushed: set[tuple[int, bytes]] = set()
        self.clock = itertools.count(1_700_000_000)
        (base / "ada").mkdir()
        self.names = ["ada", "bob"]
        ada = self.person()
        ada.ok("init", "-q")
        self.write("a", content(1))
        ada.ok("commit", "-q", "-m", "first")
        ada.ok("remote", "add", "-q", "origin", "../hub")
        self.push("main")
        CommandLine(base, self.environment | {"DSVC_USER_NAME": "bob"}).ok("clone", "-q", "hub", "bob")

    def person(self) -> CommandLine:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(next(self.clock)))
        date = {"DSVC_DATE": moment, "DSVC_USER_NAME": self.names[0]}
        return CommandLine(self.base / self.names[0], self.environment | date)

    def write(self, name: str, data: bytes) -> None:
        path = self.base / self.names[0] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def step(self, verb: str, *words: str | int) -> None:
        match verb:
            case "write":
                self.write(str(words[0]), content(int(words[1])))
            case "remove":
                (self.base / self.names[0] / str(words[0])).unlink(missing_ok=True)
            case "other":
                self.names.reverse()
            case "push":
                self.push()
            case "push all":
                self.push("--all", "--tags")
            case "pull":
                if self.person()("pull", "-q").code == 13:
                    self.person()("merge", "--abort")
                self.check_clone()
            case "fetch":
                self.person().ok("fetch", "-q", "--prune")
                self.check_clone()
            case _:
                self.person()(*COMMANDS[verb], *map(str, words))
                if verb == "merge":
                    self.person()("merge", "--abort")

    def push(self, *words: str) -> None:
        answer = self.person()("push", "-q", "-f", "origin", *(words or ("HEAD",)))
        assert answer.code in (0, 3, 12), answer.err
        hub = self.open(self.base / "hub")
        self.pushed |= reached(hub)
        stored = objects(hub)
        assert reached(hub) <= stored.keys()
        assert stored.keys() <= self.pushed, "something private is in the hub"
        assert max(stored.values()) == 1, "something was sent that was there"
        assert [d.message for d in check(hub).damage] == []

    def check_clone(self) -> None:
        clone = self.open(self.base / self.names[0] / ".dsvc" / "store")
        hub = self.open(self.base / "hub")
        stored = objects(clone).keys()
        assert reached(hub) <= stored, "something of the hub was not fetched"
        assert [d.message for d in check(clone).damage] == []

    @staticmethod
    def open(root: Path) -> Repository:
        backend = LocalBackend(root)
        return Repository.open(backend, backend.staging)


COMMANDS = {
    "commit": ("commit", "-q", "-m", "some work"),
    "amend": ("commit", "-q", "--amend", "-m", "better work"),
    "undo": ("undo", "-q"),
    "stash": ("stash", "-q"),
    "branch": ("switch", "-q", "-c"),
    "switch": ("switch", "-q", "-f"),
    "merge": ("merge", "-q"),
    "tag": ("tag", "-f", "-m", "a tag"),
    "gc": ("gc", "-q", "--prune=now"),
    "delete": ("push", "-q", "-d", "origin"),
}


def objects(repo: Repository) -> collections.Counter[tuple[int, bytes]]:
    """How often each object lies in the packs that are listed, of the kinds that are shared."""
    found: collections.Counter[tuple[int, bytes]] = collections.Counter()
    for ref in repo.head.packs.packs:
        for object_id, place in repo.store.packs.index(ref).objects():
            if place.kind in SHARED and object_id != EMPTY:
                found[place.kind, bytes(object_id)] += 1
    return found


EMPTY = blake3(b"").digest()  # it need not be stored


def reached(repo: Repository) -> set[tuple[int, bytes]]:
    """What the shared refs reach, found the slow way."""
    found: set[tuple[int, bytes]] = set()
    stack = [
        (ref.kind, bytes(ref.id))
        for name, ref in repo.view().items()
        if isinstance(ref, Direct) and name.startswith(("heads/", "tags/"))
    ]
    while stack:
        kind, wanted = stack.pop()
        if kind == Kind.CHUNK and not repo.store.has(wanted, kind) and repo.store.has(wanted, Kind.FILE_MAP):
            kind = Kind.FILE_MAP
        elif kind == Kind.FILE_MAP and not repo.store.has(wanted, kind):
            kind = Kind.CHUNK
        if (kind, wanted) not in found and wanted != EMPTY:
            found.add((kind, wanted))
            stack += references(kind, repo.store.get(wanted, kind)) if kind != Kind.CHUNK else ()
    return found


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=8, max_size=30))
def test_two_people(steps: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        two = Two(Path(base))
        for step in steps:
            two.step(*step)
        two.push("--all", "--tags")
        two.step("fetch")
        two.step("other")
        two.step("fetch")
