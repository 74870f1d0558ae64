"""Ignore rules as a user meets them: which file wins, what cannot be taken back, and odd ignore files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.worktree.default_ignore import DEFAULT_IGNORE
from dsvc.worktree.ignore import MAX_FILE_SIZE, IgnoreRules


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def write(path: Path, text: str | bytes) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return os.fsencode(path)


def rules_of(root: Path, **options: bytes | bool) -> IgnoreRules:
    return IgnoreRules(os.fsencode(root), **options)  # type: ignore[arg-type]


def decided_by(rules: IgnoreRules, path: bytes) -> tuple[bytes, int, bytes] | None:
    rule = rules.match(path, is_directory=False)
    return None if rule is None else (rule.source, rule.line, rule.pattern)


def ignored(rules: IgnoreRules, path: bytes) -> bool:
    return rules.ignored(path, is_directory=False)


def test_nothing_is_ignored_without_rules(root: Path) -> None:
    rules = rules_of(root, exclude_file=b"/nonexistent", user_file=b"/nonexistent/either")
    assert not ignored(rules, b"a/b.pyc")
    assert rules.match(b"a", is_directory=True) is None
    assert rules.match(b"", is_directory=True) is None
    assert not rules.in_directory(b"a/b").ignored(b"c", is_directory=False)
    assert rules.skipped == []


def test_dsvcignore_wins_over_the_gitignore_beside_it(root: Path) -> None:
    write(root / ".gitignore", "*.csv\n*.log\n")
    write(root / ".dsvcignore", "# data is versioned here\n!*.csv\n")
    rules = rules_of(root)
    assert decided_by(rules, b"data/a.csv") == (b".dsvcignore", 2, b"!*.csv")
    assert not ignored(rules, b"data/a.csv")
    assert decided_by(rules, b"a.log") == (b".gitignore", 2, b"*.log")
    assert ignored(rules, b"a.log")


def test_a_deeper_gitignore_wins_over_a_shallower_dsvcignore(root: Path) -> None:
    write(root / ".dsvcignore", "*.csv\n")
    write(root / "data" / ".gitignore", "!*.csv\n")
    rules = rules_of(root)
    assert ignored(rules, b"a.csv")
    assert decided_by(rules, b"data/x/a.csv") == (b"data/.gitignore", 1, b"!*.csv")
    assert not ignored(rules, b"data/x/a.csv")


def test_gitignore_can_be_switched_off(root: Path) -> None:
    write(root / ".gitignore", "*.csv\n")
    write(root / ".dsvcignore", "*.log\n")
    rules = rules_of(root, read_gitignore=False)
    assert not ignored(rules, b"a.csv")
    assert ignored(rules, b"a.log")


def test_the_exclude_file_comes_before_the_users_file(root: Path) -> None:
    exclude = write(root / "meta" / "exclude", "!b\nc\n")
    user = write(root / "meta" / "user", "a\nb\nc\n")
    write(root / ".dsvcignore", "!c\n")
    rules = rules_of(root, exclude_file=exclude, user_file=user)
    assert decided_by(rules, b"x/a") == (user, 1, b"a")
    assert decided_by(rules, b"x/b") == (exclude, 1, b"!b")
    assert decided_by(rules, b"x/c") == (b".dsvcignore", 1, b"!c")
    assert [ignored(rules, name) for name in (b"a", b"b", b"c")] == [True, False, False]


def test_nothing_below_an_ignored_directory_is_taken_back(root: Path) -> None:
    write(root / ".dsvcignore", "data/\n!data/keep\n")
    write(root / "data" / ".dsvcignore", "!*\n")
    rules = rules_of(root)
    assert decided_by(rules, b"data/x/keep") == (b".dsvcignore", 1, b"data/")
    assert ignored(rules, b"data/keep")
    assert not ignored(rules, b"data")  # a file of that name is no directory


def test_a_walk_gives_the_answers_of_single_paths(root: Path) -> None:
    write(root / ".dsvcignore", "*.tmp\n/a/*.bin\na/b/lit\na/**/deep\nonly/\nlog*\n[xy]z\n!a/b/q.tmp\n")
    write(root / "a" / "b" / ".gitignore", "here\n!lit\n")
    names = [b"x.tmp", b"q.tmp", b"m.bin", b"lit", b"deep", b"only", b"log1", b"xz", b"here", b"plain"]
    rules = rules_of(root)
    walk = rules.in_directory(b"")
    for directory in (b"", b"a", b"a/b", b"a/b/c"):
        for name in names:
            path = directory + b"/" + name if directory else name
            for kind in (True, False):
                assert walk.ignored(name, is_directory=kind) == rules.ignored(path, is_directory=kind), path
        walk = walk.enter({b"": b"a", b"a": b"b", b"a/b": b"c"}.get(directory, b"end"))


def test_names_that_are_not_utf8(root: Path) -> None:
    write(root / ".dsvcignore", b"caf\xe9\n*.\xff\n[\xf0-\xf7]*\n")
    rules = rules_of(root)
    assert ignored(rules, b"menu/caf\xe9")
    assert ignored(rules, b"a.\xff")
    assert ignored(rules, "\N{GRINNING FACE}".encode())
    assert not ignored(rules, "café".encode())


def test_more_directories_than_are_remembered(root: Path) -> None:
    write(root / ".dsvcignore", "/d7/x\n")
    rules = rules_of(root)
    assert [n for n in range(12_000) if rules.in_directory(b"d%d" % n).ignored(b"x", is_directory=False)] == [7]


def test_very_deep_directories(root: Path) -> None:
    write(root / ".dsvcignore", "a/**/z\n")
    deep = b"/".join([b"a"] * 1900)
    rules = rules_of(root)
    assert ignored(rules, deep + b"/z")
    assert not rules.in_directory(deep).ignored(b"y", is_directory=False)


@pytest.mark.parametrize(
    "pattern", ["*a" * 60 + "b", "[a-z]*" * 60 + "Q", "**/a/" * 60 + "b", "/" + "*a*/**/" * 40 + "b"]
)
def test_a_hostile_pattern_ends_soon(root: Path, pattern: str) -> None:
    write(root / ".dsvcignore", pattern + "\n")
    rules = rules_of(root)
    assert not ignored(rules, b"a" * 255)
    assert not ignored(rules, b"/".join([b"aaac"] * 200))


def test_a_symlinked_ignore_file_is_not_followed(root: Path) -> None:
    write(root / "rules", "a\n")
    (root / ".gitignore").symlink_to("rules")
    rules = rules_of(root, user_file=os.fsencode(root / ".gitignore"))
    assert decided_by(rules, b"a") == (os.fsencode(root / ".gitignore"), 1, b"a")  # the user's own may be one
    assert [(skipped.source, skipped.reason) for skipped in rules.skipped] == [(b".gitignore", "it is a symbolic link")]


def test_ignore_files_that_are_no_files(root: Path) -> None:
    (root / ".dsvcignore").mkdir()
    os.mkfifo(root / ".gitignore")
    rules = rules_of(root, user_file=b"/dev/null")
    assert not ignored(rules, b"a")
    assert [(skipped.source, skipped.reason) for skipped in rules.skipped] == [
        (b".dsvcignore", "it is not a regular file"),
        (b".gitignore", "it is not a regular file"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_an_unreadable_ignore_file_is_reported(root: Path) -> None:
    write(root / ".dsvcignore", "a\n")
    write(root / ".gitignore", "b\n")
    (root / ".dsvcignore").chmod(0)
    rules = rules_of(root)
    assert not ignored(rules, b"a")
    assert ignored(rules, b"b")
    assert [(skipped.source, skipped.reason) for skipped in rules.skipped] == [(b".dsvcignore", "Permission denied")]


def test_huge_ignore_files(root: Path) -> None:
    write(root / ".dsvcignore", "a\n")
    os.truncate(root / ".dsvcignore", MAX_FILE_SIZE - 1)  # one more line, of NULs
    write(root / ".gitignore", "b\n")
    os.truncate(root / ".gitignore", MAX_FILE_SIZE)
    rules = rules_of(root)
    assert ignored(rules, b"a")
    assert not ignored(rules, b"b")
    assert [(skipped.source, skipped.reason) for skipped in rules.skipped] == [
        (b".gitignore", "it is 100 MiB or larger")
    ]


LEFT_OUT = """
.venv/bin/python src/__pycache__/m.cpython-311.pyc m.pyc nb/.ipynb_checkpoints/a.ipynb .env .env.local conf/.env.prod
keys/id_rsa id_ed25519 .DS_Store data/._a.csv Thumbs.db notes.txt~ .main.py.swp #a# .#a
.~lock.table.ods# ~$table.xlsx .aws/credentials .coverage .coverage.host node_modules/x/index.js
"""
KEPT = """
.env.example conf/.env.example src/main.py id_rsa.pub data/train.csv envs/pendulum.py .gitignore .dsvcignore notes.swp
models/best.pt nb/a.ipynb requirements.txt keys/readme environment.yml .github/workflows/ci.yml #a
"""


def test_the_default_file(root: Path) -> None:
    write(root / ".dsvcignore", DEFAULT_IGNORE)
    rules = rules_of(root)
    assert [path for path in LEFT_OUT.split() if not ignored(rules, path.encode())] == []
    assert [path for path in KEPT.split() if ignored(rules, path.encode())] == []
