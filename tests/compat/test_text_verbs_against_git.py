"""`diff`, `diff --stat`, `log` and `blame` print what git prints for the same history."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

import pytest

from dsvc.commands.entry import run

BASE = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/usr/local/bin:/usr/bin:/bin"}
Both = Callable[..., tuple[str, str]]


def words(chance: random.Random, count: int) -> str:
    return "".join(f"{chance.choice('abcdefgh')} {chance.randrange(30)}\n" for _ in range(count))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """The same twelve commits in git and in dsvc; call it with a command for the outputs of both, ids left out."""
    tmp_path = tmp_path_factory.mktemp("both")
    environment = {
        **BASE, "HOME": str(tmp_path), "DSVC_USER_NAME": "A", "DSVC_USER_EMAIL": "a@example.org",
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
    }  # fmt: skip
    folder = tmp_path / "p"
    folder.mkdir()

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True, env=environment)
        return done.stdout.decode()

    def dsvc(*arguments: str) -> str:
        out, err = BytesIO(), BytesIO()
        code = run(arguments, environment, stdin=BytesIO(), stdout=out, stderr=err, directory=folder)
        assert code == 0, err.getvalue().decode()
        return out.getvalue().decode()

    git("init", "-q", "-b", "main")
    dsvc("init", "-q")
    (folder / ".dsvcignore").unlink()
    (folder / ".git/info/exclude").write_text(".dsvc\n")
    chance = random.Random(7)
    texts = {f"d{n % 2}/f{n}": words(chance, 40) for n in range(5)}
    for number in range(12):
        name = chance.choice(sorted(texts))
        lines = texts[name].splitlines(keepends=True)
        for _ in range(chance.randrange(1, 5)):
            lines[chance.randrange(len(lines))] = words(chance, chance.randrange(3))
        texts[name] = "".join(lines)
        if number in {4, 8}:
            old = sorted(texts)[0]
            texts[old.replace("/f", "/moved")] = texts.pop(old)
            (folder / old).unlink(missing_ok=True)
        for path, content in texts.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(content)
        moment = datetime(2026, 1, 1 + number, 12, tzinfo=UTC).isoformat()
        environment |= {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment, "DSVC_DATE": moment}
        git("add", "-A")
        git("commit", "-q", "-m", f"commit {number}\n\nbody {number}")
        dsvc("commit", "-q", "-m", f"commit {number}\n\nbody {number}")

    def outputs(*arguments: str, ours: tuple[str, ...] | None = None) -> tuple[str, str]:
        lines = dsvc(*(ours or arguments)).splitlines(keepends=True)
        known = (line for line in lines if not line.startswith("GitHead:"))  # git does not say where git itself stood
        return _plain(git(*arguments)), _plain("".join(known))

    return outputs


def _plain(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{40,64}\b", "ID", text)
    return re.sub(r"\^?\b[0-9a-f]{7,12}\b", "id", text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("diff", "HEAD~11", "HEAD"),
        ("diff", "HEAD~11", "HEAD", "--stat"),
        ("diff", "HEAD~7", "HEAD~2", "--numstat"),
        ("diff", "HEAD~9", "HEAD", "--summary"),
        ("diff", "HEAD~9", "HEAD", "--name-status"),
        ("diff", "-U1", "HEAD~3", "HEAD", "--no-renames", "--shortstat", "-p"),
        ("log",),
        ("log", "--graph", "--stat"),
        ("log", "-p", "-n", "4"),
        ("log", "--oneline", "--name-status", "--reverse"),
        ("log", "--pretty=fuller", "-n", "2", "--date=iso"),
        ("log", "--format=%an|%ae|%ad|%s|%b|%ci|%as", "--date=rfc", "--", "d0"),
        ("log", "-S", "b 7", "--format=%s"),
        ("log", "--since=2026-01-05T00:00:00Z", "--until=2026-01-09T00:00:00Z", "--format=%s"),
        ("show", "HEAD~3"),
        ("show", "HEAD~3", "--stat", "--format=%s"),
    ],
    ids=" ".join,
)
def test_same_output(both: Both, arguments: tuple[str, ...]) -> None:
    from_git, ours = both(*arguments)
    assert ours == from_git


def test_same_blame(both: Both) -> None:
    listed, _ = both("ls-tree", "-r", "--name-only", "HEAD", ours=("ls", "-r"))
    for path in listed.splitlines():
        from_git, ours = both("blame", "--line-porcelain", path, ours=("blame", "--json", path))
        subjects = [line.removeprefix("summary ") for line in from_git.splitlines() if line.startswith("summary ")]
        assert [line["subject"] for line in json.loads(ours)["lines"]] == subjects
