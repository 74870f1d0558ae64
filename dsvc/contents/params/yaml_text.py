"""YAML as parts: keys of block mappings with the comments above them (YAML 1.1, as PyYAML reads it)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsvc.contents.driver import UnfitError
from dsvc.contents.params.parts import Form, Part, lead, unique

FORM = Form()
_MOST = 1_000_000  # values, after anchors are followed


def values(text: str) -> Any:
    """Return the value of a text; mappings with keys that are no text get them as text.

    Raises:
        UnfitError: for what is no YAML, and for several documents in one text.
    """
    node = _compose(text)
    return _Values().of(node) if node is not None else None


def parts(text: str) -> Part:
    """Return a text, which is YAML, as parts."""
    node = _compose(text)
    if node is None:
        return Part(text, None)
    lines = text.splitlines(keepends=True)
    known = _Values()
    if not _is_block(node):
        return Part(text, known.of(node))
    head, below, tail = _mapping(node, lines, 0, len(lines), known)
    return Part(text, known.of(node), head, below, tail)


def _mapping(
    node: Any, lines: list[str], start: int, end: int, known: _Values
) -> tuple[str, dict[str, Part], str]:
    """Return the text above the first key of a mapping in lines `start` to `end`, the keys' parts, the text below."""
    column = node.value[0][0].start_mark.column
    starts: list[int] = []
    floor = start
    for key, _ in node.value:
        line = key.start_mark.line
        if starts and line <= floor:
            raise UnfitError(f"two keys in line {line + 1}")
        starts.append(lead(lines, line, floor + bool(starts), column))
        floor = line
    first = node.value[0][0].start_mark.line
    head_end = first if starts[0] <= start else starts[0]
    if any(lines[n].startswith(("---", "%")) for n in range(start, first)):
        head_end = first
    starts[0] = head_end
    tail_start = end
    while tail_start > floor + 1 and lines[tail_start - 1].startswith("..."):
        tail_start -= 1

    def below() -> Iterator[tuple[str, Part]]:
        for number, (key, value) in enumerate(node.value):
            begin, stop = starts[number], starts[number + 1] if number + 1 < len(starts) else tail_start
            text = "".join(lines[begin:stop])
            name = str(known.of(key))
            inner_line = value.value[0][0].start_mark.line if _is_block(value) else 0
            if _is_block(value) and inner_line > key.start_mark.line and not _is_tagged(value):
                at = lead(lines, inner_line, key.start_mark.line + 1, value.value[0][0].start_mark.column)
                head, inner, tail = _mapping(value, lines, at, stop, known)
                yield name, Part(text, known.of(value), "".join(lines[begin:at]) + head, inner, tail)
            else:
                yield name, Part(text, known.of(value))

    found = unique(below())
    return "".join(lines[start:head_end]), found, "".join(lines[tail_start:end])


def _is_block(node: Any) -> bool:
    import yaml

    return isinstance(node, yaml.MappingNode) and not node.flow_style and bool(node.value)


def _is_tagged(node: Any) -> bool:
    return bool(node.tag != "tag:yaml.org,2002:map")


def _compose(text: str) -> Any:
    import yaml

    try:
        nodes = list(yaml.compose_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" in line {mark.line + 1}" if mark is not None else ""
        raise UnfitError(f"no YAML: {error.problem}{place}") from error
    except yaml.YAMLError as error:
        raise UnfitError(f"no YAML: {str(error).splitlines()[0]}") from error
    if len(nodes) > 1:
        raise UnfitError("several documents in one file")
    return nodes[0] if nodes else None


class _Values:
    """Makes values of nodes; each node once, however many aliases stand for it."""

    def __init__(self) -> None:
        import yaml

        self._yaml = yaml
        self._made: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()
        self._constructor = yaml.constructor.SafeConstructor()

    def of(self, node: Any) -> Any:
        if id(node) in self._made:
            return self._made[id(node)]
        if id(node) in self._open:
            raise UnfitError("an anchor that holds itself")
        self._open.add(id(node))
        yaml = self._yaml
        value: Any
        if isinstance(node, yaml.MappingNode):
            value = {}
            for key, item in node.value:
                name = self.of(key)
                name = name if isinstance(name, str) else str(name)
                if name in value and name != "<<":
                    raise UnfitError(f"the key {name} stands twice in one mapping")
                value[name] = self.of(item)
            size = sum(self._sizes[id(item)] for _, item in node.value)
        elif isinstance(node, yaml.SequenceNode):
            value = [self.of(item) for item in node.value]
            size = sum(self._sizes[id(item)] for item in node.value)
        else:
            value, size = self._scalar(node), 0
        if size > _MOST:
            raise UnfitError("anchors that grow too large")
        if not node.tag.startswith("tag:yaml.org,2002:") and not isinstance(node, yaml.ScalarNode):
            value = {node.tag: value}
        self._sizes[id(node)] = size + 1
        self._open.discard(id(node))
        self._made[id(node)] = value
        return value

    def _scalar(self, node: Any) -> Any:
        if not node.tag.startswith("tag:yaml.org,2002:"):
            return f"{node.tag} {node.value}"
        try:
            return self._constructor.construct_object(node)
        except (self._yaml.YAMLError, ValueError, OverflowError):
            return node.value
