"""Make the repository in tests/formats/v1: run once for the first version of the format, and kept from then on.

    python tests/formats/make_v1.py FOLDER

writes FOLDER/store (a backend's folder) and FOLDER/expected.json (what a reader must find in it). All times and
contents are fixed, so every version of dsvc makes the same ids, though it may store the objects in another way.
"""

import json
import random
import struct
import sys
from pathlib import Path

from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.objects.values import Commit, Person, Tag
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, Symbolic
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

START = 1_700_000_000_000_000
ADA = Person("Ada Lovelace", "ada@example.org", START, 60)
BOB = Person("B\u00f6b", "", START + 60_000_000, -330)


def text(lines, seed):
    numbers = random.Random(seed)
    return b"".join(b"%d,%d,%s\n" % (n, 100 * numbers.random(), b"ab"[n % 2 :]) for n in range(lines))


def weights(count, seed):
    """Return float32 numbers with few digits, as of a model that was trained in bfloat16."""
    draw = random.Random(seed).random
    numbers = ((draw() + draw() - draw() - draw()) / 50 for _ in range(count))
    return b"".join(struct.pack("<f", number)[2:].rjust(4, b"\0") for number in numbers)


def act(number, verb):
    return Act(verb, f"step {number}", "ada", "box", "one", START + number, 60, command=(verb, str(number)))


def make(folder):
    """Fill `folder` with the repository and what is expected of it."""
    (folder / "store").mkdir(parents=True)
    (folder / "staging").mkdir()
    backend = LocalBackend(folder / "store")
    repository = Repository.create(
        backend, lambda: folder / "staging", act=act(0, "init"), refs={"worktrees/one/HEAD": Symbolic("heads/main")}
    )
    store = repository.store

    def content(data, kind=EntryKind.FILE):
        return Entry(kind, store.put_content(data), len(data))

    def commit(tree, parents, author, message, **fields):
        made = Commit(tree.id, tuple(parents), author, BOB, message, **fields)
        return repository.put_commit(made)

    def publish(number, verb, refs):
        transaction = repository.transaction()
        for name, ref in refs.items():
            if ref is None:
                transaction.delete(name)
            else:
                transaction.set(name, ref)
        repository.publish(transaction, act(number, verb))

    table, model = text(30_000, 1), weights(70_000, 2)
    first = trees.edit_tree(
        store,
        trees.empty_tree(store),
        {
            b"README.md": content(b"# A project\n"),
            b"data/table.csv": content(table),
            b"data/latest": content(b"table.csv", EntryKind.SYMLINK),
            b"model.bin": content(model),
            b"train.py": content(b"#!/usr/bin/env python3\nprint('training')\n", EntryKind.EXECUTABLE),
            b"empty.txt": content(b""),
            b"empty folder": Entry(EntryKind.TREE, trees.empty_tree(store), 0),
            b"vendor/library": Entry(EntryKind.GITLINK, bytes(range(20)), 0),
            b"caf\xe9.txt": content(b"a name that is not UTF-8\n"),
            "\u00e9t\u00e9.txt".encode(): content(b"a name that is\n"),
            **{b"images/%04d.txt" % n: content(b"image %d\n" % n) for n in range(1200)},
        },
    )
    one = commit(first, (), ADA, "first\n")
    publish(1, "commit", {"heads/main": Direct(Kind.COMMIT, one)})

    changed = {b"data/table.csv": content(table[:200_000] + b"inserted\n" + table[200_000:])}
    changed |= {b"images/0500.txt": None, b"images/new.txt": content(b"new\n")}
    second = trees.edit_tree(store, first.id, changed)
    metadata = {"float": 0.1, "large": 2**80, "list": (1, None)}
    two = commit(second, (one,), ADA, "second\n\nwith a body\n", metadata=metadata)
    third = trees.edit_tree(store, first.id, {b"notes/side.md": content(b"from the side\n")})
    side = commit(third, (one,), BOB, "side", signature=b"not checked by anybody")
    both = trees.edit_tree(store, second.id, {b"notes/side.md": content(b"from the side\n")})
    merged = commit(both, (two, side), ADA, "merge", environment=b"\x01" * 32, runs=(b"\x02" * 32, b"\x03" * 32))
    tag = repository.put_tag(Tag(merged, Kind.COMMIT, "v1.0", ADA, "the first release\n"))
    refs = {"heads/main": Direct(Kind.COMMIT, merged), "heads/side": Direct(Kind.COMMIT, side)}
    publish(2, "merge", {**refs, "tags/v1.0": Direct(Kind.TAG, tag), "remotes/origin/heads/main": refs["heads/side"]})
    publish(3, "log", {f"runs/{n:04}": Direct(Kind.COMMIT, (one, two)[n % 2]) for n in range(500)})
    publish(4, "branch", {"heads/side": None})

    (folder / "staging").rmdir()
    expected = describe(repository)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
    repository.close()


def describe(repository):
    """Return everything that a reader finds, as JSON values."""
    operations = [
        {"id": i.hex(), "verb": o.verb, "time": o.time, "command": list(o.command), "view": o.view.hex()}
        for i, o in repository.log.walk(repository.head.operation)
    ]
    refs = {}
    for name, ref in repository.view().items():
        refs[name] = ref.target if isinstance(ref, Symbolic) else f"{ref.kind.name} {ref.id.hex()}"
    kind, tip = repository.peel(Kind.TAG, repository.view().get("tags/v1.0").id)
    assert kind == Kind.COMMIT
    commits, files, pending = {}, {}, [tip]
    while pending:
        commit_id = pending.pop()
        commit = repository.commit(commit_id)
        pending += commit.parents
        commits[commit_id.hex()] = {
            "message": commit.message,
            "author": [commit.author.name, commit.author.email, commit.author.time, commit.author.zone],
            "parents": [p.hex() for p in commit.parents],
            "tree": commit.tree.hex(),
            "size": trees.tree_entry(repository.store, commit.tree).size,
        }
        for path, entry in trees.walk(repository.store, commit.tree):
            if path.startswith(b"images/") and path[-6:] not in (b"00.txt", b"ew.txt"):
                continue  # every hundredth is enough to list; the id of the folder covers the rest
            row = [EntryKind(entry.kind).name, entry.id.hex(), entry.size]
            files.setdefault(commit_id.hex(), {})[path.decode("latin-1")] = row
            if entry.kind in CONTENT_KINDS:
                assert len(repository.store.read_file(entry.id)) == entry.size
    return {"operations": operations, "refs": refs, "commits": commits, "files": files}


if __name__ == "__main__":
    make(Path(sys.argv[1]))
