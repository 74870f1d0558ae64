"""Options that `log` and `show` share: how commits are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dsvc.commands.commit_format import CommitStyle
from dsvc.commands.commit_text import FORMS, template_of
from dsvc.commands.context import Context
from dsvc.config.keys import known_key
from dsvc.errors import UsageError
from dsvc.objects.values import Commit, Tag

if TYPE_CHECKING:
    from dsvc.actions.verify import Verifier
    from dsvc.signing import Verdict

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


def chosen_style(context: Context, date: str | None, *, short: bool, show_signature: bool = False) -> CommitStyle:
    """How ids, dates and signatures are written, by the options and the setting log.date."""
    key = known_key("log.date")
    styles = (*(key.choices if key is not None else ()), "raw")
    chosen = date if date is not None else context.config().get_str("log.date") or "default"
    if chosen not in styles:
        raise UsageError(f"there is no date style {chosen!r}", hint=f"one of {', '.join(styles)}")

    verify = _Verify(context)
    return CommitStyle(
        context.out, chosen, context.now(), whole_ids=not short, verify=verify, show_signature=show_signature
    )


class _Verify:
    """Checks signatures; what that takes is imported for the first one."""

    __slots__ = ("_context", "_verifier")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._verifier: Verifier | None = None

    def __call__(self, signed: Commit | Tag) -> Verdict:
        if self._verifier is None:
            from dsvc.actions.verify import Verifier

            self._verifier = Verifier(self._context.workspace(), thorough=False)
        return self._verifier.tag(signed) if isinstance(signed, Tag) else self._verifier.commit(signed)
