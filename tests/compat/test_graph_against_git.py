"""The graph of `log --graph` is git's, line for line, on random histories."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from dsvc.commands.graph_lines import GraphLines

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/local/bin", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


def git(folder: Path, *words: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["git", *words], cwd=folder, input=stdin, capture_output=True, check=True, env=ENVIRONMENT)
    return done.stdout.decode()


def history(seed: int, *, count: int, most_parents: int) -> bytes:
    chance = random.Random(seed)
    lines: list[str] = []
    for number in range(1, count + 1):
        wanted = min(chance.choice([1, 1, 1, 1, 2, 2, *range(2, most_parents + 1)]), most_parents)
        wanted = 0 if chance.random() < 0.05 else wanted
        choices = range(max(1, number - 7), number)
        parents = chance.sample(choices, min(wanted, len(choices)))
        lines += [
            f"commit refs/heads/b{number}",
            f"mark :{number}",
            f"committer A <a@example.org> {1_700_000_000 + number * 60} +0000",
            f"data {len(str(number))}",
            str(number),
        ]
        lines += [f"{'from' if at == 0 else 'merge'} :{parent}" for at, parent in enumerate(parents)]
        lines.append("")
    return "\n".join(lines).encode()


def drawn(listing: str, *, text_lines: int) -> str:
    graph: GraphLines[str] = GraphLines()
    rows: list[str] = []
    for line in listing.splitlines():
        commit, *parents = line.split()
        graph.begin(commit, parents)
        for row, shown in graph.rows_to_commit():
            rows.append("".join(cell.character for cell in row) + (commit if shown else ""))
        rows += ["".join(cell.character for cell in graph.next_row()) + commit for _ in range(text_lines - 1)]
        rows += ["".join(cell.character for cell in row) for row in graph.rest()]
    return "".join(f"{row.rstrip()}\n" for row in rows)


@pytest.mark.parametrize("most_parents", [1, 2, 3, 6])
@pytest.mark.parametrize("seed", range(5))
def test_graph_is_the_one_of_git(tmp_path: Path, seed: int, most_parents: int) -> None:
    git(tmp_path, "init", "-q", ".")
    git(tmp_path, "fast-import", "--quiet", stdin=history(seed, count=60, most_parents=most_parents))
    for order in ("--topo-order", "--date-order"):
        listing = git(tmp_path, "log", "--all", order, "--format=%H %P")
        for text_lines, form in ((1, "%H"), (4, "%H%n%H%n%H%n%H")):
            expected = git(tmp_path, "log", "--all", order, "--graph", f"--format={form}")
            found = drawn(listing, text_lines=text_lines)
            assert found == "".join(f"{line.rstrip()}\n" for line in expected.splitlines())
