"""Differences as one HTML document that needs nothing else: no script, no address."""

from __future__ import annotations

import html
from collections.abc import Iterator

from dsvc.actions.diff import DiffResult
from dsvc.actions.filediff import TEXT_LIMIT, FileDiff, Sides, compare
from dsvc.actions.insidediff import inside, inside_page
from dsvc.commands.diff_options import DiffForm
from dsvc.commands.diff_stat import stat_name
from dsvc.commands.diff_text import size_change
from dsvc.contents.driver import Line

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 110em; padding: 0 1em; color: #1f2328 }
h2 { font-size: 1.1em; border-bottom: 1px solid #d0d7de; padding-bottom: .3em; margin-top: 2em }
pre { font: 13px/1.45 ui-monospace, monospace; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
table.sides { border-collapse: collapse; width: 100%; table-layout: fixed }
table.sides th { text-align: left; font-weight: 600; color: #57606a; padding: .9em .4em .3em }
table.sides td { vertical-align: top; border: 1px solid #d0d7de; padding: .4em; background: #fff }
tr.outputs td { background: #f6f8fa }
del, .removed { background: #ffebe9; text-decoration: none; display: inline-block; width: 100% }
ins, .added { background: #dafbe1; text-decoration: none; display: inline-block; width: 100% }
.changed { background: #fff8c5; display: inline-block; width: 100% } .head { color: #0969da } .dim { color: #6e7781 }
img { max-width: 100% }
"""


def html_pieces(result: DiffResult, form: DiffForm) -> Iterator[str]:
    """Yield the document in pieces, a file each."""
    yield "<!DOCTYPE html>\n<html><head><meta charset='utf-8'><title>dsvc diff</title>"
    yield f"<style>{_STYLE}</style></head><body>\n"
    if not result.files:
        yield "<p>No differences.</p>\n"
    result.sides.ahead(result.files)
    for file in result.files:
        yield f"<h2>{html.escape(file.status)} {html.escape(stat_name(file))}</h2>\n{_file(file, result.sides, form)}\n"
    yield "</body></html>\n"


def _file(file: FileDiff, sides: Sides, form: DiffForm) -> str:
    if not form.text:
        page = inside_page(file, sides)
        if page is not None:
            return page
        found = inside(file, sides, context=form.context)
        if found.diff is not None:
            return _lines(found.diff.lines)
        if found.binary:
            return f"<p>{html.escape(size_change(file, sides))}</p>"
    compared = compare(file, sides, context=form.context, limit=None if form.full else TEXT_LIMIT)
    if compared.text is None:
        return f"<p>{html.escape(compared.purged or size_change(file, sides))}</p>"
    lines: list[Line] = []
    for hunk in compared.text.hunks:
        lines.append(Line("head", f"@@ -{hunk.old_start} +{hunk.new_start} @@"))
        for origin, text in hunk.lines:
            tone = {"+": "added", "-": "removed"}.get(origin, "same")
            lines.append(Line(tone, origin + text.decode("utf-8", "replace").rstrip("\r\n")))  # type: ignore[arg-type]
    return _lines(lines)


def _lines(lines: tuple[Line, ...] | list[Line]) -> str:
    shown = "\n".join(f'<span class="{tone}">{html.escape(text)}</span>' for tone, text in lines)
    return f"<pre>{shown}</pre>"
