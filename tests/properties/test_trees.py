"""Directories behave like nested dicts, and equal ones have equal ids."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.objects import trees
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import content_id
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import BadNameError, Entry, EntryKind, check_names, is_valid_name
from dsvc.storage.memory import MemoryBackend

names = st.sampled_from([b"a", b"b", b"c", b"\xff", b"...", b".gitignore"])
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
files = st.integers(0, 5).map(lambda n: Entry(EntryKind.FILE, content_id(b"%d" % n), n))
changes = st.dictionaries(paths, files | st.none(), max_size=12)


def nest(model):
    """Return the nested dict that flat paths describe."""
    root = {}
    for path, entry in model.items():
        *folders, name = path.split(b"/")
        here = root
        for folder in folders:
            here = here.setdefault(folder, {})
        here[name] = entry
    return root


def apply(node, edit):
    """Change a nested dict as the docstring of edit_tree says."""
    here = {path: entry for path, entry in edit.items() if b"/" not in path}
    below = {}
    for path, entry in edit.items():
        name, inside, rest = path.partition(b"/")
        if inside:
            below.setdefault(name, {})[rest] = entry
    for name, entry in here.items():
        node.pop(name, None)
        if entry is not None:
            node[name] = entry
    for name, inner in below.items():
        if isinstance(node.get(name), dict):
            apply(node[name], inner)
        elif any(entry is not None for entry in inner.values()):
            node[name] = {}
            apply(node[name], inner)


def build(store, node):
    """Store a nested dict from its leaves up."""
    entries = []
    for name, value in sorted(node.items()):
        entries.append((name, build(store, value) if isinstance(value, dict) else value))
    return trees.write_tree(store, entries)


def read(store, tree_id):
    return {
        name: read(store, entry.id) if entry.kind == EntryKind.TREE else entry
        for name, entry in trees.entries(store, tree_id)
    }


@settings(deadline=None, max_examples=80)
@given(st.lists(changes, max_size=6))
def test_edits_follow_a_dict_and_history_leaves_no_trace(edits):
    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore(MemoryBackend(), lambda: Path(folder))
        model, root = {}, trees.tree_entry(store, trees.empty_tree(store))
        for edit in edits:
            root = trees.edit_tree(store, root.id, edit)
            apply(model, edit)
            assert read(store, root.id) == model
            assert root == build(store, model)
        store.close()


def flat(node, prefix=b""):
    for name, value in node.items():
        yield prefix + name, value
        if isinstance(value, dict):
            yield from flat(value, prefix + name + b"/")


@settings(deadline=None, max_examples=50)
@given(changes, changes)
def test_lookup_walk_and_differences_agree(first, second):
    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore(MemoryBackend(), lambda: Path(folder))
        old = trees.edit_tree(store, trees.empty_tree(store), first)
        new = trees.edit_tree(store, old.id, second)
        before, after = dict(trees.entries(store, old.id)), dict(trees.entries(store, new.id))
        expected = [(n, before.get(n), after.get(n)) for n in sorted(before | after) if before.get(n) != after.get(n)]
        assert list(trees.differences(store, old.id, new.id)) == expected
        walked = dict(trees.walk(store, new.id))
        assert walked.keys() == dict(flat(read(store, new.id))).keys()
        for path, entry in walked.items():
            assert trees.lookup(store, new.id, path) == entry
        assert new.size == sum(e.size for e in walked.values() if e.kind == EntryKind.FILE)
        store.close()


ignorable = st.sampled_from(["", "\u200c", "\u200d", "\ufeff", "\u2060", "\u00ad", "\U000e0001"])


@given(
    st.sampled_from([".git", ".dsvc", "git~1", "dsvc~1", "GIT~1"]),
    st.data(),
    st.sampled_from(["", ".", " ", " .", "::$INDEX_ALLOCATION", ":x", ". :x"]),
)
def test_disguises_of_control_folders_are_refused(name, data, tail):
    disguised = data.draw(ignorable)
    for letter in name:
        disguised += data.draw(st.sampled_from([letter, letter.upper()])) + data.draw(ignorable)
    assert not is_valid_name((disguised + tail).encode())


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=30))
def test_names_are_judged_alone_and_together_alike(many):
    try:
        check_names(many)
        accepted = True
    except BadNameError:
        accepted = False
    assert accepted == all(is_valid_name(name) for name in many)


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_any_bytes_are_a_node_or_refused(payload):
    from dsvc.objects.sortedmap import decode_node, encode_node

    try:
        node = decode_node(trees.TREES, payload)
    except (BadEncodingError, BadNameError):
        return
    assert encode_node(node.level, node.items) == payload
