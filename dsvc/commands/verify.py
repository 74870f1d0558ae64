"""The `dsvc verify` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.lineage_graph import CommitNode, EnvironmentNode, Node, RunNode
from dsvc.actions.verify_endpoint import EndpointResult, is_endpoint, verify_endpoint
from dsvc.actions.verify_provenance import verify_provenance
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.graph_text import takes_boxes
from dsvc.commands.lineage import targets_of
from dsvc.commands.lineage_labels import MARK_COLORS, PLAIN_SIGNS, SIGNS, run_word, short_id, title
from dsvc.commands.options import Json
from dsvc.commands.run_text import size_text, visible
from dsvc.errors import UsageError


def command(
    context: Context,
    words: Annotated[
        Sequence[str],
        typer.Argument(metavar="PATH|MODEL|RUN|REV|URL", help="A file, PATH@ID, REV:PATH, a model, run or commit."),
    ] = (),
    *,
    content: Annotated[bool, typer.Option("--content", help="Read and hash all content too.")] = False,
    token_file: Annotated[
        str | None, typer.Option("--token-file", metavar="FILE", help="Send the token in this file to a URL.")
    ] = None,
    json: Json = False,
) -> int | None:
    """Walk back to the raw data, and report what is not proved.

    With the address of a served model it is asked what it serves, and each step from there is told: to the deployment,
    the image, the model, commit, run, environment and data.

    Looked for are all records, sources, environments and commits, and the content of all files on the way. The exit
    code is 1 when anything is missing; what is only claimed is told, and is 0.
    """
    if not words:
        raise UsageError("what shall be verified?", hint="dsvc verify PATH, MODEL, RUN or REV")
    workspace = context.workspace()
    if is_endpoint(words[0]):
        if len(words) > 1:
            raise UsageError("one address at a time")
        token = context.read_text(token_file).strip() if token_file is not None else ""
        return _endpoint(context, verify_endpoint(workspace, words[0], token=token, content=content), json=json)
    names, paths = targets_of(context, workspace, words)
    result = verify_provenance(workspace, names, paths=paths, content=content)
    runs, out = sum(1 for _ in result.graph.runs()), context.out
    if json:
        out.json(
            "dsvc.verify",
            {
                "mark": result.mark,
                "runs": runs,
                "files": result.files,
                "size": result.size,
                "findings": [{"node": f.node.key, "mark": f.mark, "text": f.text} for f in result.findings],
            },
        )
        return 1 if result.mark == "missing" else None
    signs = SIGNS if takes_boxes(context.environment.items(), terminal=True) else PLAIN_SIGNS
    for finding in result.findings:
        sign = out.paint(signs[finding.mark], MARK_COLORS[finding.mark])
        out.line(f"{sign} {_name(finding.node)}: {finding.text}")
    sign = out.paint(signs[result.mark], MARK_COLORS[result.mark])
    words_of = {
        "proved": "all is there, and proved by hashes",
        "claimed": "all is there, and not all is proved",
        "missing": "something is missing",
    }
    walked = f"{counted(runs, 'run')} and {counted(result.files, 'file')} ({size_text(result.size)})"
    out.line(f"{sign} {walked}: {words_of[result.mark]}")
    return 1 if result.mark == "missing" else None


def _endpoint(context: Context, result: EndpointResult, *, json: bool) -> int | None:
    """Print the steps from an endpoint on, and what is not proved behind them."""
    out, behind = context.out, result.behind
    findings = behind.findings if behind is not None else ()
    if json:
        fields = {
            "url": result.url,
            "mark": result.mark,
            "served": dict(result.told),
            "edges": [{"what": edge.what, "mark": edge.mark, "text": edge.text} for edge in result.edges],
            "findings": [{"node": f.node.key, "mark": f.mark, "text": f.text} for f in findings],
        }
        out.json("dsvc.verify.endpoint", fields)
        return 1 if result.mark == "missing" else None
    signs = SIGNS if takes_boxes(context.environment.items(), terminal=True) else PLAIN_SIGNS
    lines = [(edge.mark, f"{edge.what}: {edge.text}") for edge in result.edges]
    lines += [(each.mark, f"{_name(each.node)}: {each.text}") for each in findings]
    for mark, text in lines:
        out.line(f"{out.paint(signs[mark], MARK_COLORS[mark])} {visible(text)}")
    return 1 if result.mark == "missing" else None


def _name(node: Node) -> str:
    if isinstance(node, RunNode):
        return f"{run_word(node)} {short_id(node)} {title(node)}"
    if isinstance(node, CommitNode):
        return f"commit {short_id(node)}"
    if isinstance(node, EnvironmentNode):
        return f"environment {short_id(node)}"
    return f"{title(node)} {short_id(node)}".rstrip()
