"""fsck names what is damaged, which paths of which commits that hits, and what to do."""

import os

import pytest

from dsvc.actions.fsck import check, drop_damaged
from dsvc.actions.gc import collect
from dsvc.errors import IntegrityError
from dsvc.objects import sortedmap, trees
from dsvc.objects.filemap import Part, encode_page
from dsvc.objects.ids import Kind, content_id
from dsvc.objects.sortedmap import Child, encode_node
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.view import Direct
from dsvc.repo.removal import drop_objects


def flip(path, at):
    os.chmod(path, 0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def one_pack_a_class(project):
    collect(project.repo, now=project.now, grace=0, prune_all=True)
    return {ref.pack_class.name: (ref, project.root / ref.key) for ref in project.repo.head.packs.packs}


@pytest.fixture
def filled(project, noise):
    project.commit({b"data/model": noise(1, 600_000), b"note": b"first"})
    project.commit({b"note": b"second", b"data/table": noise(2, 900)})
    return project


def test_a_whole_repository(filled):
    result = check(filled.open())
    assert result.damage == ()
    assert result.files == 1
    assert result.operations == 3
    assert result.packs == len(filled.packs())
    assert check(filled.open(), deep=False).damage == ()


def test_a_flipped_bit_in_a_large_file_is_named_with_its_path(filled):
    _, path = one_pack_a_class(filled)["BULK"]
    flip(path, 5000)
    (damage,) = check(filled.open()).damage
    assert (damage.what, damage.kind) == ("damaged", Kind.CHUNK)
    assert path.name in damage.message
    assert {hit.path for hit in damage.hits} == {b"data/model"}
    assert damage.hits[0].refs == ("main",)
    assert damage.hint
    with pytest.raises(IntegrityError) as caught:
        filled.files()
    assert path.name in caught.value.message


def test_a_flipped_bit_in_a_group_of_small_files(filled):
    _, path = one_pack_a_class(filled)["SMALL"]
    flip(path, 40)
    found = check(filled.open()).damage
    hits = {hit.path for damage in found for hit in damage.hits}
    assert hits
    assert hits <= {b"note", b"data/table"}


def test_a_flipped_bit_in_the_history_is_named(filled):
    _, path = one_pack_a_class(filled)["METADATA"]
    flip(path, 100)
    result = check(filled.open())
    assert result.damage
    assert {damage.what for damage in result.damage} <= {"damaged", "missing"}


@pytest.mark.parametrize("place", ["header", "index", "footer"])
def test_a_damaged_end_of_a_pack(filled, place):
    ref, path = one_pack_a_class(filled)["BULK"]
    flip(path, {"header": 3, "index": ref.index_offset + 60, "footer": ref.size - 4}[place])
    found = check(filled.open()).damage
    assert found[0].what == "pack"
    assert path.name in found[0].message
    assert any(hit.path == b"data/model" for damage in found for hit in damage.hits)


def test_a_truncated_pack(filled):
    ref, path = one_pack_a_class(filled)["BULK"]
    os.chmod(path, 0o644)
    os.truncate(path, ref.size // 2)
    found = check(filled.open()).damage
    assert found[0].what == "pack"
    assert any(hit.path == b"data/model" for damage in found for hit in damage.hits)


def test_a_missing_pack(filled):
    _, path = one_pack_a_class(filled)["SMALL"]
    path.unlink()
    found = check(filled.open()).damage
    assert found[0].what == "pack"
    assert {hit.path for damage in found for hit in damage.hits} == {b"note", b"data/table"}


def test_a_damaged_list_and_a_damaged_cell(filled):
    repo = filled.open()
    one_pack_a_class(filled)
    repo.refresh()
    newest = max((filled.root / "lists").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    flip(newest, 20)
    (damage,) = check(repo).damage
    assert damage.what == "head"
    flip(newest, 20)
    assert not check(repo).damage
    cell = max((filled.root / "cells" / "head").iterdir(), key=lambda path: int(path.name))
    flip(cell, 50)
    (damage,) = check(repo).damage
    assert damage.what == "head"
    assert cell.name in damage.message
    with pytest.raises(IntegrityError):
        filled.open()


def test_a_missing_directory_is_named(filled):
    repo = filled.open()
    tree = trees.lookup(repo.store, repo.commit(repo.view().commit("heads/main")).tree, b"data")
    drop_objects(repo, [tree.id])
    (damage,) = check(filled.open()).damage
    assert (damage.what, damage.id) == ("missing", tree.id)
    assert [(hit.path, hit.refs) for hit in damage.hits] == [(b"data", ("main",))]


def test_cut_operations_are_absent_on_purpose_and_others_are_not(filled):
    repo = filled.open()
    first = [i for i, _ in repo.log.walk(repo.head.operation)][-1]
    collect(repo, now=filled.now, grace=0)
    assert not check(filled.open()).damage
    filled.commit({b"note": b"third"})
    fresh = filled.open()
    older = [i for i, _ in fresh.log.walk(fresh.head.operation)][-1]
    assert older != first
    drop_objects(fresh, [older])
    (damage,) = check(filled.open()).damage
    assert (damage.what, damage.kind, damage.id) == ("missing", Kind.OPERATION, older)


def commit_tree(project, tree):
    repo = project.repo
    transaction = repo.transaction()
    person = Person("Ada", "", 1)
    commit = repo.put_commit(Commit(tree, (), person, person, "by hand"))
    transaction.set("heads/hand", Direct(Kind.COMMIT, commit))
    repo.publish(transaction, project.act("commit"))


def test_maps_out_of_shape_are_found(filled):
    store = filled.repo.store
    entry = Entry(EntryKind.FILE, store.put_content(b"x"), 1)
    names = [b"%04d" % n for n in range(200)]
    halves = []
    for some in (names[:10], names[10:]):  # a node that ends too early
        end = next((n for n, k in enumerate(some) if n >= 63 and sortedmap.is_boundary(k, 0)), len(some) - 1)
        part = some[: end + 1]
        node = store.put(Kind.TREE, encode_node(0, [(name, entry) for name in part]))
        halves.append((part[-1], Child(node, len(part), len(part))))
    commit_tree(filled, store.put(Kind.TREE, encode_node(1, halves)))
    assert {damage.what for damage in check(filled.open()).damage} == {"shape"}


def test_a_wrong_count_and_a_wrong_size_are_found(filled):
    store = filled.repo.store
    entry = Entry(EntryKind.FILE, store.put_content(b"x"), 1)
    inner = trees.write_tree(store, [(b"a", entry)])
    commit_tree(filled, store.put(Kind.TREE, encode_node(0, [(b"dir", Entry(EntryKind.TREE, inner.id, 7))])))
    (damage,) = check(filled.open()).damage
    assert damage.what == "shape"
    assert "size" in damage.message


def test_a_map_that_yields_another_file_is_found(filled, noise):
    from dsvc.objects.ingest import Ingest  # the only way to store a wrong map is below the store

    store = filled.repo.store
    chunk = store.put_content(noise(9, 2000))
    wrong = content_id(noise(10, 300_000))
    writer = store._writer()
    assert isinstance(writer, Ingest)
    writer.put(Kind.FILE_MAP, encode_page(0, [Part(chunk, 2000)]), own_id=wrong)
    tree = trees.write_tree(store, [(b"forged", Entry(EntryKind.FILE, wrong, 300_000))])
    commit_tree(filled, tree.id)
    (damage,) = check(filled.open()).damage
    assert (damage.what, damage.id) == ("file", wrong)
    assert [hit.path for hit in damage.hits] == [b"forged"]


def test_what_was_dropped_can_be_stored_again(filled, noise):
    _, path = one_pack_a_class(filled)["BULK"]
    flip(path, 5000)
    repo = filled.open()
    assert drop_damaged(repo, check(repo).damage) == 1
    (damage,) = check(filled.open()).damage
    assert damage.what == "missing"
    with pytest.raises(ObjectMissingError):
        filled.files()
    filled.commit({b"copy": noise(1, 600_000)})
    assert not check(filled.open()).damage
    assert filled.files()[b"data/model"] == noise(1, 600_000)
