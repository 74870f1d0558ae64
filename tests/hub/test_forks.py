"""Accounts fork what they may read: at once, within one pool, and nobody reads what is another's."""

from __future__ import annotations

import random

import pytest

from dsvc.objects.ids import Kind
from dsvc.refs.log import read_head
from dsvc.repo.member import member_of
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import CommandLine
from tests.hub.attacker import Attacker, row
from tests.hub.conftest import HubHost, Person

SECRET = b"the key is under the mat\n" * 40


def tending(host: HubHost) -> CommandLine:
    """Whoever runs the hub, in some years, in a repository from which its remotes are tended."""
    environment = {**host.admin.environment, "DSVC_DATE": "2090-01-01T12:00:00+01:00"}
    later = CommandLine(host.admin.directory, environment)
    later.ok("init", "-q")
    return later


def stored(host: HubHost) -> int:
    return sum(path.stat().st_size for path in host.folder.rglob("packs/*"))


@pytest.fixture
def ada(host: HubHost) -> Person:
    """An owner of team/, whose repository team/vision has a commit."""
    ada = host.user("ada", "owner", "--repo", "team/*").start("team/vision")
    ada.commit("first", code=b"print(1)\n", data=b"x" * 300_000)
    ada.ok("push")
    return ada


@pytest.fixture
def bob(host: HubHost, ada: Person) -> Person:
    """Bob may read team/ and do what he wants in bob/."""
    host.user("bob", "reader", "--repo", "team/*")
    return host.user("bob", "owner", "--repo", "bob/*")


def test_a_fork_by_a_reader(host: HubHost, ada: Person, bob: Person) -> None:
    before = stored(host)
    said = bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"))
    assert said.out.strip() == bob.address("bob/vision")
    assert "nothing was copied" in said.err
    assert stored(host) - before < 1000

    cloned = bob("clone", bob.address("bob/vision"), "mine")
    assert "fork of ssh://127.0.0.1/team/vision" in cloned.err
    mine = Person(bob.directory / "mine", bob.environment, host=host)
    assert "upstream" in mine.ok("remote").out
    mine.commit("of bob", extra=b"bob\n")
    mine.ok("push")
    assert "of bob" not in ada.ok("fetch").err
    assert ada("push", "origin", "main").code == 0

    listed = host.hub("forks", str(host.folder), "team/vision", "--json").json
    assert [(one["name"], one["parent"]) for one in listed["repositories"]] == [
        ("bob/vision", "team/vision"),
        ("team/vision", None),
    ]
    said = host.hub("log", str(host.folder), "bob/vision")
    assert "bob  bob/vision  fork of team/vision" in said.out


def test_what_came_upstream_since(host: HubHost, ada: Person, bob: Person) -> None:
    bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"))
    mine = bob.clone("bob/vision")
    head = ada.commit("second", code=b"print(2)\n")
    ada.ok("push")
    mine.ok("sync", "--from", "upstream", "--push")
    assert mine.ok("rev-parse", "HEAD").out.strip() == head
    assert head in mine.ok("ls-remote").out
    mine.commit("mine", code=b"print(3)\n")
    ada.commit("third", other=b"3\n")
    ada.ok("push")
    apart = mine("sync", "--from", "upstream")
    assert apart.code == 12
    assert "dsvc merge upstream/main" in apart.err
    mine.ok("merge", "upstream/main")
    mine.ok("push")
    assert (mine.directory / "other").read_bytes() == b"3\n"


def test_upstream_without_a_remote_of_that_name(host: HubHost, ada: Person, bob: Person) -> None:
    bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"))
    mine = bob.clone("bob/vision")
    mine.ok("remote", "remove", "upstream")
    head = ada.commit("second", code=b"print(2)\n")
    ada.ok("push")
    mine.ok("sync", "--from", "upstream")
    assert mine.ok("rev-parse", "HEAD").out.strip() == head
    theirs = bob.clone("team/vision")
    none = theirs("sync", "--from", "upstream")
    assert none.code == 3
    assert "origin is no fork" in none.err


def test_who_may_not(host: HubHost, ada: Person, bob: Person) -> None:
    refused = bob("fork", bob.address("team/vision"), bob.address("team/mine"))
    assert refused.code == 14
    assert "bob may not make the repository team/mine" in refused.err
    assert not host.repo("team/mine").exists()
    host.user("eve", "owner", "--repo", "eve/*")
    eve = host.person("eve")
    absent = eve("fork", eve.address("team/vision"), eve.address("eve/vision"))
    assert absent.code == 14
    assert "no repository team/vision that eve may read" in absent.err
    assert not host.repo("eve").exists()
    bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"))
    again = bob.clone("bob/vision")
    again.commit("since then", a=b"a")
    again.ok("push")
    taken = bob("fork", bob.address("team/vision"), bob.address("bob/vision"))
    assert taken.code == 14
    assert "there is a repository bob/vision already" in taken.err
    for name in ("bob/vision/inside", "bob"):
        wrong = bob("fork", bob.address("team/vision"), bob.address(name))
        assert wrong.code == 14, name
    log = host.hub("log", str(host.folder), "--refused").out
    assert "bob may not make the repository team/mine" in log


def test_whoever_made_a_fork_deletes_it(host: HubHost, ada: Person, bob: Person) -> None:
    host.rules('create = ["owner", "writer"]\n')
    host.user("cleo", "writer")
    cleo = host.person("cleo")
    cleo.ok("fork", cleo.address("team/vision"), cleo.address("cleo/vision"))
    bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"))
    mine = bob.clone("bob/vision")
    mine.commit("since then", a=b"a")
    mine.ok("push")

    for person, name, reason in (
        (cleo, "bob/vision", "cleo may not delete bob/vision, a fork that bob made"),
        (cleo, "team/vision", "team/vision is no fork"),
        (ada, "team/vision", "team/vision is no fork"),
        (ada, "bob/vision", "no repository bob/vision that ada may read"),
    ):
        refused = person("fork", "--delete", person.address(name), "--yes")
        assert refused.code == 14, name
        assert reason in refused.err
    assert mine.ok("ls-remote").out

    done = cleo.ok("fork", "--delete", cleo.address("cleo/vision"), "--yes", "--json").json
    assert done["shared_with"] == 2
    said = bob.ok("fork", "--delete", bob.address("bob/vision"), "--yes")
    assert "1 other repository uses its pool" in said.err
    gone = mine("fetch")
    assert gone.code == 14
    assert "no repository bob/vision that bob may read" in gone.err
    log = host.hub("log", str(host.folder)).out
    assert "bob  bob/vision  deleted; 1 others use its packs" in log
    ada.ok("fsck", "--remote", str(host.repo("team/vision")))


def test_asking_again_for_a_fork_whose_answer_was_lost(host: HubHost, ada: Person, bob: Person) -> None:
    first = bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"), "--json").json
    again = bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"), "--json").json
    assert first["address"] == again["address"]
    assert len(host.hub("forks", str(host.folder), "bob/vision", "--json").json["repositories"]) == 2


def test_a_secret_of_one_fork_is_not_read_through_another(host: HubHost, ada: Person, bob: Person) -> None:
    """All packs lie in one folder; whoever knows every name of them reads those of the own head alone."""
    bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"))
    ada.commit("secret", secret=SECRET)
    secret_id = ada.ok("rev-parse", "HEAD:secret").out.strip()
    ada.ok("push")
    pool = LocalBackend(host.repo("team/vision"))
    head = read_head(pool)
    assert head is not None
    known = {key for key, _ in pool.list("packs/")}
    (fork,) = [path.name for path in (host.repo("team/vision") / "forks").iterdir()]
    theirs = read_head(member_of(pool, fork))
    assert theirs is not None
    hidden = known - {ref.key for ref in theirs.packs.packs}
    assert hidden
    lists = [key for key, _ in pool.list("lists/")]
    host.hub("user", "remove", str(host.folder), "bob", "--authorized-keys", str(host.doors))
    host.user("bob", "owner", "--repo", "bob/*")  # no longer of the team, but the fork is his
    with Attacker(host, "bob", "bob/vision") as attacker:
        attacker.hello()
        for key in [*hidden, *lists, f"forks/{fork}/lists/{'0' * 64}"]:
            assert "is missing" in attacker.refused("get", key=key, offset=0), key
        assert attacker.ask("missing", keys=sorted(hidden))[1]["absent"] == list(range(len(hidden)))
        keys = attacker.ask("list", prefix="", after="")[1]["keys"]
        assert keys
        assert not hidden & set(keys)
        for name in ("family", "gc", "fork", f"head-{fork}"):
            assert attacker.ask("read_cell", name=name)[1]["value"] is None, name
        assert attacker.ask("forks")[1]["family"] == [["bob/vision", None]]
    # Nor by pushing a commit that names it without having it.
    mine = host.person("bob").clone("bob/vision")
    assert mine("cat", secret_id).code != 0
    assert "upstream" not in mine.ok("remote").out, "whoever may not read the parent is not told its name"


def test_a_reference_to_what_only_the_parent_has_is_refused(host: HubHost, ada: Person, bob: Person) -> None:
    """An account that knows the ids of a secret and of its packs cannot make its repository reach it."""
    bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"))
    commit = ada.commit("secret", secret=SECRET)
    ada.ok("push")
    head = read_head(LocalBackend(host.repo("team/vision")))
    assert head is not None
    refs = [["heads/stolen", None, [int(Kind.COMMIT), bytes.fromhex(commit)]]]
    with Attacker(host, "bob", "bob/vision") as attacker:
        attacker.hello()
        said = attacker.refused("publish", base=bytes(32), refs=refs, packs=[])
        assert "needs what was not pushed" in said
        said = attacker.refused("publish", base=bytes(32), refs=refs, packs=[row(ref) for ref in head.packs.packs])
        assert "is not here any more" in said
    assert "stolen" not in bob.clone("bob/vision").ok("ls-remote").out


def test_deleting(host: HubHost, ada: Person, bob: Person) -> None:
    bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"))
    bob.ok("fork", bob.address("bob/vision"), bob.address("bob/second"))
    mine = bob.clone("bob/second")
    refused = host.admin("hub", "delete", str(host.folder), "team/vision")
    assert refused.code == 2
    assert "2 others use" in host.hub("delete", str(host.folder), "team/vision", "--yes").err
    gone = ada("fetch")
    assert gone.code == 14
    assert "there is no repository team/vision that ada may read" in gone.err
    bob.ok("clone", "-q", bob.address("bob/vision"), "again")
    assert "fork of team/vision (deleted)" in host.hub("forks", str(host.folder), "bob/second").out
    names = [one["name"] for one in host.hub("repos", str(host.folder), "--json").json["repositories"]]
    assert names == ["bob/second", "bob/vision"]

    ada.ok("push", "origin", "main")  # makes a new one of that name, which has nothing to do with the forks
    names = [one["name"] for one in host.hub("repos", str(host.folder), "--json").json["repositories"]]
    assert names == ["bob/second", "bob/vision", "team/vision"]
    later = tending(host)
    for name in names:
        later.ok("gc", "--prune=now", "--remote", str(host.repo(name)))
        later.ok("fsck", "--full", "--remote", str(host.repo(name)))

    host.hub("delete", str(host.folder), "bob/second", "--yes")
    assert mine("fetch").code == 14
    assert "bob/second  deleted; 2 others use its packs" in host.hub("log", str(host.folder)).out
    host.hub("delete", str(host.folder), "team/vision", "--yes")
    bob.ok("clone", "-q", bob.address("bob/vision"), "once-more")
    host.hub("delete", str(host.folder), "bob/vision", "--yes")
    assert list((host.folder / "repos").iterdir()) == [], "with the last of a family all of it goes"


def test_gc_of_a_family_and_what_a_fork_let_go(host: HubHost, ada: Person, bob: Person) -> None:
    ada.commit("big", big=random.Random(1).randbytes(400_000))
    ada.ok("push", "origin", "main:side")
    bob.ok("fork", bob.address("team/vision"), bob.address("bob/vision"))
    ada.ok("push", "origin", "--delete", "side")
    later = tending(host)
    before = stored(host)
    said = later.ok("gc", "--prune=now", "--remote", str(host.repo("bob/vision")))
    assert stored(host) > before - 10_000, "the fork still has the branch"
    assert "2 repositories" in said.out + said.err
    mine = bob.clone("bob/vision")
    mine.ok("push", "origin", "--delete", "side")
    later.ok("gc", "--prune=now", "--remote", str(host.repo("team/vision")))
    assert stored(host) < before - 390_000
    for name in ("team/vision", "bob/vision"):
        later.ok("fsck", "--full", "--remote", str(host.repo(name)))
    bob.ok("clone", "-q", bob.address("team/vision"), "t")
