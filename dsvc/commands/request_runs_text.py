"""The runs of a merge request beside those of its target, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsvc.actions.request_comparison import ComparedRun
from dsvc.commands.context import Context
from dsvc.commands.run_diff_text import diff_json, print_diff
from dsvc.commands.run_headline import headline
from dsvc.commands.run_text import shell_text
from dsvc.runs.names import short_key
from dsvc.runs.summary import summarize


def show_compared(context: Context, runs: Sequence[ComparedRun], *, target: str) -> None:
    """Print each run of a request, with what it was told and what came out where the target's run had another value.

    Files are left out: those that differ are in the list of what the request changes.
    """
    wanted = context.config().get_str("run.headline")
    for compared in runs:
        context.out.line()
        run, found = compared.run, compared.diff
        if found is not None:
            facts = tuple(fact for fact in found.facts if fact.name in ("state", "command"))
            context.out.line(f"Run {short_key(run.key)} beside {short_key(found.old.key)} of {target}")
            print_diff(context, found._replace(facts=facts, outputs=(), code=()))
            continue
        value = headline(summarize(run, compared.run_id).metrics, wanted)
        words = shell_text([word for word in run.command or () if isinstance(word, (str, bytes))])
        context.out.line(f"Run {short_key(run.key)}, with none of {target} to compare it to: {words}")
        if value:
            context.out.line(f"  {value}")


def compared_json(compared: ComparedRun) -> dict[str, Any]:
    """A run of a request as an object of a JSON document."""
    found = compared.diff
    old = found.old.key.hex() if found is not None else None
    return {"run": compared.run.key.hex(), "beside": old, "diff": diff_json(found) if found is not None else None}
