"""Options that `log` and `show` share: how commits are written."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.commands.commit_format import CommitStyle
from dsvc.commands.commit_text import FORMS, template_of
from dsvc.commands.context import Context
from dsvc.config.keys import known_key
from dsvc.errors import UsageError

OneLine = Annotated[bool, typer.Option("--oneline", help="One line a commit, with a short id.")]
Form = Annotated[
    str | None,
    typer.Option("--format", "--pretty", metavar="FORM", help=f"{', '.join(FORMS)}, or a text such as '%h %an: %s'."),
]
ShortIds = Annotated[bool, typer.Option("--abbrev-commit", help="Show short ids.")]
Date = Annotated[str | None, typer.Option("--date", metavar="STYLE", help="relative, iso, short, local, unix, ...")]
Decorate = Annotated[bool, typer.Option("--decorate", help="Show branches and tags at commits; a terminal does.")]
NoDecorate = Annotated[bool, typer.Option("--no-decorate", help="Do not show branches and tags.")]


def chosen_form(form: str | None, *, oneline: bool, default: str = "medium") -> str:
    """The form of commits that the options ask for; raises UsageError where there is no such form.

    A form that is named goes before --oneline, which then still means short ids.
    """
    chosen = form if form is not None else "oneline" if oneline else default
    template_of(chosen)
    return chosen


def chosen_style(context: Context, date: str | None, *, short: bool) -> CommitStyle:
    """How ids and dates are written, by the options and the setting log.date."""
    key = known_key("log.date")
    styles = (*(key.choices if key is not None else ()), "raw")
    chosen = date if date is not None else context.config().get_str("log.date") or "default"
    if chosen not in styles:
        raise UsageError(f"there is no date style {chosen!r}", hint=f"one of {', '.join(styles)}")
    return CommitStyle(context.out, chosen, context.now(), whole_ids=not short)
