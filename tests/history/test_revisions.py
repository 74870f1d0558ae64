from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dsvc.errors import RequestError, UsageError
from dsvc.history.ranges import resolve_set, split_range
from dsvc.history.revisions import (
    AmbiguousRevisionError,
    RevisionContext,
    UnknownRevisionError,
    resolve,
    resolve_commit,
    resolve_tree,
)
from dsvc.objects import trees
from dsvc.objects.ids import Kind, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person, Tag
from dsvc.refs.names import head_of
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, Symbolic
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Lab:
    """A repository in memory, one operation an hour."""

    def __init__(self, folder):
        self.hours = 0
        refs = {head_of("main"): Symbolic("heads/main")}
        self.repo = Repository.create(MemoryBackend(), lambda: folder, act=self.act("init"), refs=refs)

    def micros(self):
        return round((START + timedelta(hours=self.hours)).timestamp() * 1e6)

    def act(self, verb):
        return Act(verb, verb, "u", "h", "main", self.micros(), 0)

    def publish(self, verb="commit", **refs):
        self.hours += 1
        tx = self.repo.transaction()
        for written, ref in refs.items():
            name = written.replace("__", "/") if written != "HEAD" else head_of("main")
            tx.delete(name) if ref is None else tx.set(name, ref)
        self.repo.publish(tx, self.act(verb))

    def commit(self, *parents, message="m", **files):
        store = self.repo.store
        entries = {
            name.replace("__", "/").encode(): Entry(EntryKind.FILE, store.put_content(text.encode()), len(text))
            for name, text in files.items()
        }
        tree = TreeId(trees.edit_tree(store, trees.empty_tree(store), entries).id)
        person = Person("A", "a@example.org", self.micros() + len(message))
        return self.repo.put_commit(Commit(tree, parents, person, person, message))

    def context(self, **changes):
        values = {
            "view": self.repo.view(), "store": self.repo.store, "log": self.repo.log,
            "operation": self.repo.head.operation, "worktree": "main", "get_commit": self.repo.commit,
            "now": START + timedelta(hours=self.hours),
        }  # fmt: skip
        return RevisionContext(**{**values, **changes})

    def id(self, text):
        return resolve(self.context(), text).id


def at(commit_id):
    return Direct(Kind.COMMIT, commit_id)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


@pytest.fixture
def history(lab):
    """a - b - m (main), a - c - m, with a tag object v1 on b."""
    lab.a = lab.commit(message="first: add", f="1")
    lab.publish(heads__main=at(lab.a))
    lab.b = lab.commit(lab.a, message="second", f="2", src__x="x")
    lab.publish(heads__main=at(lab.b))
    lab.c = lab.commit(lab.a, message="third: side", f="3")
    lab.publish(heads__side=at(lab.c))
    lab.m = lab.commit(lab.b, lab.c, message="merge of all", f="4", src__x="x")
    lab.publish(heads__main=at(lab.m))
    lab.tag = lab.repo.put_tag(Tag(lab.b, Kind.COMMIT, "v1", None, "one"))
    lab.publish(tags__v1=Direct(Kind.TAG, lab.tag), remotes__origin__main=at(lab.a))
    return lab


def test_names_in_gits_order(history):
    lab = history
    for text in ("HEAD", "@", "main", "heads/main", "refs/heads/main"):
        assert lab.id(text) == lab.m
    assert resolve(lab.context(), "HEAD").ref == "heads/main"
    assert lab.id("origin/main") == lab.id("remotes/origin/main") == lab.a
    assert resolve(lab.context(), "v1").kind == Kind.TAG
    lab.publish(heads__v1=at(lab.c))
    assert lab.id("v1") == lab.tag
    assert lab.id("heads/v1") == lab.c


def test_parents_and_peeling(history):
    lab = history
    for text, wanted in {
        "main~1": lab.b, "main^": lab.b, "main^2": lab.c, "main^2~": lab.a, "main~~": lab.a,
        "@~0": lab.m, "main^0": lab.m, "v1^0": lab.b, "v1^{}": lab.b, "v1^{commit}": lab.b, "v1^{tag}": lab.tag,
        "v1~1": lab.a, "main^^^{}": lab.a,
    }.items():  # fmt: skip
        assert lab.id(text) == wanted, text
    assert lab.id("v1^{tree}") == lab.repo.commit(lab.b).tree == resolve_tree(lab.context(), "v1")
    assert resolve_commit(lab.context(), "v1") == lab.b


def test_shortened_ids(history):
    lab = history
    assert lab.id(lab.a.hex()) == lab.id(lab.a.hex()[:10]) == lab.id(lab.a.hex()[:10].upper()) == lab.a
    assert lab.id("v1-3-g" + lab.c.hex()[:8]) == lab.c
    with pytest.raises(UnknownRevisionError):
        lab.id(lab.a.hex()[:3])
    seen = {}
    for number in range(2000):  # until two begin alike
        commit_id = lab.commit(message=str(number))
        if (other := seen.setdefault(commit_id.hex()[:4], commit_id)) != commit_id:
            break
    lab.repo.store.flush()
    with pytest.raises(AmbiguousRevisionError) as caught:
        lab.id(commit_id.hex()[:4])
    assert commit_id.hex() in caught.value.details["candidates"]
    assert other.hex()[:16] in caught.value.message


def test_what_stands_at_a_path(history):
    lab = history
    found = resolve(lab.context(), "main:src/x")
    assert (found.kind, lab.repo.store.read_file(found.id), found.path) == (Kind.CHUNK, b"x", b"src/x")
    assert resolve(lab.context(), "main~1:src").kind == Kind.TREE
    assert lab.id("v1:") == lab.repo.commit(lab.b).tree
    assert resolve(lab.context(directory=b"src"), "main:./x").path == b"src/x"
    assert resolve(lab.context(directory=b"src"), "main:../f").path == b"f"
    assert resolve_tree(lab.context(), "main:src") == lab.id("main:src")
    for text in ("main:none", "main:f/below", "main:../../x"):
        with pytest.raises(UnknownRevisionError):
            lab.id(text)


def test_messages(history):
    lab = history
    assert lab.id(":/third") == lab.c
    assert lab.id("main^{/^sec}") == lab.b
    assert lab.id("main~1^{/!-^second}") == lab.a
    with pytest.raises(UnknownRevisionError):
        lab.id("main~1^{/third}")


def test_earlier_values_of_a_ref(history):
    lab = history
    assert [lab.id(f"main@{{{n}}}") for n in range(3)] == [lab.m, lab.b, lab.a]
    assert lab.id("@{1}") == lab.id("HEAD@{1}") == lab.b
    assert lab.id("main@{1}~1") == lab.a
    assert lab.id("main@{2 hours ago}") == lab.b
    assert lab.id("main@{now}") == lab.m
    assert lab.id("main@{2026-05-01 13:30}") == lab.a
    for text in ("main@{3}", "main@{yesterday}", "main@{u}", "side@{1}", "none@{1}", "main@{1"):
        with pytest.raises(UnknownRevisionError):
            lab.id(text)
    with pytest.raises(UsageError):
        lab.id("main@{the day of the fair}")


def test_the_branch_before_the_switch(history):
    lab = history
    with pytest.raises(UnknownRevisionError):
        lab.id("@{-1}")
    lab.publish("switch", HEAD=Symbolic("heads/side"))
    assert resolve(lab.context(), "@{-1}").ref == "heads/main"
    lab.publish("switch", HEAD=at(lab.a))
    lab.publish("switch", HEAD=at(lab.b))
    assert [resolve(lab.context(), f"@{{-{n}}}").ref for n in (1, 2, 3)] == [None, "heads/side", "heads/main"]
    assert lab.id("@{-1}") == lab.a
    lab.publish("branch", heads__side=None)
    with pytest.raises(UnknownRevisionError, match="gone"):
        lab.id("@{-2}")


def test_errors_say_what_is_near(history):
    lab = history
    with pytest.raises(UnknownRevisionError) as caught:
        lab.id("mian")
    assert caught.value.hint == "did you mean main?"
    for text in ("", "main^3", "main~9", "main^{tag}", "main^{nonsense}", "main^x", ":f", "f" * 64, "main~1:f~1"):
        with pytest.raises(RequestError):
            lab.id(text)


def test_no_commits_yet(lab):
    with pytest.raises(UnknownRevisionError, match="main has no commits yet"):
        lab.id("HEAD")


def test_ranges(history):
    lab = history

    def chosen(*words):
        found = resolve_set(lab.context(), words)
        return set(found.tips), set(found.hidden)

    assert chosen() == ({lab.m}, set())
    assert chosen("side..main") == chosen("main", "^side") == ({lab.m}, {lab.c})
    assert chosen("side..") == ({lab.m}, {lab.c})
    assert chosen("main~1...side") == ({lab.b, lab.c}, {lab.a})
    assert chosen("main^!") == ({lab.m}, {lab.b, lab.c})
    assert chosen("main^@") == ({lab.b, lab.c}, set())
    assert chosen("main^-2") == ({lab.m}, {lab.c})
    assert chosen("^side") == ({lab.m}, {lab.c})
    assert resolve_set(lab.context(), ["main~1...side"]).symmetric == (lab.b, lab.c)
    assert split_range("a@{1..2}") is None
    assert split_range("HEAD:a..b") is None
    assert split_range("a..b").right == "b"
    assert split_range("..") is None
