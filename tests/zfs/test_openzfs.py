"""What OpenZFS has and zfs-fuse has not: resumed streams, encryption, `zfs allow`, `zfs diff`. By `make test-zfs`."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from dsvc.errors import DsvcError
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.snapshot import decode_snapshot
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.zfs.direct import transfer
from dsvc.zfs.program import Program
from dsvc.zfs.provider import ZfsProvider
from tests.tools.zfs_pool import Pool, Said, a_pool, needs_openzfs
from tests.zfs.conftest import Project
from tests.zfs.test_direct import beside, clone_by_ssh, far, far_snapshots, hub_pool
from tests.zfs.test_remotes import clone, pushed

__all__ = ["beside", "far", "hub_pool"]
ROOT = Path(__file__).parents[2]
pytestmark = needs_openzfs


class Cut:
    """A program zfs whose `send` ends after so many bytes of its stream, as often as that is asked for."""

    def __init__(self, pool: Pool, folder: Path) -> None:
        self.size = folder / "cut"
        real = pool.run("bash", "-c", "command -v zfs").out.strip()
        program = folder / "zfs"
        program.write_text(
            f'#!/bin/bash\nif [ "$1" = send ] && [ "$2" != -nvt ] && [ -s {self.size} ]; then\n'
            f'  {real} "$@" | head -c "$(cat {self.size})"\n  exit "${{PIPESTATUS[0]}}"\nfi\nexec {real} "$@"\n'
        )
        program.chmod(0o755)
        self.path = f"{folder}:{pool.environment['PATH']}"


@pytest.fixture
def cut(pool: Pool, tmp_path: Path) -> Cut:
    folder = tmp_path / "programs"
    folder.mkdir()
    return Cut(pool, folder)


def content(pool: Pool, snapshot: str) -> str:
    """The hash of all files of a snapshot, with their names and times."""
    clone_name = f"{snapshot.partition('@')[0]}-look"
    folder = f"{pool.mountpoint}-look"
    pool.zfs("clone", "-o", f"mountpoint={folder}", snapshot, clone_name)
    try:
        said = pool.run("tar", "-C", folder, "--sort=name", "--format=posix", "-cf", "-", ".").raw
    finally:
        pool.zfs("destroy", clone_name)
    return hashlib.sha256(said).hexdigest()


@pytest.fixture
def zfs(pool: Pool) -> ZfsProvider:
    return ZfsProvider(Program(environment=pool.environment))


@pytest.mark.parametrize("increment", [False, True], ids=["whole", "increment"])
def test_a_stream_that_breaks_off_at_any_byte_goes_on(project, far_pool, cut, increment):
    (project.data / "noise").write_bytes(os.urandom(8 << 20))
    project.commit("second")
    zfs = ZfsProvider(Program(environment={**project.pool.environment, "PATH": cut.path}))
    name = f"{far_pool}/{project.dataset.partition('/')[2]}-cut"
    *_, before, kept = zfs.snapshots(project.dataset)
    sent = breaks = 0

    def advance(size: int) -> None:
        nonlocal sent
        sent += size

    base = None
    if increment:
        base = (before, transfer(zfs, zfs, before, None, name, mark="00000000", advance=advance))
    dice = random.Random(5)
    arrived = None
    for at in [0, 1, 311, 312, 5_000, *(dice.randrange(3 << 20) for _ in range(30))]:
        cut.size.write_text(str(at))
        try:
            arrived = transfer(zfs, zfs, kept, base, name, mark="00000000", advance=advance)
            break
        except DsvcError:
            breaks += 1
            there = zfs.dataset(name) is not None and zfs.snapshots(name)
            assert kept.guid not in {k.guid for k in there or ()}
    assert arrived is not None
    assert arrived.guid == kept.guid
    assert breaks > 5
    assert sent < (8 << 20) * 1.5  # what had arrived was not sent again
    assert content(project.pool, arrived.name) == content(project.pool, kept.name)


def test_a_push_that_breaks_off_goes_on(far, far_pool, cut):
    (far.data / "noise").write_bytes(os.urandom(6 << 20))
    far.commit("second")
    path = far.pool.environment["PATH"]
    cut.size.write_text(str(4 << 20))
    far.pool.environment["PATH"] = cut.path
    said = far("push")
    far.pool.environment["PATH"] = path
    assert said.code != 0
    assert "the same command again" in said.err
    said = far.ok("push", "--json").json
    assert said["bytes"] < 4 << 20
    assert len(far_snapshots(far)) == 2
    other = clone_by_ssh(far, far_pool)
    other.ok("data", "get", "-q")
    assert (other.data / "noise").read_bytes() == (far.data / "noise").read_bytes()


# Encrypted datasets.


@pytest.fixture
def secret(empty_project: Project, tmp_path: Path) -> Project:
    """A project whose dataset is encrypted, with 3 MB that would compress to nothing if they were sent in the plain."""
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    empty_project.pool.zfs(
        "create", "-o", "encryption=on", "-o", "keyformat=raw", "-o", f"keylocation=file://{key}",
        "-o", "compression=off", "-o", f"mountpoint={empty_project.folder}/data", empty_project.dataset,
    )  # fmt: skip
    empty_project.ok("data", "add", "data")
    (empty_project.data / "a").write_bytes(b"attack at dawn\n" * 200_000)
    empty_project.commit("first")
    return empty_project


def load_key(project: Project, said: str, key: Path) -> None:
    """Do what the hint of an error says."""
    hint = said.partition("hint: ")[2].splitlines()[0]
    words = hint.partition(",")[0].split()
    assert words[:2] == ["zfs", "load-key"], said
    project.pool.zfs("load-key", "-L", f"file://{key}", words[2])


def test_an_encrypted_dataset_is_never_sent_in_the_plain(secret, far_pool, tmp_path):
    hub = pushed(secret)
    stored = [p for p in hub.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in stored) > 2_900_000  # what is encrypted does not compress
    key = (tmp_path / "key").read_bytes()
    for file in stored:
        assert b"attack at dawn" not in file.read_bytes()
        assert key not in file.read_bytes()
    other = clone(secret, far_pool)
    said = other("data", "get")
    assert said.code == 3
    assert "its key is not loaded" in said.err
    load_key(other, said.err, tmp_path / "key")
    other.ok("data", "get", "-q")
    assert (other.data / "a").read_bytes() == b"attack at dawn\n" * 200_000
    assert other.ok("status", "--json").json["clean"]
    (secret.data / "a").write_bytes(b"attack at noon\n" * 200_000)
    secret.commit("second")
    secret.ok("push", "-q")
    other.ok("pull", "-q")
    assert (other.data / "a").read_bytes() == b"attack at noon\n" * 200_000
    (other.data / "b").write_bytes(b"retreat\n")
    other.commit("third")
    other.ok("push", "-q")
    secret.ok("pull", "-q")
    assert (secret.data / "b").read_bytes() == b"retreat\n"
    assert secret.ok("status", "--json").json["clean"]


# Who may do what.

ADA = ("setpriv", "--reuid=ada", "--regid=ada", "--clear-groups", "env", "HOME=/home/ada")
AS_ADA = """
import json, sys
from pathlib import Path
from dsvc.errors import DsvcError
from dsvc.zfs.provider import ZfsProvider
above, verb = sys.argv[1:]
zfs = ZfsProvider()
dataset = f"{above}/data"
snapshot = f"{dataset}@first"

def receive():
    with zfs.send(snapshot, None) as read:
        zfs.receive(f"{above}/came", iter(lambda: read(1 << 20), b""), zfs.snapshots(dataset)[0].guid, None, "00000000")

def send():
    with zfs.send(snapshot, None) as read:
        while read(1 << 20):
            pass

calls = {
    "snapshot": lambda: zfs.create([dataset], "second"),
    "hold": lambda: zfs.hold([snapshot], "dsvc:test"),
    "release": lambda: zfs.release(snapshot, "dsvc:test"),
    "clone": lambda: zfs.clone(snapshot, f"{above}/clone", None, mark="00000000"),
    "create": lambda: zfs.make(f"{above}/made", Path("none")),
    "destroy": lambda: zfs.destroy(f"{dataset}@later"),
    "rollback": lambda: zfs.rollback(snapshot),
    "send": send,
    "receive": receive,
    "differs": lambda: zfs.differs(snapshot, f"{dataset}@later"),
    "set": lambda: zfs.unmount(dataset),
}
try:
    calls[verb]()
except DsvcError as error:
    print(json.dumps([type(error).__name__, error.message, error.hint, error.details]))
else:
    print(json.dumps(None))
"""


@pytest.mark.parametrize(
    ("verb", "needed"),
    [
        ("snapshot", "snapshot"),
        ("hold", "hold"),
        ("release", "release"),
        ("clone", "clone,create,mount,mountpoint,userprop,atime"),
        ("create", "create,mount,atime,mountpoint"),
        ("destroy", "destroy,mount"),
        ("rollback", "rollback"),
        ("send", "send"),
        ("differs", "send"),
        ("receive", "receive,create,mount"),
        ("set", "mountpoint"),
    ],
)
def test_the_missing_permission_is_named_and_the_hint_gives_it(pool, verb, needed):
    """One after the other is lacking to somebody who has all the others."""
    for lacking in needed.split(","):
        above = f"{pool.name}/allow-{verb}-{lacking}"
        pool.zfs("create", "-o", "mountpoint=none", above)
        pool.zfs("create", f"{above}/data")
        pool.zfs("snapshot", f"{above}/data@first")
        if verb != "rollback":
            pool.zfs("snapshot", f"{above}/data@later")
        if verb == "release":
            pool.zfs("hold", "dsvc:test", f"{above}/data@first")
        others = [name for name in needed.split(",") if name != lacking]
        if verb == "receive":  # what goes before it, and what is done when it is there
            others += ["send", "userprop", "mountpoint", "atime"]
        if others:
            pool.zfs("allow", "ada", ",".join(others), above)

        refused = as_ada(pool, above, verb)
        assert refused is not None, f"works without {lacking}"
        kind, message, hint, _ = refused
        assert kind == "PermissionMissingError", refused
        where = above if verb in {"clone", "create", "receive"} else f"{above}/data"
        assert str(message).endswith(f"the permission {lacking} is missing on {where}"), refused
        assert hint == f"sudo zfs allow ada {lacking} {where}"
        pool.zfs(*hint.split()[2:])
        again = as_ada(pool, above, verb)
        if verb in {"clone", "create"}:  # is made, but Linux lets only root mount it
            assert again is not None
            assert "Linux lets only root mount" in str(again[1]), again
        else:
            assert again is None


def as_ada(pool: Pool, above: str, verb: str) -> list[object] | None:
    said = pool.run(*ADA, sys.executable, "-c", AS_ADA, above, verb, folder=ROOT)
    assert said.code == 0, said.err
    found: list[object] | None = said.json
    return found


def test_a_working_copy_of_somebody_else_than_root(pool):
    """With sudo for zfs alone, as Linux lets nobody else mount."""
    above, home = f"{pool.name}/ada", "/home/ada/bikes"
    pool.zfs("create", "-o", "mountpoint=none", above)

    def ada(*words: str) -> Said:
        return pool.run(*ADA, sys.executable, "-m", "dsvc", *words, folder=home)

    def ok(*words: str) -> str:
        said = ada(*words)
        assert said.code == 0, said.err
        return said.out + said.err

    assert pool.run(*ADA, "mkdir", home).code == 0
    ok("init", "-q")
    said = ada("data", "add", "data", "--zfs", f"{above}/data")
    assert said.code == 3
    assert f"sudo zfs allow ada create,mount,atime,mountpoint {above}" in said.err
    pool.zfs("allow", "ada", "create,mount,atime,mountpoint", above)
    said = ada("data", "add", "data", "--zfs", f"{above}/data")
    assert said.code == 3
    assert "Linux lets only root mount" in said.err
    ok("config", "zfs.sudo", "true")
    assert "sudo chown ada data" in ok("data", "add", "data", "--zfs", f"{above}/mine")  # what root makes is root's
    pool.run("chown", "ada", f"{home}/data")
    write = ("sh", "-c", 'echo "$0" > data/a')
    assert pool.run(*ADA, *write, "one", folder=home).code == 0
    ok("commit", "-q", "-m", "first")
    ok("switch", "-q", "-c", "other")
    assert pool.run(*ADA, *write, "two", folder=home).code == 0
    ok("commit", "-q", "-m", "second")
    ok("switch", "-q", "main")
    assert pool.inside(f"{home}/data/a").read_text() == "one\n"
    assert pool.run(*ADA, *write, "three", folder=home).code == 0
    assert "modified:   data" in ok("status")


# A pool without room.


def test_a_full_pool(tmp_path):
    with a_pool(tmp_path, "96M") as pool:
        project = Project.of_its_own(pool, tmp_path)
        (project.data / "keep").write_bytes(b"keep")
        head = project.commit("first")
        said = pool.run("sh", "-c", f"head -c 200000000 /dev/urandom > {project.folder}/data/fill")
        assert "No space left" in said.err
        before = project.snapshots()
        assert not project.ok("status", "--json").json["clean"]
        said = project("commit", "-m", "second")
        committed = said.code == 0
        if not committed:
            assert said.code == 3
            assert "there is no room" in said.err
            assert project.ok("rev-parse", "HEAD").out.strip() == head
            assert project.snapshots() == before
        said = project("switch", "--detach", head)
        assert said.code in (0, 3), said.err  # OpenZFS keeps some room for what frees room, 2.3 more than 2.1
        if said.code == 3:
            assert "there is no room" in said.err
        assert (project.data / "keep").read_bytes() == b"keep"
        print("committed" if committed else "no room for a commit", "and switch ended with", said.code)
        left = committed and said.code == 0
        assert (project.data / "fill").exists() != left
        if left:
            project.ok("switch", "-q", "main")
        (project.data / "fill").unlink()  # to cut it off takes room
        end = time.monotonic() + 120
        while (said := project("commit", "-q", "-m", "third")).code:  # blocks are given back in the background
            assert "there is no room" in said.err
            assert time.monotonic() < end
            time.sleep(0.3)
        assert project.ok("status", "--json").json["clean"]


# What a clone has of what was set.


def test_a_clone_is_stored_as_its_dataset_was_set(project):
    project.pool.zfs("set", "recordsize=1M", project.dataset)
    project.pool.zfs("set", "compression=lz4", project.dataset)
    first = project.ok("rev-parse", "HEAD").out.strip()
    (project.data / "b").write_bytes(b"b")
    project.commit("second")
    project.ok("switch", "-q", "--detach", first)
    dataset = project.pool.run("findmnt", "-n", "-o", "SOURCE", str(project.folder / "data")).out.strip()
    assert dataset != project.dataset
    words = ("get", "-Hp", "-o", "value", "recordsize,compression,atime", dataset)
    assert project.pool.zfs(*words).split() == [str(1 << 20), "lz4", "off"]
    assert (project.data / "a").read_text() == "one\n"  # reading is no change
    project.pool.run("sh", "-c", f"cat {project.folder}/data/a; zpool sync")
    assert project.ok("status", "--json").json["clean"]


# What differs.


def snapshot_calls(project: Project, tmp_path: Path) -> Path:
    """From now on each `zfs snapshot` writes a line into the file that is returned."""
    folder = tmp_path / "counted"
    folder.mkdir()
    real = project.pool.run("bash", "-c", "command -v zfs").out.strip()
    told = folder / "told"
    (folder / "zfs").write_text(f'#!/bin/bash\n[ "$1" != snapshot ] || echo "$*" >> {told}\nexec {real} "$@"\n')
    (folder / "zfs").chmod(0o755)
    project.pool.environment["PATH"] = f"{folder}:{project.pool.environment['PATH']}"
    return told


def test_what_was_not_written_to_needs_no_snapshot(project, tmp_path):
    """By `written@`, of a clone too; and what still waits to be written is seen."""
    path = project.pool.environment["PATH"]
    told = snapshot_calls(project, tmp_path)
    try:
        assert project.ok("status", "--json").json["clean"]
        (project.folder / "code").write_text("x")
        project.commit("code alone")
        assert not told.exists()
        (project.data / "a").write_text("two\n")
        assert not project.ok("status", "--json").json["clean"]
        project.commit("second")
        assert told.exists()
        project.ok("switch", "-q", "--detach", "HEAD~1")  # into a clone
        told.unlink()
        assert project.ok("status", "--json").json["clean"]
        assert not told.exists()
        (project.data / "a").write_text("three\n")
        assert not project.ok("status", "--json").json["clean"]
    finally:
        project.pool.environment["PATH"] = path


def test_diff_names_the_files_of_a_dataset(project):
    (project.data / "old").write_text("x" * 5000)
    (project.data / "sub").mkdir()
    (project.data / "sub" / "gone").write_text("x\n")
    first = project.commit("second")
    (project.data / "a").write_text("other\n")
    (project.data / "old").rename(project.data / "new")
    (project.data / "sub" / "gone").unlink()
    (project.data / "sub" / "ümläut").write_text("x\n")
    names = ["M\tdata/a", "R\tdata/old\tdata/new", "D\tdata/sub/gone", "A\tdata/sub/ümläut"]
    assert project.ok("diff", "--name-status").out.splitlines() == names  # with what no snapshot has
    assert [f["path"] for f in project.ok("diff", "--json").json["files"][0]["files"]] == [
        *("data/a", "data/new", "data/sub/gone", "data/sub/ümläut")
    ]
    second = project.commit("third")
    assert project.ok("diff", "--name-status", first, second).out.splitlines() == names
    assert project.ok("diff", "--name-only", first, second, "data/sub").out.splitlines() == [
        *("data/sub/gone", "data/sub/ümläut")
    ]
    assert project.ok("diff", "--name-only", first, second, "--", "data/sub/other").out == ""
    assert "R data/old -> data/new\n" in project.ok("diff", first, second).out
    back = project.ok("diff", "--name-status", second, first).out.splitlines()
    assert sorted(back) == sorted(["M\tdata/a", "R\tdata/new\tdata/old", "A\tdata/sub/gone", "D\tdata/sub/ümläut"])
    project.ok("switch", "-q", "--detach", first)  # a clone, whose dataset is another one
    (project.data / "a").write_text("here\n")
    assert project.ok("diff", "--name-status").out == "M\tdata\n"  # ZFS would want both mounted


DIFF = """
import sys
from dsvc.zfs.provider import ZfsProvider
print([(change.letter, change.path, change.old) for change in ZfsProvider().diff(*sys.argv[1:])])
"""
NAMES = [
    b"plain",
    b"with blank",
    b"tab\there",
    b"line\nend",
    "ümläut".encode(),
    b"back\\slash",
    b"back\\0101",
    b"no\xfftext",
]


def indexed_changes(project: Project, first: str, second: str) -> dict[bytes, str]:
    """What differs between two commits in the trees of their indexed dataset."""
    backend = LocalBackend(project.folder / ".dsvc" / "store")
    with closing(Repository.open(backend, backend.staging)) as repo:

        def files(commit: str) -> TreeId:
            entry = trees.lookup(repo.store, repo.commit(CommitId(ObjectId(bytes.fromhex(commit)))).tree, b"data")
            assert entry is not None
            tree = decode_snapshot(repo.store.get(entry.id, Kind.SNAPSHOT)).tree
            assert tree is not None
            return tree

        return {
            change.path: "A" if change.old is None else "D" if change.new is None else "M"
            for change in diff_trees(repo.store, files(first), files(second))
        }


def test_zfs_diff_says_what_a_comparison_of_the_files_says(project, zfs):
    """Of files of all kinds of names, at random added, changed, renamed, removed, replaced, below two folders."""
    dice = random.Random(7)
    root = os.fsencode(project.data)
    for folder in (b"one", b"two"):
        os.mkdir(root + b"/" + folder)
    for number in range(40):
        place = root + b"/" + dice.choice([b"one", b"two"]) + b"/" + dice.choice(NAMES) + b"-%d" % number
        Path(os.fsdecode(place)).write_bytes(os.urandom(dice.choice([0, 10, 200_000])))
    project.commit("many")
    project.ok("data", "index", "-q")
    first = project.ok("rev-parse", "HEAD").out.strip()
    before = zfs.snapshots(project.dataset)[-1]
    files = sorted(b"/".join(p) for p in ((root, d, n) for d in (b"one", b"two") for n in os.listdir(root + b"/" + d)))
    for number, place in enumerate(files):
        what = dice.randrange(6)
        if what == 0:
            os.unlink(place)
        elif what == 1:
            os.rename(
                place, root + b"/" + dice.choice([b"one", b"two"]) + b"/moved-" + dice.choice(NAMES) + b"%d" % number
            )
        elif what == 2:
            with open(place, "ab") as file:
                file.write(b"more")
        elif what == 3:  # replaced, as editors do
            Path(os.fsdecode(root + b"/new")).write_bytes(b"other content %d" % number)
            os.rename(root + b"/new", place)
        elif what == 4:
            Path(os.fsdecode(place + b"-new")).write_bytes(b"new %d" % number)
    os.mkdir(root + b"/three")
    Path(os.fsdecode(root + b"/three/x")).write_bytes(b"x")
    project.commit("changed")
    project.ok("data", "index", "-q")
    second = project.ok("rev-parse", "HEAD").out.strip()
    after = zfs.snapshots(project.dataset)[-1]
    ours = indexed_changes(project, first, second)
    told = project.pool.run(sys.executable, "-c", DIFF, before.name, after.name, folder=ROOT)
    assert told.code == 0, told.err
    said = eval(told.out)
    gone = {path for letter, path, _ in said if letter == "D"} | {old for letter, _, old in said if letter == "R"}
    came = {path for letter, path, _ in said if letter in "AR"}
    found = dict.fromkeys(gone & came, "M") | {path: "M" for letter, path, _ in said if letter == "M"}
    found |= dict.fromkeys(gone - came, "D") | dict.fromkeys(came - gone, "A")
    assert found == ours
