"""Which names a directory may hold."""

import pytest

from dsvc.objects import codec
from dsvc.objects.sortedmap import decode_node
from dsvc.objects.tree import BadNameError, Entry, EntryKind, check_names, is_valid_name
from dsvc.objects.trees import TREES, edit_tree, empty_tree, write_tree

REFUSED = [
    "",
    ".",
    "..",
    "a/b",
    "/",
    "a\0b",
    "\0",
    ".git",
    ".GIT",
    ".Git",
    ".g\u200cit",
    "\ufeff.git",
    ".git\u200d",
    ".g\U000e0041it",
    "\u202e.git",
    ".\uff47it",  # a full-width g, equal on a dataset with normalization=formKC
    "git~1",
    "GIT~1",
    "git~2",
    ".dsvc",
    ".DSVC",
    ".dsv\u2060c",
    ".d\u017fvc",  # a long s
    "dsvc~1",
    "DSVC~1",
    ".git ",
    ".git.",
    ".git . .",
    ".git::$INDEX_ALLOCATION",
    ".git:stream",
    ".git .:stream",
    "git~1.",
    "git~1::$INDEX_ALLOCATION",
    ".dsvc ",
    ".dsvc::$INDEX_ALLOCATION",
]
ACCEPTED = [
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".github",
    ".git-blame",
    ".git_",
    ".git2",
    ".git x",
    ".gi",
    "git",
    "GIT",
    "x.git",
    "dsvc",
    ".dsvcignore",
    ".dsvc2",
    "..a",
    "...",
    ". .",
    ".. ",
    ".a",
    "a.",
    " ",
    "git~",
    "git~x",
    "git~1x",
    "xgit~1",
    "a\\b",
    "a\nb",
    "\n",
    "con",
    "aux.txt",
    "\u200b",
    "\u2025",  # a two-dot leader is no pair of dots
    "\u00e9",
    ".\u0261it",  # looks alike and is another letter
    "\U0001f600",
]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    raw = name.encode()
    assert not is_valid_name(raw)
    for names in ([raw], [b"a", raw], [raw, b"z"], ["\u00e9".encode(), raw, b"..."]):
        with pytest.raises(BadNameError) as caught:
            check_names(names)
        assert repr(raw) in caught.value.message
        assert caught.value.exit_code == 15


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name):
    assert is_valid_name(name.encode())


def test_names_that_are_no_text_are_accepted():
    assert is_valid_name(b"\xff\xfe")
    assert is_valid_name(b".git\xff")
    assert is_valid_name(bytes(range(1, 47)))


def test_many_names_at_once():
    check_names([])
    check_names([name.encode() for name in ACCEPTED])
    check_names([b"\xff%d" % i for i in range(1000)])


@pytest.mark.parametrize("name", REFUSED)
def test_a_stored_directory_with_such_a_name_is_not_read(name):
    payload = codec.encode_plain([0, name.encode(), [EntryKind.FILE, bytes(32), 0]])
    with pytest.raises(BadNameError):
        decode_node(TREES, payload)


@pytest.mark.parametrize("name", [n for n in REFUSED if "/" not in n])
def test_no_directory_is_made_with_such_a_name(name, memory_store):
    entry = Entry(EntryKind.FILE, bytes(32), 0)
    raw = name.encode()
    with pytest.raises(BadNameError):
        write_tree(memory_store, [(raw, entry)])
    for path in (raw, b"folder/" + raw, raw + b"/file"):
        with pytest.raises(BadNameError):
            edit_tree(memory_store, empty_tree(memory_store), {path: entry})


@pytest.mark.parametrize(
    "value",
    [
        [0, bytes(32), 0],
        [8, bytes(32), 0],
        [True, bytes(32), 0],
        [1, bytes(31), 0],
        [1, bytes(20), 0],
        [5, bytes(21), 0],
        [1, "x" * 32, 0],
        [1, bytes(32), -1],
        [1, bytes(32), True],
        [1, bytes(32), 1.0],
        [1, bytes(32)],
        [1, bytes(32), 0, 0],
        {"kind": 1},
        None,
    ],
)
def test_an_entry_of_another_form_is_refused(value):
    with pytest.raises(codec.BadEncodingError):
        decode_node(TREES, codec.encode_plain([0, b"name", value]))


@pytest.mark.parametrize("value", [(1, bytes(32), 0), (5, bytes(20), 0), (5, bytes(32), 0), (7, bytes(32), 2**64 - 1)])
def test_an_entry_of_the_form_is_read(value):
    assert decode_node(TREES, codec.encode_plain([0, b"name", value])).items == ((b"name", value),)
