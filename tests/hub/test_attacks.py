"""An account that speaks the protocol by hand: it is refused, that is written down, and nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard
from blake3 import blake3

from dsvc.objects import trees
from dsvc.objects.encodings import Encoding
from dsvc.objects.filemap import Part, encode_page
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId, object_id
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.packwriter import PackWriter
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, encode_commit
from dsvc.objects.values import Person as Author
from dsvc.refs.log import read_head
from dsvc.storage.local import LocalBackend
from tests.hub.attacker import ANSWER, ERROR, HELLO, REQUEST, Attacker, row
from tests.hub.conftest import HubHost, Person
from tests.hub.test_access import refusals

WHO = Author("mallory", "m@example.com", 1_700_000_000_000_000)


class Forge:
    """Makes objects and packs as the program does, and as it never would."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.backend = LocalBackend(folder)
        self.store = ObjectStore(self.backend, self.backend.staging)

    def commit(self, *files: tuple[bytes, EntryKind, bytes, int], parents: Sequence[bytes] = ()) -> bytes:
        entries = [(name, Entry(kind, ObjectId(target), size)) for name, kind, target, size in files]
        tree = trees.write_tree(self.store, entries)
        made = Commit(TreeId(tree.id), tuple(CommitId(ObjectId(p)) for p in parents), WHO, WHO, "mine")
        return self.store.put(Kind.COMMIT, encode_commit(made))

    def packs(self) -> list[tuple[PackRef, bytes]]:
        return [(ref, self.backend.get(ref.key)) for ref in self.store.flush()]

    def pack(self, pack_class: PackClass, fill: Callable[[PackWriter], None]) -> tuple[PackRef, bytes]:
        writer = PackWriter(self.backend.staging(), pack_class)
        fill(writer)
        ref = writer.finish()
        return ref, writer.path.read_bytes()


@pytest.fixture
def vision(host: HubHost) -> bytes:
    """Make the repositories that are there: `vision`, to which mallory may push, and `secret`; return vision's main."""
    ada = host.user("ada", "owner")
    secret = ada.start("secret")
    secret.commit("secret", code=b"secret\n")
    secret.ok("push")
    mine = ada.start("vision")
    head = mine.commit("first", code=b"1\n")
    mine.ok("push")
    host.user("mallory", "writer", "--repo", "vision")
    return bytes.fromhex(head)


def state(host: HubHost) -> dict[str, bytes]:
    """Everything in the repositories but temporary files."""
    files = (p for p in (host.folder / "repos").rglob("*") if p.is_file() and p.parent.name != "tmp")
    found = {str(p): p.read_bytes() for p in files}
    assert len(found) > 10
    return found


def offer(attacker: Attacker, packs: Sequence[tuple[PackRef, bytes]], *refs: list[object]) -> str:
    """Upload packs, ask for these refs, and return why not."""
    for ref, data in packs:
        attacker.put(ref.key, data)
    return attacker.refused("publish", base=bytes(32), refs=list(refs), packs=[row(ref) for ref, _ in packs])


def test_what_no_account_may(host: HubHost, vision: bytes) -> None:
    before = state(host)
    head = read_head(LocalBackend(host.repo("vision")))
    theirs = read_head(LocalBackend(host.repo("secret")))
    assert head is not None
    assert theirs is not None
    live = head.packs.packs[0].key
    with Attacker(host, "mallory", "vision") as mallory:
        assert mallory.hello()["features"] == ["publish", "ledgers", "fork", "unfork"]
        assert "may" in mallory.refused("swap_cell", name="head", expected=head.value, value=b"mine")
        assert "may" in mallory.refused("swap_cell", name="gc", expected=None, value=b"mine")
        assert "may" in mallory.refused("delete", key=live)
        for key in ("lists/" + "0" * 64, "segments/" + "0" * 64, "packs/short", "other", "x/y"):
            said = mallory.refused("put", key=key, data=b"x", hash=blake3(b"x").digest())
            assert "no pack" in said, key
            assert "no pack" in mallory.refused("upload", key=key, size=1 << 30)
        for key in ("cells/head/1", "tmp/x", "../x", "packs/../../x", "/etc/passwd", ".x"):
            mallory.refused("put", key=key, data=b"x", hash=blake3(b"x").digest())
            mallory.refused("get", key=key, offset=0)
        mallory.refused("remove_trial", name="check-" + "0" * 12)
        mallory.refused("no such thing")
        for key in (theirs.packs.packs[0].key, "../secret/" + theirs.packs.packs[0].key):
            mallory.refused("get", key=key, offset=0)
        _, found = mallory.ask("list", prefix="", after="")
        own = str(host.repo("vision")) + "/"
        assert set(found["keys"]) <= {path.removeprefix(own) for path in before if path.startswith(own)}
        _, cell = mallory.ask("read_cell", name="gc")
        assert cell["value"] is None
    assert state(host) == before
    assert len(refusals(host)) > 10
    assert {entry["account"] for entry in refusals(host)} == {"mallory"}


def test_refs_that_are_not_taken(host: HubHost, vision: bytes, tmp_path: Path) -> None:
    before = state(host)
    forge = Forge(tmp_path / "forge")
    commit = forge.commit()
    packs = forge.packs()
    here, mine, absent = [int(Kind.COMMIT), vision], [int(Kind.COMMIT), commit], [int(Kind.COMMIT), b"x" * 32]
    tree = [int(Kind.TREE), object_id(Kind.TREE, b"")]
    with Attacker(host, "mallory", "vision") as mallory:
        mallory.hello()
        assert "needs what was not pushed" in offer(mallory, [], ["heads/new", None, absent])
        assert "needs what was not pushed" in offer(mallory, [], ["tags/new", None, [int(Kind.TREE), vision]])
        assert "commits only" in offer(mallory, [], ["heads/new", None, tree])
        for name in ("worktrees/main/HEAD", "remotes/o/x", "stash/main", "added/main"):
            assert "not pushed" in offer(mallory, [], [name, None, here]), name
        assert "note" in offer(mallory, [], ["purged/" + "0" * 64, None, here])
        note = [int(Kind.STATE), b"y" * 32]
        assert "needs what was not pushed" in offer(mallory, [], ["purged/" + "0" * 64, None, note])
        for name in ("heads/../x", "heads/", "x", "heads/a b", "heads/" + "a" * 2000, "heads/x.lock"):
            assert "not a valid ref name" in offer(mallory, [], [name, None, here]), name
        assert "default branch" in offer(mallory, [], ["heads/main", here, None])
        assert "protected" in offer(mallory, packs, ["heads/main", here, mine])
        refs = [[f"heads/{number}", None, here] for number in range(20_000)]
        assert "takes 10,000 at once" in offer(mallory, [], *refs)
        moved = mallory.ask("publish", base=bytes(32), refs=[["heads/main", mine, mine]], packs=[])
        assert moved[1]["kind"] == "moved"
    assert state(host) == before


def test_packs_that_lie(host: HubHost, vision: bytes, tmp_path: Path) -> None:
    before = state(host)
    made = 0

    def forge() -> Forge:
        nonlocal made
        made += 1
        return Forge(tmp_path / f"forge{made}")

    def refused(packs: Sequence[tuple[PackRef, bytes]], commit: bytes) -> str:
        return offer(mallory, packs, ["heads/new", None, [int(Kind.COMMIT), commit]])

    def raw(data: bytes, claimed: bytes, kind: Kind) -> Callable[[PackWriter], None]:
        return lambda writer: writer.append(Encoding.RAW, data, len(data), [(claimed, int(kind), 0, len(data))])

    good = blake3(b"good").digest()
    with Attacker(host, "mallory", "vision") as mallory:
        mallory.hello()
        # An object with another content than its id says.
        one = forge()
        commit = one.commit((b"file", EntryKind.FILE, good, 4))
        wrong = one.pack(PackClass.SMALL, raw(b"evil", good, Kind.CHUNK))
        assert "another content" in refused([*one.packs(), wrong], commit)
        # The content is not there at all.
        assert "needs what was not pushed" in refused(one.packs(), commit)
        # A commit that is none, and operations, which are local.
        junk = object_id(Kind.COMMIT, b"junk")
        assert "not of its form" in refused([one.pack(PackClass.METADATA, raw(b"junk", junk, Kind.COMMIT))], junk)
        local = object_id(Kind.OPERATION, b"junk")
        assert "operations" in refused([one.pack(PackClass.METADATA, raw(b"junk", local, Kind.OPERATION))], commit)
        # A map whose chunks make up another file, and one that repeats a chunk until no disk could hold it.
        chunk = b"c" * 300_000
        chunk_id, size = blake3(chunk).digest(), len(chunk)
        for parts, file_id, expected in (
            ([Part(chunk_id, size)] * 2, blake3(b"other").digest(), "yields another content"),
            ([Part(chunk_id, size - 1)], chunk_id, "wrong length"),
            ([Part(chunk_id, 1 << 50)] * 1000, blake3(b"huge").digest(), "unpacks to more than"),
        ):
            two = forge()
            payload = encode_page(0, parts)

            def fill(writer: PackWriter, payload: bytes = payload, file_id: bytes = file_id) -> None:
                stored = zstandard.compress(chunk)
                writer.append(Encoding.ZSTD, stored, size, [(chunk_id, int(Kind.CHUNK), 0, size)])
                writer.append(Encoding.RAW, payload, len(payload), [(file_id, int(Kind.FILE_MAP), 0, len(payload))])

            commit = two.commit((b"big", EntryKind.FILE, file_id, sum(part.length for part in parts)))
            assert expected in refused([*two.packs(), two.pack(PackClass.BULK, fill)], commit)
        # Bombs: a frame that claims too much, and one that unpacks to more than it claims.
        zeros = zstandard.compress(bytes(200 << 20))
        assert len(zeros) < 64 << 10
        for claimed, expected in ((3 << 30, "unpacks to more"), (1 << 20, "is damaged")):
            three = forge()
            bomb = three.pack(
                PackClass.SMALL,
                lambda writer, claimed=claimed: writer.append(  # type: ignore[misc]
                    Encoding.ZSTD, zeros, claimed, [(good, int(Kind.CHUNK), 0, claimed)]
                ),
            )
            assert expected in refused([bomb], commit)
        # A pack that is not as it is announced, and one that never came.
        four = forge()
        commit = four.commit()
        ((ref, data),) = four.packs()
        for other in (
            ref._replace(size=ref.size + 1),
            ref._replace(objects=ref.objects + 1),
            ref._replace(index_offset=ref.index_offset + 1),
            ref._replace(index_offset=0),
            ref._replace(index_offset=1 << 40),
            ref._replace(pack_class=PackClass.BULK),
            ref._replace(id=type(ref.id)(b"q" * 32)),
        ):
            change = ["heads/new", None, [int(Kind.COMMIT), commit]]
            mallory.put(ref.key, data)
            mallory.refused("publish", base=bytes(32), refs=[change], packs=[row(other)])
        # And the same as it is.
        mallory.put(ref.key, data)
        kind, answer = mallory.ask("publish", base=bytes(32), refs=[change], packs=[row(ref)])
        assert kind != ERROR, answer
        # Whose answer is lost asks again, and nothing happens twice.
        assert mallory.ask("publish", base=bytes(32), refs=[change], packs=[row(ref)])[1] == answer
    after = state(host)
    assert {name: after[name] for name in before if "/cells/" not in name and "/lists/" not in name}.items() <= (
        before.items()
    )
    ada = host.person("ada").clone("vision")
    ada.ok("fsck")
    assert ada.ok("branch", "-r").out.split() == ["origin/HEAD", "->", "origin/main", "origin/main", "origin/new"]


def test_what_another_account_uploaded_is_not_there(host: HubHost, vision: bytes, tmp_path: Path) -> None:
    host.user("walt", "writer")
    forge = Forge(tmp_path / "forge")
    commit = forge.commit()
    ((ref, data),) = forge.packs()
    with Attacker(host, "walt", "vision") as walt, Attacker(host, "mallory", "vision") as mallory:
        walt.hello()
        mallory.hello()
        walt.put(ref.key, data)
        assert walt.ask("get", key=ref.key, offset=0)[0] != ERROR
        mallory.refused("get", key=ref.key, offset=0)
        _, answer = mallory.ask("missing", keys=[ref.key])
        assert answer["absent"] == [0]
        change = ["heads/new", None, [int(Kind.COMMIT), commit]]
        assert "not here" in mallory.refused("publish", base=bytes(32), refs=[change], packs=[row(ref)])


@pytest.mark.parametrize("attack", ["long", "kind", "map", "refs", "hello", "number"])
def test_broken_frames(host: HubHost, vision: bytes, attack: str) -> None:
    before = state(host)
    with Attacker(host, "mallory", "vision") as mallory:
        mallory.hello()
        if attack == "long":
            mallory.raw(bytes([REQUEST]) + (1).to_bytes(4, "big") + (1 << 31).to_bytes(4, "big"))
        elif attack == "kind":
            mallory.send(77, 1, {})
        elif attack == "map":
            mallory.send(REQUEST, 1, b"\xc1\xff")
        elif attack == "hello":
            mallory.send(HELLO, 0, {})
        elif attack == "number":
            mallory.send(REQUEST, 0, {"op": "missing", "keys": []})
        else:
            for refs in ([1], [["heads/x", 1, 2]], [["heads/x", None, [99, b"x" * 32]]], [["a", None, None]] * 2):
                assert "cannot be read" in mallory.refused("publish", base=bytes(32), refs=refs, packs=[])
            mallory.refused("publish", base=b"", refs=[], packs=[])
            mallory.refused("publish", base=bytes(32), refs=[], packs=[[b"x" * 32, 1, -1, 0, 0]])
            return
        kind, number, said = mallory.receive()
        assert (kind, number) == (ERROR, 0)
        assert mallory.ended() == 14
    assert state(host) == before
    assert refusals(host)[0]["text"] == said["message"]


def test_a_tree_that_is_much_like_the_one_before(host: HubHost, vision: bytes, tmp_path: Path) -> None:
    """What a tree shares with that of a complete commit is not looked at again, and nothing else passes for it."""
    code = (b"code", EntryKind.FILE, blake3(b"1\n").digest(), 2)
    absent = blake3(b"absent").digest()
    same = (b"copy", *code[1:])
    wrong: list[list[tuple[bytes, EntryKind, bytes, int]]] = [
        [code, (b"new", EntryKind.FILE, absent, 6)],
        [(b"code", EntryKind.FILE, absent, 2)],
        [code, (b"folder", EntryKind.TREE, absent, 2)],
    ]
    here = [int(Kind.COMMIT), vision]
    before = state(host)
    with Attacker(host, "mallory", "vision") as mallory:
        mallory.hello()
        for number, files in enumerate((*wrong, [code, same])):
            forge = Forge(tmp_path / f"forge{number}")
            target = [int(Kind.COMMIT), forge.commit(*files, parents=[vision])]
            packs = forge.packs()
            if files in wrong:
                assert "needs what was not pushed" in offer(mallory, packs, ["heads/main", here, target]), files
                assert "needs what was not pushed" in offer(mallory, packs, ["heads/new", None, target]), files
                assert state(host) == before
                continue
            for ref, data in packs:
                mallory.put(ref.key, data)
            refs = [["heads/main", here, target]]
            kind, said = mallory.ask("publish", base=bytes(32), refs=refs, packs=[row(ref) for ref, _ in packs])
            assert kind == ANSWER, said
    Person(host.repo("vision"), host.admin.environment).ok("fsck")
