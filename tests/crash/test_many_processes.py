"""Eight processes commit to branches of their own while a ninth collects and merges: nothing is lost."""

import multiprocessing
import random
import time
from pathlib import Path

from dsvc.actions.fsck import check
from dsvc.actions.gc import collect
from dsvc.errors import BusyError
from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.reliance import CollectedError
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

WRITERS, COMMITS = 8, 12


def act(verb):
    return Act(verb, "", "ada", "box", "one", time=time.time_ns() // 1000, zone=0)


def open_at(root):
    backend = LocalBackend(Path(root))
    return Repository.open(backend, backend.staging)


def shared(number):
    """Content that all writers store, so that they rely on each other's packs, and on garbage."""
    return random.Random(number).randbytes(2000)


def commit_once(root, writer, number):
    repo = open_at(root)
    try:
        transaction = repo.transaction()
        branch = f"heads/w{writer}"
        old = transaction.view.get(branch)
        base = repo.commit(old.id).tree if old else trees.empty_tree(repo.store)
        files = {b"own/%d" % number: b"%d %d" % (writer, number), b"shared": shared(number)}
        changes = {p: Entry(EntryKind.FILE, repo.store.put_content(d), len(d)) for p, d in files.items()}
        tree = trees.edit_tree(repo.store, base, changes).id
        person = Person("Ada", "", act("x").time)
        commit = repo.put_commit(Commit(tree, (old.id,) if old else (), person, person, "m"))
        transaction.set(branch, Direct(Kind.COMMIT, commit))
        repo.publish(transaction, act("commit"))
    finally:
        repo.close()


def write(root, writer):
    for number in range(COMMITS):
        for _ in range(50):
            try:
                commit_once(root, writer, number)
                break
            except (BusyError, CollectedError):
                continue  # told to repeat
        else:
            raise AssertionError("told to repeat fifty times")


def keep_collecting(root, stop):
    while not stop.is_set():
        repo = open_at(root)
        try:
            collect(repo, now=time.time_ns() // 1000, grace=0, prune_all=random.random() < 0.2)
        except BusyError:
            pass
        finally:
            repo.close()


def test_nothing_is_lost(tmp_path):
    backend = LocalBackend(tmp_path)
    Repository.create(backend, backend.staging, act=act("init"), refs={}).close()
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    collector = context.Process(target=keep_collecting, args=(tmp_path, stop))
    writers = [context.Process(target=write, args=(tmp_path, n)) for n in range(WRITERS)]
    collector.start()
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    stop.set()
    collector.join(60)
    assert [process.exitcode for process in (*writers, collector)] == [0] * (WRITERS + 1)
    repo = open_at(tmp_path)
    assert [d.message for d in check(repo).damage] == []
    for writer in range(WRITERS):
        tree = repo.commit(repo.view().commit(f"heads/w{writer}")).tree
        found = {p: repo.store.read_file(e.id) for p, e in trees.walk(repo.store, tree) if e.kind == EntryKind.FILE}
        wanted = {b"own/%d" % n: b"%d %d" % (writer, n) for n in range(COMMITS)}
        assert found == {**wanted, b"shared": shared(COMMITS - 1)}
    collect(repo, now=time.time_ns() // 1000, grace=0, prune_all=True)
    assert len(repo.head.packs.packs) < 10
