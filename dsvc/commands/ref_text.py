"""Branches and tags as lines and as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from dsvc.actions.refs import RefInfo
from dsvc.commands.date_text import date_text, iso_text
from dsvc.errors import UsageError
from dsvc.objects.values import Person

SHORT: Final = 10
_FIELD: Final = re.compile(r"%\(([^)]*)\)|%%|%([0-9a-fA-F]{2})")


def subject(message: str) -> str:
    """The first paragraph of a message in one line."""
    paragraph = message.strip("\n").partition("\n\n")[0]
    return " ".join(line.strip() for line in paragraph.splitlines())


def body(message: str) -> str:
    """A message without its first paragraph; ends with a line end unless it is empty."""
    rest = message.strip("\n").partition("\n\n")[2].strip("\n")
    return rest + "\n" if rest else ""


def ref_json(ref: RefInfo) -> dict[str, Any]:
    """A branch or tag as an object of a JSON document."""
    fields: dict[str, Any] = {
        "name": ref.short,
        "ref": ref.name,
        "commit": ref.commit_id.hex() if ref.commit_id is not None else None,
        "subject": subject(ref.commit.message) if ref.commit is not None else None,
    }
    if ref.tag is not None:
        fields["tag"] = ref.id.hex()
        fields["message"] = ref.tag.message
        if ref.tag.tagger is not None:
            fields["tagger"] = {"name": ref.tag.tagger.name, "email": ref.tag.tagger.email}
            fields["time"] = iso_text(ref.tag.tagger.time, ref.tag.tagger.zone)
    return fields


def format_ref(ref: RefInfo, template: str, *, head: bool, now: datetime) -> str:
    """Fill in a template of git's for-each-ref form, such as `%(refname:short) %(objectname:short)`.

    Raises:
        UsageError: for a field that is unknown.
    """

    def fill(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if found[2] is not None:
            return chr(int(found[2], 16))
        return _field(ref, found[1], head=head, now=now)

    return _FIELD.sub(fill, template)


def _field(ref: RefInfo, field: str, *, head: bool, now: datetime) -> str:
    name, _, option = field.partition(":")
    commit, tag = ref.commit, ref.tag
    text = tag.message if tag is not None else commit.message if commit is not None else ""
    people: dict[str, Person | None] = {
        "author": commit.author if commit is not None else None,
        "committer": commit.committer if commit is not None else None,
        "tagger": tag.tagger if tag is not None else None,
        "creator": tag.tagger if tag is not None else commit.committer if commit is not None else None,
    }
    fields: dict[str, Callable[[], str]] = {
        "refname": lambda: ref.short if option == "short" else f"refs/{ref.name}",
        "objectname": lambda: ref.id.hex()[:SHORT] if option == "short" else ref.id.hex(),
        "objecttype": lambda: f"{ref.kind.name.lower()}",
        "HEAD": lambda: "*" if head else " ",
        "subject": lambda: subject(text),
        "body": lambda: body(text),
        "contents": lambda: subject(text) if option == "subject" else text,
        "symref": lambda: f"refs/{ref.symbolic}" if ref.symbolic else "",
    }
    if name in fields:
        return fields[name]()
    for who, person in people.items():
        if name.startswith(who):
            match name.removeprefix(who):
                case "name":
                    return person.name if person else ""
                case "email":
                    return f"<{person.email}>" if person else ""
                case "date":
                    return date_text(person.time, person.zone, style=option or "default", now=now) if person else ""
    raise UsageError(f"there is no field %({field})", hint="such as %(refname:short), %(objectname), %(subject)")
