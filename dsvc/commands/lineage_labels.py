"""How the nodes of a lineage are named in words, in every form."""

from __future__ import annotations

from typing import Final

from dsvc.actions.lineage_graph import CommitNode, FileNode, Lineage, Mark, ModelNode, Node, RunNode
from dsvc.commands.date_text import iso_text
from dsvc.commands.path_text import quote_path
from dsvc.commands.ref_text import subject
from dsvc.commands.run_headline import headline
from dsvc.commands.run_text import duration_text, observed_text, size_text, visible
from dsvc.runs.names import short_key
from dsvc.runs.summary import Summary

MARK_COLORS: Final[dict[Mark, str]] = {"proved": "green", "claimed": "yellow", "missing": "red"}
SIGNS: Final[dict[Mark, str]] = {"proved": "✓", "claimed": "~", "missing": "✗"}
PLAIN_SIGNS: Final[dict[Mark, str]] = {"proved": "+", "claimed": "~", "missing": "!"}
_SHORT: Final = 10


def short_id(node: Node) -> str:
    """The digits by which people name a node."""
    if isinstance(node, RunNode):
        return short_key(node.run_key)
    return node.id.hex()[:_SHORT] if node.id is not None else ""


def run_word(node: RunNode) -> str:
    """What stands before the digits of a run."""
    return "correction" if node.summary is not None and node.summary.authority == "correction" else "run"


def title(node: Node) -> str:
    """What a node is, in a few words, without its id."""
    if isinstance(node, FileNode):
        return quote_path(node.path) + ("/" if node.is_folder and node.path else "")
    if isinstance(node, RunNode):
        return run_title(node.summary)
    if isinstance(node, CommitNode):
        return visible(subject(node.commit.message)) if node.commit is not None else "not in this repository"
    if isinstance(node, ModelNode):
        return visible(f"{node.name} {node.version}" + (f" ({', '.join(node.stages)})" if node.stages else ""))
    if node.environment is None:
        return "not in this repository"
    python, count = node.environment.python, len(node.environment.distributions)
    name = {"cpython": "Python", "pypy": "PyPy"}.get(python.implementation, python.implementation)
    return f"{name} {python.version}, {count} package{'' if count == 1 else 's'}"


def run_title(row: Summary | None) -> str:
    """The name of a run, or else what it is for, or else its command."""
    if row is None:
        return "its record is not in this repository"
    if row.authority == "correction":
        return "changed by hand, or by a program nobody saw"
    text = row.name or row.description.partition("\n")[0] or row.command or "Python"
    return visible(" ".join(text.split()))


def run_facts(node: RunNode, *, wanted: str | None) -> str:
    """When and by whom a run was made, how it ended, and its headline metric."""
    row = node.summary
    if row is None:
        return ""
    parts = [iso_text(row.start, row.zone)[:16].replace("T", " ")]
    user = row.user.partition(" <")[0]
    parts.append(visible(user))
    if row.authority != "correction":
        parts.append(("" if row.state == "done" else f"{row.state} after ") + duration_text(row.elapsed))
    metric = headline(row.metrics, wanted)
    return ", ".join([*parts, *([metric] if metric else [])])


def run_observation(node: RunNode) -> str:
    """How completely it was seen what a run read and wrote."""
    run = node.run
    if run is None or run.authority == "correction":
        return ""
    text = observed_text(run).replace("the working copy was compared before and after", "files compared")
    return f"observed: {text}" if text else ""


def file_note(graph: Lineage, node: FileNode, *, tips: bool = True, models: bool = True) -> str:
    """Where a file stands, which models it is, and whether its content is here."""
    parts = []
    names = graph.tips.get(node.key, ())
    if tips and names:
        parts.append("on " + ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""))
    if models and graph.direction == "up":  # downwards they stand below it
        parts += [f"model {title(model)}" for model in graph.models_of(node)[:3]]
    if node.id is not None and not node.stored:
        parts.append("content not stored")
    return ", ".join(parts)


def commit_note(graph: Lineage, run: str) -> str:
    """By how many files the source of a run differed from its commit."""
    count = graph.changed.get(run, 0)
    return f"+{count} changed" if count else ""


def size_note(files: int, size: int) -> str:
    """How many files of how many bytes."""
    return f"{files:,} files, {size_text(size)}"
