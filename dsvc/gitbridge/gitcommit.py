"""Git's commit and tag objects as bytes, and the fields of dsvc's that follow from them."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.gitbridge.gittree import Oid
from dsvc.objects.values import Person

SECOND = 1_000_000  # microseconds
_TREE_AT, _HEX = 5, 40  # where the tree's id stands in a commit, and how long an id is in text
_PERSON = re.compile(rb"(.*?) ?<([^>\n]*)> ?(-?[0-9]{1,19}) ([+-][0-9]{4})", re.DOTALL)
_MAX_SECONDS = 1 << 42  # in microseconds this fits into 64 bits
_MAX_ZONE = 24 * 60
_UNFIT = re.compile(r"[\x00\n<>]")
_EDGES = " .,:;<>\"\\'\t\r"


class BadGitCommitError(IntegrityError):
    """A commit or tag object of a git repository cannot be read."""


class GitCommit(NamedTuple):
    """A git commit's fields, decoded for people; the newline that git keeps at a message's end is left out."""

    tree: Oid
    parents: tuple[Oid, ...]
    author: Person
    committer: Person
    message: str


class GitTag(NamedTuple):
    """A git tag object's fields; `target_type` is git's word: commit, tag, tree or blob."""

    target: Oid
    target_type: str
    name: str
    tagger: Person | None
    message: str


def parse_commit(raw: bytes) -> GitCommit:
    """Take a commit object's bytes apart.

    A text in an unknown encoding, or one that does not match its encoding, is decoded with replacement characters.

    Raises:
        BadGitCommitError: when tree or parents are not where git puts them.
    """
    head, _, message = raw.partition(b"\n\n")
    lines = head.split(b"\n")
    author = committer = b""
    encoding = "utf-8"
    parents = parents_of(raw)
    for line in lines:
        key, _, value = line.partition(b" ")
        if key == b"author" and not author:
            author = value
        elif key == b"committer" and not committer:
            committer = value
        elif key == b"encoding":
            encoding = _encoding(value)
    return GitCommit(
        bytes.fromhex(raw[_TREE_AT : _TREE_AT + _HEX].decode("ascii")),
        parents,
        _person(author, encoding),
        _person(committer, encoding),
        _text(message, encoding).removesuffix("\n"),
    )


def parents_of(raw: bytes) -> tuple[Oid, ...]:
    """Return the parents of a commit object, which follow its tree.

    Raises:
        BadGitCommitError: when it does not begin with a tree and parents.
    """
    if not raw.startswith(b"tree "):
        raise BadGitCommitError("a git commit names no tree")
    parents = []
    try:
        at = _TREE_AT + _HEX + 1
        _oid(raw[_TREE_AT : at - 1])
        while raw.startswith(b"parent ", at):
            parents.append(_oid(raw[at + 7 : at + 7 + _HEX]))
            at += 8 + _HEX
    except ValueError as error:
        raise BadGitCommitError("a git commit's headers are damaged") from error
    return tuple(parents)


def compose_commit(commit: GitCommit) -> bytes:
    """Return a commit object's bytes as git writes them: UTF-8, no further headers.

    Names and addresses are cleaned of what git does not allow in them; fractions of seconds are dropped.
    """
    lines = [b"tree " + commit.tree.hex().encode()]
    lines += [b"parent " + parent.hex().encode() for parent in commit.parents]
    lines += [b"author " + _compose_person(commit.author), b"committer " + _compose_person(commit.committer)]
    return b"\n".join(lines) + b"\n\n" + _compose_message(commit.message)


def parse_tag(raw: bytes) -> GitTag:
    """Take a tag object's bytes apart.

    Raises:
        BadGitCommitError: when they are not a tag's.
    """
    head, _, message = raw.partition(b"\n\n")
    fields = {k: v for k, _, v in (line.partition(b" ") for line in reversed(head.split(b"\n")))}
    try:
        target, target_type = _oid(fields[b"object"]), fields[b"type"].decode("ascii")
        name = _text(fields[b"tag"], "utf-8")
    except (KeyError, ValueError) as error:
        raise BadGitCommitError("a git tag's headers are damaged") from error
    tagger = _person(fields[b"tagger"], "utf-8") if b"tagger" in fields else None
    return GitTag(target, target_type, name, tagger, _text(message, "utf-8").removesuffix("\n"))


def compose_tag(tag: GitTag) -> bytes:
    """Return a tag object's bytes as git writes them."""
    lines = [b"object " + tag.target.hex().encode(), b"type " + tag.target_type.encode()]
    lines.append(b"tag " + tag.name.encode("utf-8", "replace"))
    if tag.tagger is not None:
        lines.append(b"tagger " + _compose_person(tag.tagger))
    return b"\n".join(lines) + b"\n\n" + _compose_message(tag.message)


def _compose_message(message: str) -> bytes:
    """Return a message as git keeps it: with a newline at its end, which the fields leave out."""
    return (message.replace("\0", "") + "\n").encode("utf-8", "replace") if message else b""


def _oid(text: bytes) -> Oid:
    if len(text) != _HEX:
        raise ValueError("not a git id")
    return bytes.fromhex(text.decode("ascii"))


def _encoding(value: bytes) -> str:
    try:
        return codecs.lookup(value.decode("ascii").strip()).name
    except (LookupError, UnicodeDecodeError):
        return "utf-8"


def _text(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding, "replace")
    except (LookupError, ValueError):  # a codec of Python's that is not one for text
        text = data.decode("utf-8", "replace")
    return text if encoding == "utf-8" else text.encode("utf-8", "replace").decode()


def _person(line: bytes, encoding: str) -> Person:
    found = _PERSON.fullmatch(line)
    if found is None:
        name, _, rest = line.partition(b"<")
        return Person(_text(name.strip(), encoding), _text(rest.partition(b">")[0], encoding), 0)
    name, email, seconds, zone = found.groups()
    time = int(seconds)
    minutes = int(zone[1:3]) * 60 + int(zone[3:])
    return Person(
        _text(name, encoding),
        _text(email, encoding),
        time * SECOND if abs(time) < _MAX_SECONDS else 0,
        0 if minutes >= _MAX_ZONE else -minutes if zone[:1] == b"-" else minutes,
    )


def _compose_person(person: Person) -> bytes:
    name, email = person.name, person.email
    if _UNFIT.search(name) or _UNFIT.search(email):
        name, email = _UNFIT.sub("", name).strip(_EDGES), _UNFIT.sub("", email).strip(_EDGES)
    sign, minutes = ("-", -person.zone) if person.zone < 0 else ("+", person.zone)
    zone = f"{sign}{minutes // 60:02}{minutes % 60:02}"
    return f"{name} <{email}> {person.time // SECOND} {zone}".encode("utf-8", "replace")
