"""The shapes of the graph; tests/compat compares many more with git's."""

from __future__ import annotations

import inspect

from dsvc.commands.graph_lines import GraphLines


def drawn(history: str, *, text_lines: int = 1) -> str:
    """Draw `commit: parents` lines."""
    graph: GraphLines[str] = GraphLines()
    rows: list[str] = []
    for line in inspect.cleandoc(history).splitlines():
        commit, _, parents = line.partition(":")
        graph.begin(commit, parents.split())
        for row, shown in graph.rows_to_commit():
            rows.append("".join(cell.character for cell in row) + (commit if shown else ""))
        rows += ["".join(cell.character for cell in graph.next_row()) + "..." for _ in range(text_lines - 1)]
        rows += ["".join(cell.character for cell in row) for row in graph.rest()]
    return "\n".join(row.rstrip() for row in rows)


def shape(text: str) -> str:
    return inspect.cleandoc(text)


def test_a_line() -> None:
    assert drawn("c: b\nb: a\na:") == "* c\n* b\n* a"


def test_a_merge() -> None:
    found = drawn("m: b d\nd: c\nc: a\nb: a\na:")
    assert found == shape(
        r"""
        *   m
        |\
        | * d
        | * c
        * | b
        |/
        * a
        """
    )


def test_text_of_several_lines() -> None:
    assert drawn("m: b c\nc: a\nb: a\na:", text_lines=2) == shape(
        r"""
        *   m
        |\  ...
        | * c
        | | ...
        * | b
        |/  ...
        * a
          ...
        """
    )


def test_an_octopus() -> None:
    assert drawn("o: b c d\nd: a\nc: a\nb: a\na:") == shape(
        r"""
        *-.   o
        |\ \
        | | * d
        | * | c
        | |/
        * / b
        |/
        * a
        """
    )


def test_criss_cross() -> None:
    assert drawn("x: m n\nn: c b\nm: b c\nc: a\nb: a\na:") == shape(
        r"""
        *   x
        |\
        | *   n
        | |\
        * | | m
        |\| |
        | |/
        |/|
        | * c
        * | b
        |/
        * a
        """
    )


def test_roots_and_unrelated_tips() -> None:
    assert drawn("a:\nb: c\nc:\nd: e\ne:") == "* a\n* b\n* c\n* d\n* e"


def test_lanes_keep_their_colour() -> None:
    graph: GraphLines[str] = GraphLines()
    colors: list[list[int | None]] = []
    for commit, parents in (("m", "bc"), ("c", "a"), ("b", "a"), ("a", "")):
        graph.begin(commit, list(parents))
        rows = [row for row, _ in graph.rows_to_commit()] + list(graph.rest())
        colors += [[cell.color for cell in row if cell.character != " "] for row in rows]
    merge, edges, side, main, joining, root = colors
    assert merge == [None]
    assert edges[0] != edges[1]
    assert side == [edges[0], None]
    assert main == [None, edges[1]]
    assert joining[1] == edges[1]
    assert root == [None]
