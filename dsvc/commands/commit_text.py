"""Commits as lines of text in git's forms, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from dsvc.actions.decorations import Decoration
from dsvc.commands.commit_format import CommitStyle, ShownCommit, decoration_text, format_commit
from dsvc.commands.date_text import iso_text
from dsvc.commands.git_text import git_fields, git_json
from dsvc.commands.ref_text import subject
from dsvc.commands.signature_text import verdict_json, verdict_lines
from dsvc.errors import UsageError
from dsvc.objects.values import Person

FORMS: Final = ("oneline", "short", "medium", "full", "fuller", "reference", "raw")


def is_one_line(form: str) -> bool:
    """Whether commits of this form follow each other without a blank line between them."""
    return form in {"oneline", "reference"} or "%" in form


def template_of(form: str) -> str | None:
    """The template that a form given by the user holds, None for one of git's named forms.

    Raises:
        UsageError: for a form that is neither.
    """
    if form in FORMS:
        return None
    for prefix in ("format:", "tformat:"):
        if form.startswith(prefix):
            return form.removeprefix(prefix)
    if "%" in form:
        return form
    raise UsageError(f"there is no form {form!r}", hint=f"one of {', '.join(FORMS)}, or a text such as '%h %s'")


def commit_lines(shown: ShownCommit, form: str, style: CommitStyle) -> Iterator[str]:
    """Yield the lines of a commit, without line ends."""
    yield from _commit_lines(shown, form, style)
    if style.show_signature and is_one_line(form):
        for line in _signature_lines(shown, style):
            yield f"  {line}"


def _signature_lines(shown: ShownCommit, style: CommitStyle) -> Iterator[str]:
    if style.verify is not None:
        verdict = style.verify(shown.commit)
        if verdict.status != "none":
            yield from verdict_lines(verdict, style.out)


def _commit_lines(shown: ShownCommit, form: str, style: CommitStyle) -> Iterator[str]:
    template = template_of(form)
    if template is not None:
        yield from format_commit(template, shown, style).split("\n")
        return
    out, commit = style.out, shown.commit
    refs = f" {decoration_text(out, shown.refs)}" if shown.refs else ""
    if form == "oneline":
        yield f"{out.paint(style.id_text(shown.id), 'yellow')}{refs} {subject(commit.message)}"
        return
    if form == "reference":
        date = format_commit("%as", shown, style)
        yield f"{out.paint(shown.id.hex()[:10], 'yellow')} ({subject(commit.message)}, {date})"
        return
    yield out.paint(f"commit {style.id_text(shown.id)}", "yellow") + refs
    if style.show_signature:
        yield from _signature_lines(shown, style)
    yield from _raw_header(shown) if form == "raw" else _header(shown, form, style)
    yield ""
    message = subject(commit.message) if form == "short" else commit.message.rstrip("\n")
    for line in message.split("\n") if message else ():
        yield f"    {line}"


def _header(shown: ShownCommit, form: str, style: CommitStyle) -> Iterator[str]:
    commit = shown.commit
    if len(commit.parents) > 1:
        yield "Merge: " + " ".join(parent.hex()[:10] for parent in commit.parents)
    width = 12 if form == "fuller" else 8
    yield f"{'Author:':<{width}}{_person(commit.author)}"
    if form == "medium":
        yield f"{'Date:':<{width}}{style.date_text(commit.author)}"
    if form == "fuller":
        yield f"{'AuthorDate:':<{width}}{style.date_text(commit.author)}"
    if form in {"full", "fuller"}:
        yield f"{'Commit:':<{width}}{_person(commit.committer)}"
    if form == "fuller":
        yield f"{'CommitDate:':<{width}}{style.date_text(commit.committer)}"
        for heading, text in git_fields(commit).items():
            yield f"{heading + ':':<{width}}{text}"


def _raw_header(shown: ShownCommit) -> Iterator[str]:
    commit = shown.commit
    yield f"tree {commit.tree.hex()}"
    for parent in commit.parents:
        yield f"parent {parent.hex()}"
    for word, person in (("author", commit.author), ("committer", commit.committer)):
        sign, minutes = ("-" if person.zone < 0 else "+"), abs(person.zone)
        yield f"{word} {_person(person)} {person.time // 1_000_000} {sign}{minutes // 60:02}{minutes % 60:02}"
    if commit.environment is not None:
        yield f"environment {commit.environment.hex()}"
    for run in commit.runs:
        yield f"run {run.hex()}"


def _person(person: Person) -> str:
    return f"{person.name} <{person.email}>"


def person_json(person: Person) -> dict[str, Any]:
    """Who did something when, as an object of a JSON document."""
    return {"name": person.name, "email": person.email, "time": iso_text(person.time, person.zone)}


def commit_json(shown: ShownCommit, style: CommitStyle | None = None) -> dict[str, Any]:
    """A commit as an object of a JSON document, with what its signature is worth where the style wants that."""
    commit = shown.commit
    fields: dict[str, Any] = {
        "id": shown.id.hex(),
        "tree": commit.tree.hex(),
        "parents": [parent.hex() for parent in commit.parents],
        "author": person_json(commit.author),
        "committer": person_json(commit.committer),
        "subject": subject(commit.message),
        "message": commit.message,
        "refs": [_ref_json(ref) for ref in shown.refs],
    }
    if commit.environment is not None:
        fields["environment"] = commit.environment.hex()
    if commit.runs:
        fields["runs"] = [run.hex() for run in commit.runs]
    if commit.signature is not None:
        fields["signed"] = True
    fields |= git_json(commit)
    if style is not None and style.show_signature and style.verify is not None:
        fields["signature"] = verdict_json(style.verify(commit))
    return fields


def _ref_json(ref: Decoration) -> dict[str, Any]:
    return {"kind": ref.kind, "name": ref.name, "current": ref.current}
