"""A lineage as one HTML file that needs nothing else: a drawing in SVG, and a table of all nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from dsvc.actions.lineage_graph import FileNode, Lineage
from dsvc.commands.lineage_diagram import Arrow, Box, Picture, picture
from dsvc.commands.lineage_labels import title
from dsvc.commands.lineage_shape import overall

_WIDTH: Final = 232  # of a box, in pixels
_GAP_X: Final = 96
_GAP_Y: Final = 16
_LINE: Final = 16
_SWEEPS: Final = 8
_TOP: Final = 0  # where arrows that go back lead to: a curve comes as near as three quarters of the way

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5c6675; --paper: #fbfbfa; --box: #fff; --rim: #c9ced6;
  --file: #3b6ea8; --run: #7a4fb0; --commit: #8a6d1f; --environment: #3f7f78; --model: #b04a6f;
  --proved: #2e7d32; --claimed: #b26a00; --missing: #c62828; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --dim: #9aa4b2; --paper: #15181d; --box: #1e232a;
  --rim: #3a424d; --file: #7fb2ea; --run: #bd97ee; --commit: #d8ba63; --environment: #7cc4bb; --model: #f08fb4;
  --proved: #6cc070; --claimed: #f0a63c; --missing: #f2736d; } }
body { font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 24px; }
h1 { font-size: 20px; margin: 0 0 4px; } p { color: var(--dim); margin: 0 0 16px; }
.drawing { overflow: auto; border: 1px solid var(--rim); border-radius: 8px; background: var(--paper); }
svg { display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .heading { font-weight: 600; } svg .line { fill: var(--dim); font-size: 11px; }
rect.box { fill: var(--box); stroke: var(--rim); } .asked rect.box { stroke-width: 2.5; stroke: var(--ink); }
.file .side { fill: var(--file); } .run .side { fill: var(--run); } .commit .side { fill: var(--commit); }
.environment .side { fill: var(--environment); } .model .side { fill: var(--model); }
path { fill: none; stroke-width: 1.6; } .proved { stroke: var(--proved); }
.claimed { stroke: var(--claimed); stroke-dasharray: 6 4; } .missing { stroke: var(--missing); stroke-dasharray: 2 4; }
.off { opacity: .15; } g.node { cursor: pointer; }
.legend span { margin-right: 20px; white-space: nowrap; } .legend b { display: inline-block; width: 26px;
  vertical-align: middle; border-top: 2px solid; margin-right: 6px; }
.legend b.kind { width: 6px; height: 14px; border: 0; border-radius: 3px; }
.bar { display: flex; gap: 12px; align-items: baseline; } .bar button { font: inherit; color: inherit; cursor: pointer;
  background: var(--box); border: 1px solid var(--rim); border-radius: 6px; padding: 2px 12px; white-space: nowrap; }
.bar p { margin-bottom: 10px; } .fit svg { width: 100%; height: auto; }
table { border-collapse: collapse; margin-top: 20px; font-size: 13px; }
td, th { text-align: left; padding: 3px 16px 3px 0;
  vertical-align: top; border-bottom: 1px solid var(--rim); } td.id { font-family: ui-monospace, monospace; }
"""

# A click on a box leaves only what it came from and what came of it. The page opens at what was asked for, which
# stands at the far right of a drawing that is wider than the window.
_SCRIPT: Final = """
const arrows = [...document.querySelectorAll('path[data-from]')], nodes = [...document.querySelectorAll('g.node')];
function reach(start, from, to) {
  const seen = new Set([start]), rest = [start];
  while (rest.length) { const at = rest.pop();
    for (const a of arrows) if (a.dataset[from] === at && !seen.has(a.dataset[to])) {
      seen.add(a.dataset[to]); rest.push(a.dataset[to]); } }
  return seen;
}
let chosen = null;
for (const node of nodes) node.addEventListener('click', () => {
  chosen = chosen === node.id ? null : node.id;
  const up = chosen && reach(chosen, 'to', 'from'), down = chosen && reach(chosen, 'from', 'to');
  for (const n of nodes) n.classList.toggle('off', !!chosen && !up.has(n.id) && !down.has(n.id));
  for (const a of arrows) a.classList.toggle('off', !!chosen && !(up.has(a.dataset.from) && up.has(a.dataset.to)) &&
    !(down.has(a.dataset.from) && down.has(a.dataset.to)));
});
const frame = document.querySelector('.drawing'), fit = document.querySelector('button');
function show() {
  const asked = document.querySelector('.asked'), outer = frame.getBoundingClientRect();
  if (!asked) return;
  const box = asked.getBoundingClientRect();
  frame.scrollLeft += box.left + box.width / 2 - outer.left - outer.width / 2;
}
fit.hidden = frame.scrollWidth <= frame.clientWidth;
function turn() {
  fit.textContent = frame.classList.toggle('fit') ? 'Full size' : 'Fit to the width';
  show();
}
fit.addEventListener('click', turn);
// What is hardly wider than the window can be read at the smaller size, and is not cut off then.
if (!fit.hidden && frame.scrollWidth <= 1.4 * frame.clientWidth) turn();
else show();
"""
_KINDS: Final = ("file", "run", "commit", "environment", "model")  # each has a colour of this name


def lineage_html(graph: Lineage, *, headline: str | None = None) -> str:
    """The lineage as a page; a click on a box shows only what is above and below it."""
    found = picture(graph, headline=headline)
    asked = ", ".join(title(graph.nodes[root]) for root in graph.roots[:5]) + ("" if len(graph.roots) <= 5 else ", …")
    counts = overall(graph)
    words = {"proved": "proved: hashes match", "claimed": "claimed: declared only", "missing": "missing"}
    legend = "".join(
        f'<span><b style="border-color: var(--{mark})"></b>{counts[mark]} {text}</span>' for mark, text in words.items()
    )
    there = {box.kind for box in found.boxes.values()}
    legend += "".join(
        f'<span><b class="kind" style="background: var(--{kind})"></b>{kind}</span>' for kind in _KINDS if kind in there
    )
    what = "Where it came from" if graph.direction == "up" else "What came of it"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_html(asked)}: lineage</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_html(asked)}</h1>\n"
        f'<div class="bar"><p>{what}, from left to right. A click on a box leaves only what is above and below it; a '
        f'second one shows all again.</p><button type="button" hidden>Fit to the width</button></div>\n'
        f'<p class="legend">{legend}</p>\n<div class="drawing">\n{_drawing(found)}</div>\n{_table(graph)}'
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _html(text: str) -> str:
    return escape(text.encode("utf-8", "replace").decode())


def _drawing(found: Picture) -> str:
    columns, ways = _columns(found)
    places, width, height = _places(found, columns)
    names = {key: f"n{number}" for number, key in enumerate(found.boxes)}
    parts = [f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">\n']
    parts += [_arrow(arrow, way, places, found, names) for arrow, way in zip(found.arrows, ways, strict=True)]
    parts += [_boxed(box, places[box.key], names[box.key]) for box in found.boxes.values()]
    return "".join([*parts, "</svg>\n"])


def _columns(found: Picture) -> tuple[list[list[str]], list[list[str]]]:
    """Return the keys in each column, and the way of each arrow: through a place of its own in columns between.

    A box stands to the right of all that it came from; what came of nothing stands close to its use.
    """
    before: dict[str, list[str]] = {key: [] for key in found.boxes}
    after: dict[str, list[str]] = {key: [] for key in found.boxes}
    for arrow in found.arrows:
        before[arrow.target].append(arrow.source)
        after[arrow.source].append(arrow.target)
    column: dict[str, int] = {}
    waiting = {key: len(causes) for key, causes in before.items()}
    ready = [key for key, count in waiting.items() if not count]
    while len(column) < len(found.boxes):
        if not ready:  # a commit may hold what a run that began at it wrote
            ready = [min((k for k in found.boxes if k not in column), key=lambda k: waiting[k])]
        key = ready.pop()
        if key in column:
            continue
        column[key] = max((column[cause] + 1 for cause in before[key] if cause in column), default=0)
        for effect in after[key]:
            waiting[effect] -= 1
            if waiting[effect] == 0:
                ready.append(effect)
    for key in sorted(found.boxes, key=lambda k: -column[k]):
        if not before[key] and after[key]:
            column[key] = max(min(column[effect] for effect in after[key]) - 1, 0)
    return _with_ways(found, column)


def _with_ways(found: Picture, column: Mapping[str, int]) -> tuple[list[list[str]], list[list[str]]]:
    columns: list[list[str]] = [[] for _ in range(max(column.values(), default=0) + 1)]
    for key in found.boxes:
        columns[column[key]].append(key)
    ways: list[list[str]] = []
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for number, arrow in enumerate(found.arrows):
        first, last = column[arrow.source], column[arrow.target]
        between = [f"way:{number}:{at}" for at in range(first + 1, last)]
        for at, key in enumerate(between, first + 1):
            columns[at].append(key)
        way = [arrow.source, *between, arrow.target]
        ways.append(way)
        for cause, effect in pairwise(way):
            after.setdefault(cause, []).append(effect)
            before.setdefault(effect, []).append(cause)
    return _ordered([line for line in columns if line], before, after), ways


def _ordered(
    columns: list[list[str]], before: Mapping[str, list[str]], after: Mapping[str, list[str]]
) -> list[list[str]]:
    """Order each column by the mean place of its neighbours, so that few arrows cross."""
    place = {key: n / max(len(line), 1) for line in columns for n, key in enumerate(line)}
    for sweep in range(_SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for line in columns if sweep % 2 == 0 else columns[::-1]:
            mean = {}
            for key in line:
                near = neighbours.get(key)
                mean[key] = sum(place[k] for k in near) / len(near) if near else place[key]
            line.sort(key=lambda key, mean=mean: mean[key])  # type: ignore[misc]
            place.update({key: n / max(len(line), 1) for n, key in enumerate(line)})
    return columns


def _height(found: Picture, key: str) -> int:
    box = found.boxes.get(key)
    return 14 + _LINE * (1 + len(box.lines)) if box is not None else 0


def _places(found: Picture, columns: list[list[str]]) -> tuple[dict[str, tuple[int, int]], int, int]:
    """Return where each box stands, and the size of the drawing."""
    heights = [sum(_height(found, key) + _GAP_Y for key in line) for line in columns]
    tallest = max(heights, default=0)
    places: dict[str, tuple[int, int]] = {}
    for number, line in enumerate(columns):
        y = 24 + (tallest - heights[number]) // 2
        for key in line:
            places[key] = (24 + number * (_WIDTH + _GAP_X), y)
            y += _height(found, key) + _GAP_Y
    return places, 48 + len(columns) * (_WIDTH + _GAP_X) - _GAP_X, tallest + 48


def _boxed(box: Box, place: tuple[int, int], name: str) -> str:
    x, y = place
    height = 14 + _LINE * (1 + len(box.lines))
    lines = "".join(
        f'<text class="line" x="{x + 16}" y="{y + 36 + _LINE * n}">{_html(line)}</text>'
        for n, line in enumerate(box.lines)
    )
    asked = " asked" if box.asked else ""
    return (
        f'<g class="node {box.kind}{asked}" id="{name}"><title>{_html(box.details or box.heading)}</title>'
        f'<rect class="box" x="{x}" y="{y}" width="{_WIDTH}" height="{height}" rx="6"/>'
        f'<rect class="side" x="{x}" y="{y}" width="6" height="{height}" rx="3"/>'
        f'<text class="heading" x="{x + 16}" y="{y + 20}">{_html(box.heading)}</text>{lines}</g>\n'
    )


def _arrow(
    arrow: Arrow,
    way: Sequence[str],
    places: Mapping[str, tuple[int, int]],
    found: Picture,
    names: Mapping[str, str],
) -> str:
    x, y = places[way[0]]
    end_x, end_y = places[way[-1]]
    if end_x <= x:  # a commit may hold what a run that began at it wrote: back, over the boxes between
        start, end = x + _WIDTH // 2, end_x + _WIDTH // 2
        path = [f"M{start} {y} C{start} {_TOP} {end} {_TOP} {end} {end_y}"]
        way = ()
    else:
        x, y = x + _WIDTH, y + _height(found, way[0]) // 2
        path = [f"M{x} {y}"]
    for key in way[1:]:
        to_x, to_y = places[key]
        to_y += _height(found, key) // 2
        bend = max(abs(to_x - x) // 2, 30)
        path.append(f"C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}")
        x, y = to_x, to_y
        if key not in found.boxes:  # straight on, between the boxes of a column
            x += _WIDTH
            path.append(f"H{x}")
    return (
        f'<path class="{arrow.mark}" data-from="{names[arrow.source]}" data-to="{names[arrow.target]}" '
        f'd="{" ".join(path)}"><title>{_html(arrow.label)}</title></path>\n'
    )


def _table(graph: Lineage) -> str:
    rows = []
    for node in graph.nodes.values():
        kind, _, rest = node.key.partition(":")
        found = rest.rpartition("@")[2] if isinstance(node, FileNode) and node.id is not None else rest
        rows.append(f'<tr><td>{kind}</td><td>{_html(title(node))}</td><td class="id">{_html(found)}</td></tr>\n')
    return f"<table>\n<tr><th>Kind</th><th>What</th><th>Id</th></tr>\n{''.join(rows)}</table>\n"
