"""A lineage as a tree for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from dsvc.actions.lineage_graph import CommitNode, FileNode, Lineage, ModelNode, Node, RunNode
from dsvc.commands.lineage_labels import (
    MARK_COLORS,
    PLAIN_SIGNS,
    SIGNS,
    commit_note,
    file_note,
    run_facts,
    run_observation,
    run_word,
    short_id,
    size_note,
    title,
)
from dsvc.commands.lineage_shape import Branch, Shape, overall
from dsvc.commands.output import Output
from dsvc.commands.path_text import quote_path
from dsvc.commands.width import display_width

Words: TypeAlias = "list[tuple[str, tuple[str, ...]]]"
_BOXES = ("├─", "└─", "│  ", "   ", "…")
_PLAIN = ("|-", "`-", "|  ", "   ", "...")


class TreeWriter:
    """Prints lineages; `width` is in columns, `boxes` says whether the terminal shows more than ASCII."""

    def __init__(self, out: Output, *, width: int, boxes: bool, headline: str | None = None) -> None:
        self._out, self._width, self._headline = out, width, headline
        self._fork, self._last, self._bar, self._blank, self._dots = _BOXES if boxes else _PLAIN
        self._signs = SIGNS if boxes else PLAIN_SIGNS
        self._shown: set[str] = set()

    def write(self, graph: Lineage) -> None:
        """Print a lineage, and below it what the signs mean."""
        shape = Shape(graph)
        for number, root in enumerate(graph.roots):
            if number:
                self._out.line()
            node = graph.nodes[root]
            self._root(graph, shape, node)
            self._children(graph, shape, node, "")
        self._legend(graph)

    def _root(self, graph: Lineage, shape: Shape, node: Node) -> None:
        name = title(node)
        if isinstance(node, FileNode):
            commit = shape.commit_of(node)
            notes = [file_note(graph, node), _commit_words(commit) if commit is not None else ""]
            if graph.direction == "up" and not shape.leads_on(node):
                notes.append("no run wrote it")
            self._line("", [(name, ("bold",)), (short_id(node), ("yellow",))], "  ".join(filter(None, notes)))
            return
        kind = "commit" if isinstance(node, CommitNode) else "environment"
        kind = run_word(node) if isinstance(node, RunNode) else kind
        color = "cyan" if isinstance(node, RunNode) else "yellow"
        refs = f"({', '.join(node.refs)})" if isinstance(node, CommitNode) and node.refs else ""
        self._line("", [(kind, ("bold",)), (short_id(node), (color,)), (name, ("bold",))], refs)
        if isinstance(node, RunNode):
            self._facts(node, self._bar if shape.leads_on(node) else self._blank)

    def _children(self, graph: Lineage, shape: Shape, node: Node, prefix: str) -> None:
        # A stack instead of recursion: a chain of a thousand runs is deep.
        stack: list[tuple[str, Iterator[tuple[Branch, bool]]]] = [(prefix, _with_last(shape.below(node)))]
        self._shown.add(node.key)
        while stack:
            above, branches = stack[-1]
            step = next(branches, None)
            if step is None:
                stack.pop()
                continue
            branch, last = step
            goes_on = self._branch(graph, shape, branch, above, last=last)
            if goes_on:
                self._shown.add(branch.node.key)
                inner = above + (self._blank if last else self._bar)
                below = shape.below(branch.node)
                stack.append((inner, _with_last(below)))

    def _branch(self, graph: Lineage, shape: Shape, branch: Branch, above: str, *, last: bool) -> bool:
        """Print the line of a node, and say whether what is below it follows."""
        node, edge = branch.node, branch.edge
        sign = self._out.paint(self._signs[edge.mark], MARK_COLORS[edge.mark])
        start = f"{above}{self._last if last else self._fork}{sign} "
        inner = above + (self._blank if last else self._bar)
        leads_on = shape.leads_on(node) and not edge.also and edge.what != "around"
        repeated = leads_on and node.key in self._shown
        notes: list[str] = []
        words: Words
        if isinstance(node, FileNode):
            if branch.files:
                where = f"{quote_path(branch.folder)}/" if branch.folder else "./"
                words = [(where, ()), (size_note(len(branch.files), sum(f.size for f in branch.files)), ())]
            else:
                words = [(title(node), ()), (short_id(node), ("yellow",))]
                notes.append(file_note(graph, node, tips=graph.direction == "down"))
            if branch.commit is not None and not leads_on:
                notes.append(_commit_words(branch.commit))
            elif not leads_on and not branch.files and node.id is not None and not node.path.startswith(b"/"):
                notes.append("in no commit")
        elif isinstance(node, RunNode):
            words = [(run_word(node), ()), (short_id(node), ("cyan",)), (title(node), ("bold",))]
            if edge.also:
                notes.append("wrote the same")
            if edge.what == "around":
                words.insert(0, ("inside", ()))
        elif isinstance(node, CommitNode):
            words = [("commit", ()), (short_id(node), ("yellow",)), (title(node), ())]
            notes.append(commit_note(graph, edge.target))
        elif isinstance(node, ModelNode):
            words = [("model", ()), (title(node), ("bold",))]
        else:
            words = [("environment", ()), (short_id(node), ("yellow",)), (title(node), ())]
        notes.append(edge.reason)
        if repeated:
            notes.append("shown above")
        self._line(start, words, "; ".join(filter(None, notes)))
        if isinstance(node, RunNode) and not edge.also and edge.what != "around" and not repeated:
            self._facts(node, inner + (self._bar if leads_on else self._blank))
        return leads_on and not repeated

    def _facts(self, node: RunNode, prefix: str) -> None:
        for text in (run_facts(node, wanted=self._headline), run_observation(node)):
            if text:
                self._line(prefix, [(text, ("dim",))], "")

    def _line(self, start: str, words: Words, note: str) -> None:
        """Print a line that fits: the last or longest word is cut first, then the note."""
        room = self._width - display_width(start)
        texts = [text for text, _ in words if text]
        styles = [style for text, style in words if text]
        note_room = room - sum(map(display_width, texts)) - len(texts) - 1
        if note and note_room < display_width(note):
            least = min(display_width(note), max(room // 3, 12))
            excess = least - note_room
            longest = max(range(len(texts)), key=lambda n: display_width(texts[n]))
            if excess > 0:
                texts[longest] = self._cut(texts[longest], max(display_width(texts[longest]) - excess, 12))
            note = self._cut(note, room - sum(map(display_width, texts)) - len(texts) - 1)
        elif not note and sum(map(display_width, texts)) + len(texts) - 1 > room:
            longest = max(range(len(texts)), key=lambda n: display_width(texts[n]))
            others = sum(map(display_width, texts)) - display_width(texts[longest]) + len(texts) - 1
            texts[longest] = self._cut(texts[longest], room - others)
        shown = " ".join(self._out.paint(text, *style) for text, style in zip(texts, styles, strict=True))
        tail = f"  {self._out.paint(note, 'dim')}" if note else ""
        self._out.line(f"{start}{shown}{tail}".rstrip())

    def _cut(self, text: str, room: int) -> str:
        if display_width(text) <= room:
            return text
        keep = max(room - len(self._dots), 0)
        if "/" in text and " " not in text and keep > 8:  # a path: its end says more than its middle
            head = keep // 3
            return text[:head] + self._dots + text[len(text) - (keep - head) :]
        return text[:keep].rstrip() + self._dots

    def _legend(self, graph: Lineage) -> None:
        counts = overall(graph)
        words = {"proved": "proved by hash", "claimed": "only claimed", "missing": "missing"}
        parts = [
            f"{self._out.paint(self._signs[mark], MARK_COLORS[mark])} {counts[mark]} {words[mark]}"  # type: ignore[index]
            for mark in words
            if counts[mark]
        ]
        if parts:
            self._out.line()
            self._out.line("  ".join(parts))


def _with_last(branches: list[Branch]) -> Iterator[tuple[Branch, bool]]:
    for number, branch in enumerate(branches, 1):
        yield branch, number == len(branches)


def _commit_words(commit: CommitNode) -> str:
    return f"commit {short_id(commit)} {title(commit)}"
