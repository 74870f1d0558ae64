"""Runs and models between repositories: sets of names that never move, and names that move like branches."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from dsvc.actions.fsck import check
from dsvc.objects import codec
from dsvc.objects.ids import Kind
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend


def opened(person) -> Repository:
    folder = person.directory / ".dsvc" / "store"
    backend = LocalBackend(folder if folder.is_dir() else person.directory)
    return Repository.open(backend, backend.staging, far=not folder.is_dir())


def act() -> Act:
    return Act("run", "run", "ada", "box", "main", time=1, zone=0)


def put_run(repo: Repository, number: int, *, log: bytes = b"", tree: bytes | None = None) -> Direct:
    refs: list[list[object]] = [[int(Kind.CHUNK), repo.store.put_content(log)]] if log else []
    refs += [[int(Kind.TREE), tree]] if tree is not None else []
    return Direct(Kind.RUN, repo.store.put(Kind.RUN, codec.encode({"number": number, "refs": refs})))


def add_runs(person, numbers: Iterable[int], *, log: bytes = b"") -> None:
    """Record runs of the newest commit, each with a log of its own."""
    repo = opened(person)
    transaction = repo.transaction()
    head = repo.view().commit("heads/main")
    for number in numbers:
        ref = put_run(repo, number, log=log and log + str(number).encode(), tree=repo.commit(head).tree)
        transaction.set(f"runs/r{number:06}", ref)
    repo.publish(transaction, act())
    repo.close()


def set_ref(person, name: str, ref: Direct | None) -> None:
    repo = opened(person)
    transaction = repo.transaction()
    if ref is None:
        transaction.delete(name)
    else:
        transaction.set(name, ref)
    repo.publish(transaction, act())
    repo.close()


def runs(person) -> list[str]:
    repo = opened(person)
    try:
        assert not check(repo).damage
        return [name.removeprefix("runs/") for name, _ in repo.view().items("runs/")]
    finally:
        repo.close()


def model(person, name: str) -> int | None:
    repo = opened(person)
    try:
        ref = repo.view().get(f"models/{name}")
        return codec.decode(repo.store.get(ref.id, Kind.RUN))["number"] if ref is not None else None
    finally:
        repo.close()


def promote(person, name: str, number: int) -> None:
    repo = opened(person)
    ref = put_run(repo, number)
    transaction = repo.transaction()
    transaction.set(f"models/{name}", ref)
    repo.publish(transaction, act())
    repo.close()


def test_runs_travel_as_a_set(clones):
    bob = clones.join("bob")
    add_runs(clones.ada, range(3), log=b"log of ")
    add_runs(bob, range(10, 12), log=b"log of ")
    answer = clones.ada.ok("push")
    assert answer.err.startswith(f"To {clones.hub}\n * 3 runs\n")
    assert clones.ada.ok("push").err == "Everything is there already\n"
    assert " * 2 runs\n" in bob.ok("push").err, "somebody else's runs are in nobody's way"
    assert " * 3 runs\n" in bob.ok("fetch").err
    clones.ada.ok("fetch")
    everything = ["r000000", "r000001", "r000002", "r000010", "r000011"]
    assert runs(clones.ada) == runs(bob) == runs(clones.person("hub")) == everything
    assert runs(clones.join("carol")) == everything
    repo = opened(bob)
    ref = repo.view().get("runs/r000001")
    (_, _), (_, log) = sorted(codec.decode(repo.store.get(ref.id, Kind.RUN))["refs"], key=lambda row: -row[0])
    assert repo.store.read_file(log) == b"log of 1"
    assert bob.ok("fetch", "--json").json["fetched"][0]["runs"] == []


def test_runs_are_left_out_where_that_is_asked_for(clones):
    bob = clones.join("bob")
    add_runs(clones.ada, range(2))
    clones.ada.ok("push", "--no-runs")
    clones.ada.ok("push", "origin", "main")
    assert runs(clones.person("hub")) == []
    assert clones.ada.ok("push", "-n", "--json").json["runs"] == ["runs/r000000", "runs/r000001"]
    assert runs(clones.person("hub")) == []
    clones.ada.ok("push", "--runs", "origin", "main")
    assert len(runs(clones.person("hub"))) == 2
    bob.ok("fetch", "--no-runs")
    bob.ok("fetch", "origin", "main")
    assert runs(bob) == []
    bob.ok("config", "remote.origin.runs", "false")
    bob.ok("pull")
    assert runs(bob) == []
    bob.ok("fetch", "--runs")
    assert len(runs(bob)) == 2
    assert runs(clones.join("carol", "--no-runs")) == []
    clones.person("carol").ok("pull")
    assert runs(clones.person("carol")) == []
    assert bob("push", "--runs", "--no-runs").code == 2


def test_a_place_that_was_made_anew_gets_all_runs(clones):
    add_runs(clones.ada, range(3))
    clones.ada.ok("push")
    clones.hub.rename(clones.base / "gone")
    clones.ada.ok("push")
    assert len(runs(clones.person("hub"))) == 3
    clones.hub.rename(clones.base / "gone too")
    clones.ada.ok("push", "--no-runs")
    add_runs(clones.ada, [7])
    clones.ada.ok("push")
    assert len(runs(clones.person("hub"))) == 4


def test_a_name_that_both_made_stays_on_each_side(clones):
    bob = clones.join("bob")
    for number, person in enumerate((clones.ada, bob)):
        repo = opened(person)
        ref = put_run(repo, number)
        transaction = repo.transaction()
        transaction.set("runs/same/removed", ref)
        repo.publish(transaction, act())
        repo.close()
        person.ok("push")
        person.ok("fetch")
    assert runs(clones.person("hub")) == runs(bob) == ["same/removed"]
    answer = bob("push", "origin", "+runs/same/removed")
    assert answer.code == 12
    assert "it never moves" in answer.err
    assert "what is made once stays" in bob("push", "-d", "origin", "runs/same/removed").err


def test_a_mirror_has_the_runs_that_are_here(clones):
    add_runs(clones.ada, range(3))
    clones.ada.ok("push", "--mirror", "../second")
    repo = opened(clones.ada)
    transaction = repo.transaction()
    transaction.delete("runs/r000001")
    repo.publish(transaction, act())
    clones.ada.ok("push", "--mirror", "../second")
    assert runs(clones.person("second")) == ["r000000", "r000002"]


def test_models_follow_whoever_moved_them(clones):
    bob = clones.join("bob")
    promote(clones.ada, "churn/prod", 1)
    clones.ada.ok("push")
    bob.ok("fetch")
    assert model(bob, "churn/prod") == 1
    promote(bob, "churn/prod", 2)
    bob.ok("fetch")
    assert model(bob, "churn/prod") == 2, "a fetch leaves what was changed here"
    assert "models/churn/prod" in bob.ok("push").err
    clones.ada.ok("fetch")
    assert model(clones.ada, "churn/prod") == 2
    promote(clones.ada, "churn/prod", 3)
    promote(bob, "churn/prod", 4)
    clones.ada.ok("push")
    for words in (("push",), ("push", "origin", "models/churn/prod")):
        answer = bob(*words)
        assert answer.code == 12
        assert "it was changed there too" in answer.err
    answer = bob("fetch")
    assert answer.code == 1
    assert "it was changed here too" in answer.err
    assert (model(bob, "churn/prod"), model(clones.person("hub"), "churn/prod")) == (4, 3)
    bob.ok("push", "origin", "+models/churn/prod")
    assert model(clones.person("hub"), "churn/prod") == 4
    promote(clones.ada, "churn/prod", 5)
    assert clones.ada("fetch").code == 1
    clones.ada.ok("fetch", "origin", "+models/churn/prod:models/churn/prod")
    assert model(clones.ada, "churn/prod") == 4
    clones.ada.ok("push")
    set_ref(clones.ada, "models/churn/prod", None)
    clones.ada.ok("fetch")
    assert model(clones.ada, "churn/prod") is None, "what was deleted here does not come back"
    clones.ada.ok("push")
    assert model(clones.person("hub"), "churn/prod") is None
    bob.ok("fetch")
    assert model(bob, "churn/prod") is None


def test_a_remote_of_another_name_keeps_what_was_seen(clones):
    promote(clones.ada, "churn/prod", 1)
    clones.ada.ok("push")
    clones.ada.ok("remote", "rename", "origin", "team")
    promote(clones.ada, "churn/prod", 2)
    clones.ada.ok("push", "team")
    assert model(clones.person("hub"), "churn/prod") == 2
    clones.ada.ok("remote", "remove", "team")
    repo = opened(clones.ada)
    assert not list(repo.view().items("seen/"))


@pytest.mark.parametrize("seed", range(3))
def test_sets_become_equal_in_any_order(clones, seed):
    random.seed(seed)
    people = [clones.ada, clones.join("bob"), clones.join("carol")]
    made = 0
    for _ in range(12):
        person = random.choice(people)
        what = random.choice(["add", "add", "push", "fetch"])
        if what == "add":
            count = random.choice([1, 400])
            add_runs(person, (random.Random(made + n).randrange(10**6) for n in range(count)))
            made += count
        else:
            person.ok(what)
    for person in people * 2:
        person.ok("fetch")
        person.ok("push")
    wanted = runs(clones.person("hub"))
    assert all(runs(person) == wanted for person in people[1:])


def test_a_run_that_was_removed_is_gone_everywhere_whatever_others_say_of_it(clones):
    ada, bob = clones.ada, clones.join("bob")
    ada.ok("run", "-q", "--", "true")
    key = runs(ada)[0]
    ada.ok("run", "-q", "--", "true")
    ada.ok("push", "-q")
    bob.ok("fetch", "-q")
    bob.ok("runs", "comment", key, "look at this")
    bob.ok("push", "-q")
    ada.ok("runs", "rm", key, "--reason", "not this")
    assert "runs" not in ada.ok("fetch").err, "what was removed does not come back"
    bob.ok("runs", "comment", key, "still here")
    ada.ok("push", "-q")
    bob.ok("push", "-q")
    bob.ok("fetch", "-q")
    assert len(ada.ok("runs", "list", "--json").json["runs"]) == 1
    for person in (ada, bob, clones.person("hub")):
        assert [name for name in runs(person) if name.startswith(key)] == [f"{key}/removed"]
    assert bob.ok("push").err == "Everything is there already\n"
