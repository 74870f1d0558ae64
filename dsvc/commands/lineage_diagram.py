"""A lineage as a diagram: what is drawn, and the languages of Graphviz and Mermaid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from dsvc.actions.lineage_graph import CommitNode, Edge, FileNode, Lineage, Mark, ModelNode, Node, RunNode
from dsvc.commands.lineage_labels import file_note, run_facts, run_observation, run_word, short_id, size_note, title
from dsvc.commands.lineage_shape import Shape
from dsvc.commands.path_text import quote_path

Kind = Literal["file", "run", "commit", "environment", "model"]
COLORS: Final[dict[Mark, str]] = {"proved": "#2e7d32", "claimed": "#b26a00", "missing": "#c62828"}
STYLES: Final[dict[Mark, str]] = {"proved": "solid", "claimed": "dashed", "missing": "dotted"}
_WIDEST: Final = 34
_HEADING: Final = 28  # in bold


@dataclass(frozen=True, slots=True)
class Box:
    """What stands for a node, or for many raw files: a heading, lines below it, and all that is known as `details`."""

    key: str
    kind: Kind
    heading: str
    lines: tuple[str, ...] = ()
    details: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """From cause to effect."""

    source: str
    target: str
    mark: Mark
    label: str


@dataclass(slots=True)
class Picture:
    """What is drawn."""

    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: list[Arrow] = field(default_factory=list)


def picture(graph: Lineage, *, headline: str | None = None) -> Picture:
    """Return what is drawn of a lineage: many raw files of a run are one box, commits lead to raw files alone."""
    shape, found = Shape(graph), Picture()
    stands_for = dict(_grouped(graph, shape, found))
    written = {edge.target for edge in graph.edges if edge.what in ("wrote", "contains")}
    drawn: set[tuple[str, str, str]] = set()
    for edge in graph.edges:
        if edge.what == "holds" and edge.source.startswith("commit:") and edge.target in written:
            continue
        source, target = stands_for.get(edge.source, edge.source), stands_for.get(edge.target, edge.target)
        if (source, target, edge.what) not in drawn:
            drawn.add((source, target, edge.what))
            found.arrows.append(Arrow(source, target, edge.mark, _label(edge)))
    used = {end for arrow in found.arrows for end in (arrow.source, arrow.target)} | set(graph.roots)
    for node in graph.nodes.values():
        if node.key in used:
            found.boxes[node.key] = _box(graph, node, headline)
    return found


def _label(edge: Edge) -> str:
    parts = [edge.what, edge.mark if edge.mark != "proved" else "", edge.reason, "the same" if edge.also else ""]
    return ", ".join(filter(None, parts))


def _grouped(graph: Lineage, shape: Shape, found: Picture) -> Iterator[tuple[str, str]]:
    """Make boxes for many raw files, and yield (key of a file, key of its box)."""
    for run in graph.runs():
        for branch in shape.below(run):
            if not branch.files:
                continue
            key = f"files:{branch.node.key}"
            where = quote_path(branch.folder) + "/" if branch.folder else "./"
            text = size_note(len(branch.files), sum(file.size for file in branch.files))
            names = "\n".join(quote_path(file.path) for file in branch.files[:50])
            found.boxes[key] = Box(key, "file", _cut(where, _HEADING), (text,), names)
            for file in branch.files:
                yield file.key, key


def _box(graph: Lineage, node: Node, headline: str | None) -> Box:
    kind: Kind = "file" if isinstance(node, FileNode) else "run" if isinstance(node, RunNode) else "environment"
    lines: list[str] = []
    details = [node.key.replace(":", " ", 1)]
    if isinstance(node, RunNode):
        facts, seen = run_facts(node, wanted=headline), run_observation(node)
        when, _, rest = facts.partition(", ")
        lines = [f"{run_word(node)} {short_id(node)}, {when}", rest]
        details += [title(node), facts, seen]
    elif isinstance(node, CommitNode):
        kind = "commit"
        lines = [f"commit {short_id(node)}" + (f" ({', '.join(node.refs)})" if node.refs else "")]
    elif isinstance(node, ModelNode):
        kind = "model"
        lines = [f"model {short_id(node)}"]
    elif isinstance(node, FileNode):
        lines = [short_id(node) or "gone", file_note(graph, node, models=False)]  # a model has a box of its own
    else:
        lines = [f"environment {short_id(node)}"]
    heading = _cut(title(node), _HEADING)
    short = tuple(_cut(line) for line in lines if line)
    return Box(node.key, kind, heading, short, "\n".join(filter(None, details)), node.key in graph.roots)


def _cut(text: str, most: int = _WIDEST) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


_SHAPES: Final[dict[Kind, str]] = {
    "file": "note", "run": "box", "commit": "oval", "environment": "component", "model": "cylinder",
}  # fmt: skip


def dot(graph: Lineage, *, headline: str | None = None) -> str:
    """The lineage in the language of Graphviz."""
    found = picture(graph, headline=headline)
    names = {key: f"n{number}" for number, key in enumerate(found.boxes)}
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif", fontsize=10];']
    lines.append('  edge [fontname="sans-serif", fontsize=9];')
    for box in found.boxes.values():
        label = "\\n".join(_escaped(text) for text in (box.heading, *box.lines))
        bold = ', style="bold"' if box.asked else ""
        lines.append(f'  {names[box.key]} [label="{label}", shape={_SHAPES[box.kind]}{bold}];')
    for arrow in found.arrows:
        style = f'color="{COLORS[arrow.mark]}", style={STYLES[arrow.mark]}, label="{_escaped(arrow.label)}"'
        lines.append(f"  {names[arrow.source]} -> {names[arrow.target]} [{style}];")
    return "\n".join([*lines, "}", ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


_BRACKETS: Final[dict[Kind, tuple[str, str]]] = {
    "file": ("[", "]"), "run": ("[[", "]]"), "commit": ("([", "])"), "environment": ("{{", "}}"),
    "model": ("[(", ")]"),
}  # fmt: skip
_ARROWS: Final[dict[Mark, str]] = {"proved": "-->", "claimed": "-.->", "missing": "-.-x"}


def mermaid(graph: Lineage, *, headline: str | None = None) -> str:
    """The lineage in the language of Mermaid."""
    found = picture(graph, headline=headline)
    names = {key: f"n{number}" for number, key in enumerate(found.boxes)}
    lines = ["flowchart LR"]
    for box in found.boxes.values():
        first, last = _BRACKETS[box.kind]
        label = "<br>".join(_entities(text) for text in (box.heading, *box.lines))
        lines.append(f'  {names[box.key]}{first}"{label}"{last}')
    for number, arrow in enumerate(found.arrows):
        text = f"|{_entities(arrow.label)}|"
        lines.append(f"  {names[arrow.source]} {_ARROWS[arrow.mark]}{text} {names[arrow.target]}")
        lines.append(f"  linkStyle {number} stroke:{COLORS[arrow.mark]}")
    return "\n".join([*lines, ""])


def _entities(text: str) -> str:
    """A text in which Mermaid takes no character for its own."""
    return "".join(c if c.isalnum() or c in " .,/=-_" else f"#{ord(c)};" for c in text)
