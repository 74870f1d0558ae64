"""An account is served what the refs of its repository reach; what they reached once is kept where only the host is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsvc.hub.guarded import OverlayBackend
from dsvc.hub.located import locate, opened
from dsvc.hub.quarantine import Quarantine
from dsvc.objects.ids import Kind, content_id
from dsvc.objects.packlist import PackRef
from dsvc.objects.tree import EntryKind
from dsvc.repo.repository import Repository
from dsvc.storage.backend import BlobMissingError
from dsvc.storage.local import LocalBackend
from tests.hub.attacker import ANSWER, Attacker, row
from tests.hub.conftest import HubHost, Person
from tests.hub.test_attacks import Forge
from tests.hub.test_rules import started

SECRET = b"password = 1234\n"


def stores(host: HubHost, repository: str, data: bytes) -> bool:
    """Say whether a file's content is in a pack that a repository lists."""
    backend = LocalBackend(host.repo(repository))
    try:
        return Repository.open(backend, backend.staging, far=True).store.has_file(content_id(data))
    finally:
        backend.close()


def attic(host: HubHost, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(host.hub("attic", str(host.folder), *words, "--json").out)["bundles"]
    return found


def until(host: HubHost, count: int, repository: str = "vision") -> list[dict[str, object]]:
    """Wait until so many bundles are in the attic and nobody is at work there."""
    end = time.monotonic() + 60
    while time.monotonic() < end and len(attic(host)) < count:
        time.sleep(0.05)
    host.hub("put-away", str(host.folder), repository)  # waits for who is at it
    found = attic(host)
    assert len(found) == count, (host.folder / "attic" / repository / ".log").read_text()
    return found


def quiet(host: HubHost, repository: str = "vision") -> None:
    until(host, len(attic(host)), repository)


def readable(host: HubHost, name: str, repository: str) -> set[str]:
    """Return the keys of the packs that an account can read."""
    with Attacker(host, name, repository) as reader:
        reader.hello()
        _, found = reader.ask("list", prefix="packs/", after="")
        return set(found["keys"])


def sound(host: HubHost, repository: str = "vision") -> None:
    Person(host.repo(repository), host.admin.environment).ok("fsck")


def test_what_only_a_deleted_branch_reached_is_not_served(host: HubHost) -> None:
    ada, walt = started(host)
    host.user("eve", "reader")
    walt.ok("switch", "-q", "-c", "topic")
    tip = walt.commit("mine", passwords=SECRET, code=b"2\n")
    walt.ok("push", "-q", "-u", "origin", "topic")
    assert stores(host, "vision", SECRET)
    before = readable(host, "eve", "vision")
    walt.ok("push", "-q", "origin", "--delete", "topic")
    [one] = until(host, 1)
    assert (one["repository"], one["ref"], one["target"]) == ("vision", "heads/topic", tip)
    assert not stores(host, "vision", SECRET)
    with Attacker(host, "eve", "vision") as eve:
        eve.hello()
        for key in before - readable(host, "eve", "vision"):
            eve.refused("get", key=key, offset=0)
    assert before - readable(host, "eve", "vision")
    sound(host)

    # Everybody goes on, and whoever is on the host brings it back.
    host.person("eve").clone("vision").ok("fsck")
    ada.commit("second", code=b"3\n")
    ada.ok("push", "-q")
    ada.ok("fetch", "-q", str(one["path"]), "topic:topic")
    assert ada.ok("cat", "topic:passwords").raw == SECRET
    ada.ok("push", "-q", "origin", "topic")
    assert stores(host, "vision", SECRET)
    sound(host)


def test_what_a_rewound_branch_reached(host: HubHost) -> None:
    ada, walt = started(host)
    large = bytes(range(256)) * 4000
    walt.ok("switch", "-q", "-c", "topic")
    walt.commit("mine", data=large, passwords=SECRET)
    walt.ok("push", "-q", "-u", "origin", "topic")
    walt.ok("rm", "-q", "passwords")
    walt.ok("commit", "-q", "--amend", "-m", "mine")
    walt.ok("push", "-q", "--force-with-lease")
    [one] = until(host, 1)
    assert not stores(host, "vision", SECRET)
    assert stores(host, "vision", large)
    size = one["bytes"]
    assert isinstance(size, int)
    assert size < 20_000, "what stays is not kept twice"
    ada.ok("fetch", "-q")
    ada.ok("fetch", "-q", str(one["path"]), "topic:old")
    assert ada.ok("cat", "old:passwords").raw == SECRET
    assert ada.ok("cat", "old:data").raw == large
    assert ada("ls", "-r", "origin/topic").out.count("data") == 1
    sound(host)


def test_the_log_of_the_hub_says_all_that_was_done(host: HubHost) -> None:
    ada, walt = started(host)
    walt.ok("push", "-q", "origin", "main:topic")
    walt.commit("mine", code=b"2\n")
    walt.ok("push", "-q", "origin", "main:topic")
    walt.ok("push", "-q", "origin", "--delete", "topic")
    until(host, 1)
    ada.commit("second", code=b"3\n")
    ada.ok("push", "-q")
    said = json.loads(host.hub("log", str(host.folder), "--json").out)["entries"]
    assert [(e["account"], e["what"]) for e in said] == [
        ("ada", "push"), ("walt", "push"), ("walt", "push"), ("walt", "push"), ("ada", "push"), ("ada", "init"),
    ]  # fmt: skip


def test_a_merged_branch_leaves_nothing_behind(host: HubHost) -> None:
    _, walt = started(host)
    walt.commit("mine", code=b"2\n")
    walt.ok("push", "-q", "origin", "main:topic")
    walt.ok("push", "-q", "origin", "main:main")
    walt.ok("tag", "-a", "-m", "first one", "v1")
    walt.ok("push", "-q", "origin", "v1")
    walt.ok("push", "-q", "origin", "--delete", "topic")
    quiet(host)
    assert attic(host) == []
    walt.ok("push", "-q", "origin", "--delete", "v1")
    [one] = until(host, 1)
    assert one["ref"] == "tags/v1"
    walt.ok("tag", "-d", "v1")
    walt.ok("fetch", "-q", str(one["path"]), "tags/v1:tags/v1")
    assert "first one" in walt.ok("show", "v1").out

    # A tag inside of a branch that goes too.
    walt.commit("more", code=b"3\n")
    walt.ok("tag", "-a", "-m", "inner", "v2")
    walt.commit("most", code=b"4\n")
    walt.ok("push", "-q", "origin", "main:topic", "v2")
    walt.ok("push", "-q", "origin", "--delete", "topic", "v2")
    assert {one["ref"] for one in until(host, 3)} == {"tags/v1", "tags/v2", "heads/topic"}


def test_what_no_ref_of_a_push_reaches_is_not_listed(host: HubHost, tmp_path: Path) -> None:
    ada, _ = started(host)
    host.user("mallory", "writer")
    forge = Forge(tmp_path / "forge")
    forge.store.put(Kind.CHUNK, SECRET)
    commit = forge.commit()
    packs = forge.packs()
    with Attacker(host, "mallory", "vision") as mallory:
        mallory.hello()
        for ref, data in packs:
            mallory.put(ref.key, data)
        target = [int(Kind.COMMIT), commit]
        kind, said = mallory.ask(
            "publish", base=bytes(32), refs=[["heads/hers", None, target]], packs=[row(ref) for ref, _ in packs]
        )
        assert kind == ANSWER, said
    assert not stores(host, "vision", SECRET)
    ada.ok("fetch", "-q")
    assert ada.ok("rev-parse", "origin/hers").out.strip() == commit.hex()
    sound(host)


def test_steps_over_the_same_packs(host: HubHost, tmp_path: Path) -> None:
    """What a step leaves over may be collected, changed or purged before the next one."""
    ada, _ = started(host)
    host.user("mallory", "writer")
    forge = Forge(tmp_path / "forge")
    other = b"other\n"
    forge.store.put(Kind.CHUNK, SECRET)
    forge.store.put(Kind.CHUNK, other)
    first = forge.commit()
    second = forge.commit((b"passwords", EntryKind.FILE, content_id(SECRET), len(SECRET)))
    third = forge.commit((b"other", EntryKind.FILE, content_id(other), len(other)))
    packs = forge.packs()
    with Attacker(host, "mallory", "vision") as mallory:
        mallory.hello()
        for ref, data in packs:
            mallory.put(ref.key, data)

        def publish(name: str, commit: bytes, *offered: PackRef) -> str | None:
            kind, said = mallory.ask(
                "publish",
                base=bytes(32),
                refs=[[f"heads/{name}", None, [int(Kind.COMMIT), commit]]],
                packs=[row(ref) for ref in offered],
            )
            return None if kind == ANSWER else str(said["message"])

        assert publish("x", first, *(ref for ref, _ in packs)) is None
        assert not stores(host, "vision", SECRET)
        ada.ok("push", "-q", "origin", "--delete", "x")
        until(host, 1)
        for ref, data in packs:  # the same index, other content
            mallory.put(ref.key, bytes(ref.index_offset) + data[ref.index_offset :])
        assert publish("y", first, *(ref for ref, _ in packs)) is None
        assert publish("z", second) is None
        assert stores(host, "vision", SECRET)
        sound(host)
        clone = host.admin.directory / "upkeep"
        host.admin.ok("clone", "-q", str(host.repo("vision")), str(clone))
        Person(clone, host.admin.environment).ok(
            "purge", content_id(SECRET).hex(), "--remote", str(host.repo("vision")), "--reason", "test", "--yes"
        )
        assert "purged" in str(publish("w", third))
    assert not stores(host, "vision", SECRET)
    ada.ok("fetch", "-q")
    assert {line.strip() for line in ada.ok("branch", "-r").out.splitlines()} >= {"origin/y", "origin/z"}
    sound(host)
    left = [path for path in (host.folder / "quarantine").rglob("*") if path.is_dir() and path.parent.name == "held"]
    assert left == []


def test_what_is_released_is_asked_of_the_pool_alone(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine")
    (tmp_path / "pool").mkdir()
    pool = OverlayBackend(tmp_path / "pool", quarantine)
    key, other = (f"packs/{digit * 64}" for digit in "ab")
    for each in (key, other):
        quarantine.put(each, b"pack")
    pool.release([key])
    assert pool.missing([key, other]) == []
    (tmp_path / "pool" / key).unlink()  # collected before it was listed
    assert pool.missing([key, other]) == [key]
    assert pool.get(other) == b"pack"
    with pytest.raises(BlobMissingError):
        pool.get(key)


def test_what_was_not_put_away_is_by_the_next_visit(host: HubHost) -> None:
    ada, walt = started(host)
    walt.ok("push", "-q", "origin", "main:topic")
    attic_of = host.folder / "attic" / "vision"
    attic_of.mkdir(parents=True)
    (attic_of / ".log").symlink_to(host.folder / "no" / "such" / "place")  # so that nothing can be started
    walt.ok("switch", "-q", "-c", "topic")
    walt.commit("mine", passwords=SECRET)
    walt.ok("push", "-q", "origin", "topic")
    walt.ok("push", "-q", "origin", "--delete", "topic")
    assert stores(host, "vision", SECRET)
    (attic_of / ".log").unlink()
    ada.ok("fetch", "-q")
    [one] = until(host, 1)
    assert one["ref"] == "heads/topic"
    assert not stores(host, "vision", SECRET)
    assert not (attic_of / ".due").exists()
    assert not (attic_of / ".taken").exists()


def test_a_purge_through_a_link(host: HubHost) -> None:
    _, walt = started(host)
    walt.ok("switch", "-q", "-c", "topic")
    walt.commit("mine", passwords=SECRET)
    walt.ok("push", "-q", "origin", "topic:main")
    walt.commit("more", other=b"more\n", passwords=SECRET + b"2")
    walt.ok("push", "-q", "origin", "topic")
    walt.ok("push", "-q", "origin", "--delete", "topic")
    [one] = until(host, 1)
    link = host.base / "link"
    link.symlink_to(host.folder)
    clone = host.base / "upkeep"
    host.admin.ok("clone", "-q", str(link / "repos" / "vision"), str(clone))
    admin = Person(clone, host.admin.environment)
    where = ("--remote", str(link / "repos" / "vision"), "--reason", "test", "--yes")
    admin.ok("purge", content_id(SECRET).hex(), *where)
    assert len(attic(host)) == 1
    admin.ok("fetch", "-q", str(one["path"]), "topic:topic")
    admin.ok("push", "-q", "origin", "topic")
    admin.ok("purge", content_id(b"more\n").hex(), *where)
    assert attic(host) == []


def test_deleted_and_pushed_again_at_once(host: HubHost) -> None:
    _, walt = started(host)
    walt.ok("switch", "-q", "-c", "topic")
    walt.commit("mine", passwords=SECRET)
    walt.ok("push", "-q", "origin", "topic")
    for turn in range(6):
        walt.ok("push", "-q", "origin", "--delete", "topic" if not turn else f"topic{turn}")
        time.sleep(0.15 * turn)
        walt.ok("push", "-q", "origin", f"topic:topic{turn + 1}")
    quiet(host)
    sound(host)
    assert host.user("eve", "reader").clone("vision").ok("cat", "origin/topic6:passwords").raw == SECRET


def test_names_of_all_kinds(host: HubHost) -> None:
    ada, _ = started(host)
    for name in ("ä/" + "漢" * 60, "-x", "a+b"):
        ada.ok("push", "-q", "origin", f"main:refs/heads/{name}")
        ada.commit(name, code=name.encode())
        ada.ok("push", "-q", "origin", f"main:refs/heads/{name}")
        ada.ok("push", "-q", "origin", "--delete", f"refs/heads/{name}")
        until(host, 1)
        [one] = attic(host, "vision")
        assert one["ref"] == f"heads/{name}"
        Path(str(one["path"])).unlink()
    tree = ada.ok("rev-parse", "HEAD^{tree}").out.strip()
    ada.ok("tag", "of-a-tree", tree)
    ada.ok("push", "-q", "origin", "of-a-tree")
    ada.ok("push", "-q", "origin", "--delete", "tags/of-a-tree")
    [one] = until(host, 1)
    assert one["target"] == tree


def test_a_fork_does_not_serve_the_requests_of_its_parent(host: HubHost) -> None:
    _, walt = started(host)
    walt.ok("switch", "-q", "-c", "topic")
    walt.commit("mine", passwords=SECRET)
    walt.ok("push", "-q", "-u", "origin", "topic")
    walt.ok("request", "open", "-m", "take this", "topic")
    walt.ok("push", "-q", "origin", "--delete", "topic")
    until(host, 1)
    assert stores(host, "vision", SECRET), "the request needs it"
    host.person("ada").ok("fork", "-q", "ssh://127.0.0.1/vision", "ssh://127.0.0.1/copy")
    end = time.monotonic() + 60
    while held(host, "copy", SECRET) and time.monotonic() < end:
        time.sleep(0.05)
    assert not held(host, "copy", SECRET)
    host.hub("put-away", str(host.folder), "copy")
    for name in ("vision", "copy"):
        sound(host, name)
    assert held(host, "vision", SECRET)


def held(host: HubHost, name: str, data: bytes) -> bool:
    """The same as `stores`, of a repository that may be a fork."""
    with opened(locate(host.folder / "repos", name)) as repo:
        return repo.store.has_file(content_id(data))


def test_rules_and_what_ends_it(host: HubHost) -> None:
    _, walt = started(host)

    def push_and_delete() -> None:
        walt.ok("push", "-q", "origin", "topic")
        walt.ok("push", "-q", "origin", "--delete", "topic")

    walt.ok("switch", "-q", "-c", "topic")
    walt.commit("mine", passwords=SECRET)
    host.rules("put_away = false\n")
    push_and_delete()
    assert attic(host) == []
    assert stores(host, "vision", SECRET)
    host.rules("attic_days = 0\n")
    host.hub("put-away", str(host.folder), "vision")
    assert attic(host) == []
    assert not stores(host, "vision", SECRET)

    host.rules("")
    push_and_delete()
    until(host, 1)
    clone = host.admin.directory / "upkeep"
    host.admin.ok("clone", "-q", str(host.repo("vision")), str(clone))
    Person(clone, host.admin.environment).ok(
        "purge", content_id(b"1\n").hex(), "--remote", str(host.repo("vision")), "--reason", "test", "--yes"
    )
    assert len(attic(host)) == 1, "it does not hold that"
    host.rules("attic_days = 0\n")
    time.sleep(0.01)
    host.hub("put-away", str(host.folder), "vision")
    assert attic(host) == []
    host.rules("")
    push_and_delete()
    until(host, 1)
    host.hub("delete", str(host.folder), "vision", "--yes")
    assert attic(host) == []


def test_many_rewind_their_branches_at_once(host: HubHost) -> None:
    started(host)
    script = """
dsvc() { "$PYTHON" -m dsvc "$@"; }
set -e
dsvc switch -q -c topic$1
for turn in 0 1 2 3; do
    echo $1 $turn > mine
    dsvc add mine
    if [ $turn = 0 ]; then dsvc commit -q -m first; else dsvc commit -q --amend -m "turn $turn"; fi
    dsvc push -q --force-with-lease -u origin topic$1
done
"""
    people = [host.user(f"w{n}", "writer").clone("vision") for n in range(5)]
    running = [
        subprocess.Popen(
            ["sh", "-c", script, "sh", str(n)],
            cwd=person.directory,
            env={**person.environment, "PYTHON": sys.executable},
            stderr=subprocess.PIPE,
            text=True,
        )
        for n, person in enumerate(people)
    ]
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * len(people), said
    until(host, 3 * len(people))
    sound(host)
    fresh = host.user("eve", "reader").clone("vision")
    fresh.ok("fsck")
    for n in range(len(people)):
        assert fresh.ok("cat", f"origin/topic{n}:mine").raw == f"{n} 3\n".encode()
        assert not stores(host, "vision", f"{n} 2\n".encode())
