"""Commits by a template: git's `--format` placeholders."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.actions.decorations import Decoration
from dsvc.commands.date_text import date_text
from dsvc.commands.output import Output
from dsvc.commands.ref_text import SHORT, body, subject
from dsvc.commands.width import display_width
from dsvc.objects.ids import CommitId
from dsvc.objects.values import Commit, Person, Tag

if TYPE_CHECKING:
    from dsvc.signing import Verdict

_PLACEHOLDER: Final = re.compile(
    r"%(?:(?P<pad><|>|><)\((?P<width>\d+)(?:,(?P<cut>l|m|r)?trunc)?\)"
    r"|C\((?P<color>[^)]*)\)|C(?P<word>red|green|blue|reset)"
    r"|x(?P<byte>[0-9a-fA-F]{2})"
    r"|(?P<sign>[-+ ])?(?P<field>G[?GSKFP]|a[neltdrDiIshNEL]|c[neltdrDiIshNEL]|[HhTtPpdDsfbBenm%N])"
    r")"
)
_DATE_STYLES: Final = {
    "r": "relative", "t": "unix", "i": "iso", "I": "iso-strict", "s": "short", "D": "rfc", "h": "relative",
}  # fmt: skip
_CONSTANT: Final = {"n": "\n", "%": "%", "m": ">"}
_STYLES: Final = frozenset({"red", "green", "yellow", "blue", "magenta", "cyan", "bold", "dim", "italic", "reverse"})


class ShownCommit(NamedTuple):
    """A commit with what is shown beside it."""

    id: CommitId
    commit: Commit
    refs: Sequence[Decoration] = ()


Verify = Callable[["Commit | Tag"], "Verdict"]


class CommitStyle(NamedTuple):
    """How commits are written: the date style, the moment that relative dates count from, whole or short ids.

    `verify` checks the signature of a commit; with `show_signature` what came of it stands below the id.
    """

    out: Output
    date: str
    now: datetime
    whole_ids: bool = True
    verify: Verify | None = None
    show_signature: bool = False

    def id_text(self, commit_id: bytes) -> str:
        """An id, as long as this style wants it."""
        return commit_id.hex() if self.whole_ids else commit_id.hex()[:SHORT]

    def date_text(self, person: Person) -> str:
        """When somebody did something."""
        return date_text(person.time, person.zone, style=self.date, now=self.now)


def decoration_text(out: Output, refs: Sequence[Decoration], *, wrapped: bool = True) -> str:
    """The refs at a commit, `(HEAD -> main, tag: v1)`; empty where there are none."""
    if not refs:
        return ""
    colors = {"head": "cyan", "branch": "green", "tag": "yellow", "remote": "red", "deployment": "magenta"}
    parts = []
    for ref in refs:
        word = f"{ref.kind}: " if ref.kind in ("tag", "deployment") else ""
        name = out.paint(word + ref.name, colors[ref.kind], "bold")
        if ref.current and ref.kind == "branch":
            name = out.paint("HEAD -> ", "cyan", "bold") + name
        parts.append(name)
    text = out.paint(", ", "yellow").join(parts)
    return out.paint("(", "yellow") + text + out.paint(")", "yellow") if wrapped else text


def format_commit(template: str, shown: ShownCommit, style: CommitStyle) -> str:
    """Fill in a template; what is no placeholder stands as it is."""
    pieces: list[str] = []
    at = 0
    padding: re.Match[str] | None = None
    auto = False
    for found in _PLACEHOLDER.finditer(template):
        pieces.append(template[at : found.start()])
        at = found.end()
        if found["pad"] is not None:
            padding = found
            continue
        if found["color"] is not None or found["word"] is not None:
            color = found["color"] or found["word"] or ""
            auto = color == "auto" or (auto and color != "reset")
            pieces.append(_color(style.out, color))
            continue
        if found["byte"] is not None:
            text = bytes([int(found["byte"], 16)]).decode("latin-1")
        else:
            text = _field(found["field"], shown, style, auto=auto)
        if padding is not None:
            text, padding = _padded(text, padding), None
        pieces.append(_signed(found["sign"], text, pieces))
    pieces.append(template[at:])
    return "".join(pieces)


def _signed(sign: str | None, text: str, pieces: list[str]) -> str:
    if sign == "-" and not text and pieces:
        pieces[:] = ["".join(pieces).rstrip("\n")]
    if sign == "+" and text:
        return "\n" + text
    return " " + text if sign == " " and text else text


def _padded(text: str, padding: re.Match[str]) -> str:
    width, cut, space = int(padding["width"]), padding["cut"], display_width(text)
    if space > width and "trunc" in padding[0] and width >= 2:
        kept = width - 2
        if cut == "l":
            text = ".." + text[len(text) - kept :]
        elif cut == "m":
            text = text[: kept // 2] + ".." + text[len(text) - (kept - kept // 2) :]
        else:
            text = text[:kept] + ".."
        space = display_width(text)
    blank = " " * max(width - space, 0)
    if padding["pad"] == "<":
        return text + blank
    if padding["pad"] == ">":
        return blank + text
    return blank[: len(blank) // 2] + text + blank[len(blank) // 2 :]


def _color(out: Output, color: str) -> str:
    words = color.split()
    if words in ([], ["auto"]):
        return ""
    if words == ["reset"]:
        return "\x1b[m" if out.paint("x", "red") != "x" else ""
    styles = [word for word in words if word in _STYLES]
    return out.paint("\0", *styles).partition("\0")[0] if styles else ""


def _field(field: str, shown: ShownCommit, style: CommitStyle, *, auto: bool) -> str:
    commit, out = shown.commit, style.out
    if field[0] in "ac" and len(field) == 2:
        return _person_field(field[1], commit.author if field[0] == "a" else commit.committer, style)
    if field[0] == "G":
        return _signature_field(field[1], commit, style)
    text = _text_field(field, shown, out) or _CONSTANT.get(field, "")
    return out.paint(text, "yellow") if auto and field in {"H", "h"} else text


def _text_field(field: str, shown: ShownCommit, out: Output) -> str | None:
    commit = shown.commit
    match field:
        case "H":
            return shown.id.hex()
        case "h":
            return shown.id.hex()[:SHORT]
        case "T":
            return commit.tree.hex()
        case "t":
            return commit.tree.hex()[:SHORT]
        case "P":
            return " ".join(parent.hex() for parent in commit.parents)
        case "p":
            return " ".join(parent.hex()[:SHORT] for parent in commit.parents)
        case "s":
            return subject(commit.message)
        case "f":
            return re.sub(r"[^A-Za-z0-9._]+", "-", subject(commit.message)).strip("-.")[:52]
        case "b":
            return body(commit.message)
        case "B":
            return commit.message if commit.message.endswith("\n") else commit.message + "\n"
        case "d":
            return f" {decoration_text(out, shown.refs)}" if shown.refs else ""
        case "D":
            return decoration_text(out, shown.refs, wrapped=False)
    return None


def _signature_field(letter: str, commit: Commit, style: CommitStyle) -> str:
    """The letter of a signature, its signer, its key (which has no name but its fingerprint), or all in words."""
    if style.verify is None:
        return ("N" if commit.signature is None else "E") if letter == "?" else ""
    verdict = style.verify(commit)
    match letter:
        case "?":
            return verdict.letter
        case "S":
            return verdict.principal or ""
        case "G":
            said = f"{verdict}: {verdict.reason}" if verdict.reason else str(verdict)
            return "" if verdict.status == "none" else said
    return verdict.fingerprint or ""


def _person_field(letter: str, person: Person, style: CommitStyle) -> str:
    match letter:
        case "n" | "N":
            return person.name
        case "e" | "E":
            return person.email
        case "l" | "L":
            return person.email.partition("@")[0]
        case "d":
            return style.date_text(person)
    return date_text(person.time, person.zone, style=_DATE_STYLES[letter], now=style.now)
