"""A lineage as an object of a JSON document."""

from __future__ import annotations

from typing import Any

from dsvc.actions.lineage_graph import CommitNode, FileNode, Lineage, ModelNode, Node, RunNode
from dsvc.commands.date_text import iso_text
from dsvc.commands.lineage_labels import title
from dsvc.commands.path_text import path_json
from dsvc.commands.ref_text import subject
from dsvc.commands.run_table import summary_json
from dsvc.commands.run_text import plain_json


def lineage_json(graph: Lineage) -> dict[str, Any]:
    """All nodes and edges of a lineage."""
    return {
        "direction": graph.direction,
        "roots": list(graph.roots),
        "nodes": [node_json(graph, node) for node in graph.nodes.values()],
        "edges": [
            {
                "source": edge.source,
                "target": edge.target,
                "what": edge.what,
                "mark": edge.mark,
                "reason": edge.reason or None,
                "also": edge.also,
            }
            for edge in graph.edges
        ],
    }


def node_json(graph: Lineage, node: Node) -> dict[str, Any]:
    """A node with what is known of it."""
    document: dict[str, Any] = {"key": node.key}
    if isinstance(node, FileNode):
        return document | {
            "kind": "file",
            **path_json(node.path),
            "id": node.id.hex() if node.id is not None else None,
            "size": node.size if node.id is not None else None,
            "folder": node.is_folder,
            "stored": node.stored,
            "tips": list(graph.tips.get(node.key, ())),
        }
    if isinstance(node, RunNode):
        row, run = node.summary, node.run
        return document | {
            "kind": "run",
            "run": summary_json(row) if row is not None else None,
            "observation": plain_json(dict(run.observation)) if run is not None else None,
            "changed": graph.changed.get(node.key),
        }
    if isinstance(node, CommitNode):
        commit = node.commit
        return document | {
            "kind": "commit",
            "id": node.id.hex(),
            "subject": subject(commit.message) if commit is not None else None,
            "author": f"{commit.author.name} <{commit.author.email}>" if commit is not None else None,
            "time": iso_text(commit.author.time, commit.author.zone) if commit is not None else None,
            "refs": list(node.refs),
        }
    if isinstance(node, ModelNode):
        return document | {
            "kind": "model",
            "name": node.name,
            "version": node.version,
            "id": node.id.hex(),
            "stages": list(node.stages),
        }
    here = node.environment is not None
    return document | {"kind": "environment", "id": node.id.hex(), "what": title(node) if here else None}
