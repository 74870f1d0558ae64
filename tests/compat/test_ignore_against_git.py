"""Ignore rules agree with `git check-ignore` about every path: ignored or not, and by which line of which file."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from dsvc.worktree.ignore import IgnoreRules

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

Decision = tuple[bytes, int, bytes]  # source, line, pattern; empty when nothing matches

# Texts in the manner of what people keep at the root of their projects.
PYTHON = """\
# bytecode
__pycache__/
*.py[cod]
*$py.class
*.so

.Python
build/
dist/
*.egg-info/
.installed.cfg
*.egg
wheels/
pip-log.txt
htmlcov/
.coverage
.coverage.*
*.cover
.pytest_cache/
docs/_build/
.env
.env.*
!.env.example
.venv
venv/
/site
.mypy_cache/
"""
NODE = """\
node_modules/
jspm_packages/
npm-debug.log*
logs
*.log
/dist
/packages/*/lib
!/packages/core/lib
.cache/*
!.cache/keep
*.tsbuildinfo
.yarn/*
!.yarn/patches
!.yarn/releases
.next/
**/coverage/**
.env*.local
"""
C = """\
*.[oa]
*.so.*
*.ko
*.d
.*
!.gitignore
!.mailmap
!.clang-format
/vmlinux
/tags
/include/config/
/include/generated/
modules.order
*.patch
!debian/patches/*.patch
\\#*#
*.orig
*~
GTAGS
/scripts/*/*.tab.[ch]
**/Module.symvers
[Bb]in/
"""
UNITY = """\
/[Ll]ibrary/
/[Tt]emp/
/[Oo]bj/
/[Bb]uild*/
/[Aa]ssets/[Aa]sset[Ss]tore[Tt]ools*
!/[Aa]ssets/**/*.meta
*.csproj
*.unityproj
*.sln
*.pidb.meta
sysinfo.txt
*.apk
/[Aa]ssets/Streaming?Assets/aa.meta
/[Aa]ssets/StreamingAssets/aa/*
crashlytics-build.properties
"""
JUPYTER = """\
.ipynb_checkpoints
*/.ipynb_checkpoints/*
data/*
!data/README.md
!data/raw/
data/raw/*
!data/raw/*.csv
models/**/*.pt
!models/**/best.pt
runs/[0-9][0-9][0-9][0-9]-*/
wandb/
lightning_logs/version_*/
*.npy
!/tests/**/*.npy
mlruns/*/*/artifacts
profile_default/
*.h5\x20\x20
notes\\\x20
"""
PROJECTS = {
    "python": (
        PYTHON,
        """
        setup.py pkg/__pycache__/m.cpython-311.pyc pkg/m.pyc pkg/m.pyd pkg/m.pyx m$py.class lib/m.so m.so.1
        build/lib/x src/build/y dist x.egg-info/PKG-INFO .coverage .coverage.host.1 coverage
        docs/_build/index.html docs/index.md pkg/docs/_build/x .env .env.local .env.example
        conf/.env.example .venv/bin/python venv/pyvenv.cfg site/i.html a/site/i.html .mypy_cache/x.json
        """,
    ),
    "node": (
        NODE,
        """
        node_modules/a/index.js packages/core/node_modules/x packages/core/lib/a.js packages/ui/lib/a.js
        packages/ui/src/a.ts npm-debug.log npm-debug.log.1 logs/x src/logs/y a.log dist/x src/dist/y
        .cache/a .cache/keep/x sub/.cache/a .yarn/cache/x.zip .yarn/patches/p .yarn/releases/yarn.cjs
        a/coverage/b/c coverage/x coverage2/x .env.local .env.test.local .env a.tsbuildinfo
        """,
    ),
    "c": (
        C,
        """
        a.o lib/b.a x.so.1 x.so a.ko .gitignore .hidden/file .mailmap .clang-format sub/.clang-format
        vmlinux arch/vmlinux tags include/config/auto.conf include/linux/config/x a.patch
        debian/patches/b.patch debian/a.patch #a# x.orig x~ scripts/kconfig/p.tab.c scripts/kconfig/p.tab.o
        scripts/p.tab.c drivers/x/Module.symvers Module.symvers Bin/x bin/y sub/bin/z a.d.c
        """,
    ),
    "unity": (
        UNITY,
        """
        Library/x library/y sub/Library/z Temp/x Obj/o Build/x BuildWin/x buildings Assets/AssetStoreTools/x
        Assets/AssetStoreTools.meta Assets/a/b.meta Assets/b.meta x.csproj Assets/y.sln sysinfo.txt a.apk
        Assets/StreamingAssets/aa.meta Assets/Streaming_Assets/aa.meta Assets/StreamingAssets/aa/x
        Assets/x.pidb.meta
        """,
    ),
    "jupyter": (
        JUPYTER,
        """
        .ipynb_checkpoints/a.ipynb nb/.ipynb_checkpoints/b.ipynb nb/a.ipynb data/a.csv data/README.md
        data/raw/a.csv data/raw/a.bin data/raw/deep/a.csv sub/data/x models/a.pt models/x/y/b.pt
        models/x/best.pt models/best.pt models/x.onnx runs/2024-a/x runs/24-a/x wandb/run/x
        lightning_logs/version_0/c lightning_logs/versions a.npy tests/a.npy tests/x/b.npy src/tests/c.npy
        mlruns/0/ab/artifacts/m mlruns/0/ab/meta.yaml w.h5 notes
        """,
    ),
}

# Where implementations usually part: (lines, paths); a path that ends in a slash is a directory.
TRICKY: list[tuple[bytes, list[bytes]]] = [
    (b"foo/\n", [b"foo", b"a/foo/x", b"b/foo/"]),
    (b"/foo\n", [b"foo", b"a/foo"]),
    (b"a/b\n", [b"a/b", b"c/a/b"]),
    (b"a/*\n!a/b\n", [b"a/b", b"a/c", b"a/d/b"]),
    (b"a/\n!a/b\n", [b"a/b"]),
    (b"a/**\n!a/b/\n!a/b/c\n", [b"a/b/c", b"a/b/d", b"a/e"]),
    (b"*\n!*/\n!*.py\n", [b"a.py", b"a/b.py", b"a/b.txt", b"c"]),
    (b"**/x/y\n", [b"x/y", b"a/x/y", b"a/b/x/y", b"x/a/y"]),
    (b"a/**/z\n", [b"a/z", b"a/b/z", b"a/b/c/z", b"az"]),
    (b"/foo**\n!/foo**/baz\n", [b"foobar/baz", b"foo/x", b"fo"]),
    (b"foo**/bar\n", [b"foo/bar", b"foo/a/bar", b"fooa/bar", b"foo/a/b/bar", b"foobar"]),
    (b"x**y/z\n", [b"xy/z", b"xaay/z", b"x/y/z"]),
    (b"a*/b\n", [b"a/b", b"aa/b", b"aa/c/b"]),
    (b"**\n!**/keep\n", [b"keep", b"a/keep", b"b"]),
    (b"***/q\n", [b"q", b"a/q", b"a/b/q"]),
    (b"**/\n", [b"a", b"b/", b"c/d"]),
    (b"a\\*b\n\\!x\n\\#y\n#z\n", [b"a*b", b"aab", b"!x", b"#y", b"#z", b"y"]),
    (b"end\\\nslash\\/\nz\n", [b"end", b"end\\", b"slash/", b"z"]),
    (b"a \nb\\ \nc\\  \nd \\ \n \ne\t\n", [b"a", b"a ", b"b ", b"b", b"c ", b"d  ", b" ", b"e", b"e\t"]),
    (b"a\r\nb\r\n\r\n!b\r\nc\r", [b"a", b"a\r", b"b", b"c", b"c\r"]),
    (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", [b"a", b"b", b"\xef\xbb\xbfb"]),
    (b"a\0b\nc\n\0d\n", [b"a", b"b", b"c", b"d"]),
    (b"[!a]x\n[^b]y\n[]]z\n[!]]w\n", [b"ax", b"bx", b"ay", b"by", b"]z", b"]w", b"aw"]),
    (b"[a-\n[b\nc[]\nd[[:x:]]\ne[[:alpha:\n[[:alpha:]\n", [b"[a-", b"[b", b"c[]", b"dx", b"ea", b"a"]),
    (b"[[:]a\n[[::]]b\n[[:b]c\n", [b"[a", b":a", b":b", b"[c", b"bc", b":c"]),
    (b"[a-c-e]\n[\\]]q\n[z-a]\n[x-]\n", [b"b", b"d", b"-", b"]q", b"z", b"x"]),
    (b"[/]a\nb[/]c\nd?e\nf[^x]g\n", [b"b/c", b"d/e", b"f/g", b"a"]),
    (b"\xe9*\n*\xff\n[\xc3][\xa4]\n?\xa4\n", [b"\xe9t\xe9", b"a\xff", b"\xc3\xa4", b"x\xa4", b"\xa4"]),
    (b"//a\nb//\n/\n//\n!\n!/\na//c\n./d\n", [b"a", b"b/", b"a/c", b"d"]),
    (b"a\n!a\na\n!a/\n", [b"a", b"x/a/", b"x/b"]),
    (b"x\nsub\n!sub\n/sub/x\n!/sub/x\n", [b"x", b"sub/x", b"sub/sub/x"]),
    (b"*a*b*c*\n?a?\n", [b"abc", b"xaxbxcx", b"acb", b"\naa", b"aab", b"xa\n"]),
]


def decisions_of_git(root: bytes, paths: list[bytes], *, user_file: bytes = b"/nonexistent") -> list[Decision]:
    command = [b"git", b"-C", root, b"-c", b"core.excludesFile=" + user_file]
    command += [b"check-ignore", b"-v", b"-n", b"-z", b"--stdin", b"--no-index"]
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    asked = b"".join(b"./" + path + b"\0" for path in paths)  # a path may start with a colon
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, env=environment, check=False)
    assert done.returncode in (0, 1)
    fields = done.stdout.split(b"\0")
    assert fields[3::4] == [b"./" + path for path in paths]
    return [(s, int(n or b"0"), p) for s, n, p in zip(fields[0::4], fields[1::4], fields[2::4], strict=False)]


def decision_of_dsvc(rules: IgnoreRules, path: bytes, *, is_directory: bool) -> Decision:
    rule = rules.match(path, is_directory=is_directory)
    ignored = rule is not None and not rule.negated
    assert rules.ignored(path, is_directory=is_directory) == ignored
    parent, _, name = path.rpartition(b"/")
    if not parent or not rules.ignored(parent, is_directory=True):
        assert rules.in_directory(parent).ignored(name, is_directory=is_directory) == ignored
    return (rule.source, rule.line, rule.pattern) if rule is not None else (b"", 0, b"")


def compare(root: Path, *, user_file: bytes | None = None) -> int:
    """Compare the decisions about everything below `root`; return how many paths some rule decides about."""
    top = os.fsencode(root)
    kinds: dict[bytes, bool] = {}
    for directory, directories, files in os.walk(top):
        if directory == top:
            directories.remove(b".git")
        prefix = directory[len(top) + 1 :] + b"/" if directory != top else b""
        kinds |= {prefix + name: not os.path.islink(os.path.join(directory, name)) for name in directories}
        kinds |= {prefix + name: False for name in files}
    exclude = top + b"/.git/info/exclude"
    rules = IgnoreRules(top, exclude_file=exclude, user_file=user_file)
    theirs = decisions_of_git(top, list(kinds), user_file=user_file or b"/nonexistent")
    ours = [decision_of_dsvc(rules, path, is_directory=kind) for path, kind in kinds.items()]
    ours = [(b".git/info/exclude" if source == exclude else source, n, p) for source, n, p in ours]
    differences = [(path, a, b) for path, a, b in zip(kinds, theirs, ours, strict=True) if a != b]
    assert differences == []
    return sum(decision[1] > 0 for decision in ours)


def plant(directory: Path, paths: list[bytes]) -> None:
    """Create files, and directories where a path ends in a slash; a path that clashes with another is left out."""
    for path in paths:
        target = os.fsencode(directory) + b"/" + path
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not path.endswith(b"/"):
                with open(target, "xb"):
                    pass
        except (FileExistsError, NotADirectoryError):
            continue


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


@pytest.mark.parametrize("project", PROJECTS)
def test_files_of_real_projects(repository: Path, project: str) -> None:
    text, paths = PROJECTS[project]
    plant(repository, [os.fsencode(path) for path in paths.split()])
    (repository / ".gitignore").write_text(text)
    assert compare(repository) > 10


def test_tricky_lines_in_subdirectories(repository: Path) -> None:
    for number, (text, paths) in enumerate(TRICKY):
        plant(repository / f"case{number}", paths)
        (repository / f"case{number}" / ".gitignore").write_bytes(text)
    assert compare(repository) > 50


def test_tricky_lines_at_the_root(repository: Path) -> None:
    plant(repository, [path for _, paths in TRICKY for path in paths])
    for text, _ in TRICKY:
        (repository / ".gitignore").write_bytes(text)
        compare(repository)


def test_character_classes_accept_the_same_bytes(repository: Path) -> None:
    every = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    classes = ["alnum", "alpha", "blank", "cntrl", "digit", "graph"]
    classes += ["lower", "print", "punct", "space", "upper", "xdigit"]
    for pattern in [f"[[:{name}:]]" for name in classes] + ["?", "[!-~]", "[^[:alpha:]-z]", "[+--]"]:
        directory = repository / pattern.replace("[", "").strip("[]:")
        plant(directory, every)
        (directory / ".gitignore").write_bytes(pattern.encode() + b"\n")
    compare(repository)


def test_order_of_the_files(repository: Path, tmp_path: Path) -> None:
    plant(repository, [b"a/b/c/x", b"a/b/x", b"a/x", b"x", b"y", b"z", b"a/y", b"a/z", b"a/b/keep/x", b"w/v"])
    (repository / "a" / ".gitignore").write_bytes(b"!x\n/b/c/\nz\n")
    (repository / "a" / "b" / ".gitignore").write_bytes(b"x\n!c\n/keep/*\n")
    (repository / "w" / ".gitignore").write_bytes(b"!v\n")
    (repository / ".gitignore").write_bytes(b"x\n!y\nw/\n")
    (repository / ".git" / "info" / "exclude").write_bytes(b"y\nz\n!a/z\nkeep\n!keep\n")
    user = tmp_path / "user"
    user.write_bytes(b"# mine\n*\n!x\n")
    assert compare(repository, user_file=os.fsencode(user)) > 10


def test_ignore_files_that_are_no_plain_files(repository: Path) -> None:
    plant(repository, [b"link/x", b"directory/.gitignore/x", b"directory/x", b"empty/x", b"nul/x", b"real/x"])
    (repository / "rules").write_bytes(b"x\n")
    (repository / "link" / ".gitignore").symlink_to("../rules")
    (repository / "empty" / ".gitignore").touch()
    (repository / "nul" / ".gitignore").write_bytes(b"\0" * 5000 + b"\nx\n")
    (repository / "linked").symlink_to("real")
    (repository / ".gitignore").write_bytes(b"linked/\n")
    (repository / ".git" / "info" / "exclude").unlink()
    (repository / ".git" / "info" / "exclude").symlink_to(repository / "rules")
    compare(repository)


NAMES = [b"a", b"b", b"ab", b"abc", b"foo", b"bar", b"foobar", b"foo.py", b"a.b", b"x y", b"a ", b"\\", b"[", b"]"]
NAMES += [b"!a", b"#a", b"-", b"^", b"\xff\xfe", b"a\xe9", b"A", b"0", b"a\nb", b"*", b"?", b"\t", b":", b"a\\"]
PARTS = rb"* ** *** ? [a-c] [!a] [^a] []a] [a [!]a] [[:alpha:]] [[:space:]] [[:foo:]] [[:punct:][:digit:]] [a-] [\]]"
PARTS += rb" [\a-c] [[:] [a[:b] [/] [a/b] \* \a \ \/ [+--] [--a] [z-a] [a-\c] [[:alpha:]-z] [[:alpha: [!-a]"
ENDS = [b" ", b"  ", b"\\ ", b"\t", b"\r", b"\\  ", b" \\", b"\0x", b"/", b"//"]


def random_component(chance: random.Random) -> bytes:
    pieces = NAMES if chance.random() < 0.5 else NAMES + 2 * PARTS.split()
    return b"".join(chance.choice(pieces) for _ in range(chance.choice([1, 1, 2, 3])))


def loosened(name: bytes, chance: random.Random) -> bytes:
    """Return a pattern that has something to do with `name`, and often matches it."""
    out = b""
    for byte in name:
        letter = bytes([byte])
        literal = b"\\" + letter if letter in b"*?[\\" else letter
        sets = [b"[!z]", b"[" + letter + b"]", b"[" + letter + b"-" + letter + b"]", b"[^/]", b"[ -~]"]
        out += chance.choice([literal, literal, literal, b"?", b"*", b"**", b"\\" + letter, chance.choice(sets)])
    return out


def random_line(below: list[bytes], chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        components = [random_component(chance) for _ in range(chance.choice([1, 1, 2, 3]))]
    else:
        path = chance.choice(below).split(b"/")
        cut = chance.randrange(len(path))
        chosen = path[: cut + 1] if chance.random() < 0.6 else path[cut:]
        components = [name if chance.random() < 0.5 else loosened(name, chance) for name in chosen]
    if chance.random() < 0.3:
        components.insert(chance.randint(0, len(components)), chance.choice([b"**", b"**", b"***", b"*"]))
    line = (b"!" if chance.random() < 0.3 else b"") + (b"/" if chance.random() < 0.2 else b"") + b"/".join(components)
    return line + (chance.choice(ENDS) if chance.random() < 0.15 else b"")


def random_text(below: list[bytes], chance: random.Random) -> bytes:
    return b"\n".join(random_line(below, chance) for _ in range(chance.randint(1, 8))) + chance.choice([b"", b"\n"])


def random_tree(directory: Path, chance: random.Random) -> list[bytes]:
    names = [random_component(chance) for _ in range(15)]
    paths = [b"/".join(chance.choices(names, k=chance.choice([1, 1, 2, 3, 4]))) for _ in range(12)]
    paths = [path + b"/" if chance.random() < 0.2 else path for path in paths if len(path) < 200]
    plant(directory, paths)
    return [path.rstrip(b"/") for path in paths]


@pytest.mark.parametrize("seed", [1, 2])
def test_generated_rules_in_subdirectories(repository: Path, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(300):
        directory = repository / f"case{number}"
        paths = random_tree(directory, chance)
        (directory / ".gitignore").write_bytes(random_text(paths, chance))
        inner = [entry for entry in directory.iterdir() if entry.is_dir()]
        if inner:
            (inner[0] / ".gitignore").write_bytes(random_text(paths, chance))
    assert compare(repository) > 1000


def test_generated_rules_at_the_root_and_outside_the_tree(repository: Path, tmp_path: Path) -> None:
    chance = random.Random(3)
    paths = random_tree(repository, chance) + random_tree(repository, chance)
    user = tmp_path / "user"
    for _ in range(60):
        (repository / ".gitignore").write_bytes(random_text(paths, chance))
        (repository / ".git" / "info" / "exclude").write_bytes(random_text(paths, chance))
        user.write_bytes(random_text(paths, chance))
        compare(repository, user_file=os.fsencode(user))
