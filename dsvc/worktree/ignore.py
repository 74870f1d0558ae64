"""Which new files are left out: `.dsvcignore` and `.gitignore` with git's meaning.

Rules are tried from the nearest directory to the root, then the repository's exclude file, then the user's; in one
directory `.dsvcignore` before `.gitignore`, in one file the last line first. The first rule that matches decides.
Nothing below an ignored directory can be taken back in.

A walk asks a `DirectoryRules` about each name and moves down with `enter`; commands that name single paths ask
`IgnoreRules`. To answer in about a microsecond, rules that follow each other and have the same sign form one group:
literal names in a set, `*.ext` and `name*` as suffixes and prefixes, and one regular expression for the rest.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from itertools import groupby
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

from dsvc.contents.path_rules import GLOB_SPECIAL, Rule, expression, literal_head, matcher, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Match = Callable[[bytes], re.Match[bytes] | None]

MAX_FILE_SIZE = 100 * 1024 * 1024  # git does not read an ignore file of this size or above either
_CACHED_DIRECTORIES = 10_000


class SkippedIgnoreFile(NamedTuple):
    """An ignore file that is there and was not used: its path as in `Rule.source`, and why."""

    source: bytes
    reason: str


class _Group(NamedTuple):
    """Neighbouring rules of one sign, prepared for one kind of entry (directories, or all others).

    `located` holds the literal names that count in one directory only, by that directory. `path_match` is given the
    path relative to the repository, and only in directories whose path with a slash starts with one of `path_heads`.
    """

    rules: tuple[Rule, ...]  # the deciding one first
    negated: bool
    names: frozenset[bytes]
    prefixes: tuple[bytes, ...]
    suffixes: tuple[bytes, ...]
    expressions: tuple[bytes, ...]  # what `name_match` was made of
    name_match: Match | None
    located: dict[bytes, frozenset[bytes]]
    path_match: Match | None
    path_heads: tuple[bytes, ...]


# The tests of a group as one directory needs them: names, suffixes, prefixes, name_match, path_match, and the group.
_Local = tuple[frozenset[bytes], tuple[bytes, ...], tuple[bytes, ...], "Match | None", "Match | None", _Group]


class _Any(NamedTuple):
    """The tests of several groups in one: a name that passes none of them is in no group."""

    names: frozenset[bytes]
    suffixes: tuple[bytes, ...]
    prefixes: tuple[bytes, ...]
    name_match: Match | None


class _Here(NamedTuple):
    """The rules as one directory needs them: the tests of all groups in one, and the groups' own."""

    names: frozenset[bytes]
    suffixes: tuple[bytes, ...]
    prefixes: tuple[bytes, ...]
    name_match: Match | None
    by_path: bool  # whether a group has a test for paths
    groups: tuple[_Local, ...]



_T = TypeVar("_T")
_Kinds = tuple[tuple[_T, ...], tuple[_T, ...]]  # for entries that are no directories, and for directories


class IgnoreRules:
    """The ignore rules of one working copy, read from its ignore files as they are needed.

    `root` is the working copy on disk; all other paths are relative to it, without a slash at either end, and empty
    for the root itself. `exclude_file` and `user_file` are paths that need not exist; symlinks are followed for these
    two and, as in git, not for the files in the tree. `on_disk` gives the place of a path whose name differs there,
    `read_absent` the content of an ignore file that a partial working copy leaves out. One that cannot be used is
    listed in `skipped`. Files are read once, or again in a walk over very many directories; an object serves one
    command.
    """

    def __init__(
        self,
        root: bytes,
        *,
        read_gitignore: bool = True,
        exclude_file: bytes | None = None,
        user_file: bytes | None = None,
        on_disk: Callable[[bytes], bytes] | None = None,
        read_absent: Callable[[bytes], bytes | None] | None = None,
    ) -> None:
        self.root = root
        self.skipped: list[SkippedIgnoreFile] = []
        self._on_disk = on_disk or bytes
        self._read_absent = read_absent
        self._names: tuple[bytes, ...] = (b".dsvcignore", b".gitignore") if read_gitignore else (b".dsvcignore",)
        self._outer = tuple(path for path in (exclude_file, user_file) if path is not None)
        self._directories: dict[bytes, DirectoryRules] = {}
        self._matchers: dict[Rule, Match] = {}

    @classmethod
    def nothing(cls, root: bytes) -> IgnoreRules:
        """Return rules that ignore nothing."""
        rules = cls(root)
        rules._names = ()
        return rules

    def in_directory(self, directory: bytes) -> DirectoryRules:
        """Return the rules for the entries of `directory`, which must not be ignored itself."""
        missing: list[bytes] = []
        found = self._directories.get(directory)
        while found is None and directory:
            directory, _, name = directory.rpartition(b"/")
            missing.append(name)
            found = self._directories.get(directory)
        if found is None:
            found = DirectoryRules(self, b"", parent=None)
            missing.append(b"")
        for name in reversed(missing):
            if name:
                found = found.enter(name)
            if len(self._directories) >= _CACHED_DIRECTORIES:
                self._directories.clear()
            self._directories[found.prefix[:-1]] = found
        return found

    def match(self, path: bytes, *, is_directory: bool) -> Rule | None:
        """Return the rule that decides about `path`, or None when no rule matches.

        That is the rule which ignores the topmost ignored directory above `path`, when there is one. A negated rule
        means that the path is not ignored. `path` need not exist; a symlink to a directory is no directory. The root
        itself is never ignored.
        """
        if not path:
            return None
        directory = self.in_directory(b"")
        *parents, name = path.split(b"/")
        for parent in parents:
            rule = directory.match(parent, is_directory=True)
            if rule is not None and not rule.negated:
                return rule
            directory = self.in_directory(directory.prefix + parent)
        return directory.match(name, is_directory=is_directory)

    def ignored(self, path: bytes, *, is_directory: bool) -> bool:
        """Tell whether `path` is left out, because of itself or of a directory above it."""
        rule = self.match(path, is_directory=is_directory)
        return rule is not None and not rule.negated

    def matcher(self, rule: Rule) -> Match:
        """Return the test for one rule, compiled once."""
        found = self._matchers.get(rule)
        if found is None:
            found = self._matchers[rule] = matcher(rule)
        return found

    def outer_rules(self) -> list[Rule]:
        """Return the rules from outside the tree, the deciding ones first."""
        return [rule for path in self._outer for rule in self._read(path, path, base=b"", follow=True)]

    def own_rules(self, prefix: bytes) -> list[Rule]:
        """Return the rules of the ignore files in one directory (empty or ending in a slash), deciding ones first."""
        found: list[Rule] = []
        for name in self._names:
            source = prefix + name
            found += self._read(self.root + b"/" + self._on_disk(source), source, base=prefix, follow=False)
        return found

    def _read(self, path: bytes, source: bytes, *, base: bytes, follow: bool) -> list[Rule]:
        """Return the rules of one file, the last line first; none when it cannot be used."""
        if not os.access(path, os.F_OK):  # most directories have none, and this asks faster than a failing open
            absent = self._read_absent(source) if self._read_absent is not None and not follow else None
            return list(parse(io.BytesIO(absent), source, base=base))[::-1] if absent else []
        try:
            with open_ignore_file(path, follow=follow) as lines:
                rules = list(parse(lines, source, base=base))
        except OSError as error:
            skipped = SkippedIgnoreFile(source, error.strerror or str(error))
            if skipped not in self.skipped:
                self.skipped.append(skipped)
            return []
        rules.reverse()
        return rules


class DirectoryRules:
    """The rules for the entries of one directory that is itself not ignored.

    `prefix` is the directory's path, empty or ending in a slash. The directory's own ignore files are read at the
    first question.
    """

    __slots__ = ("_any", "_groups", "_here", "_owner", "_parent", "prefix")

    def __init__(self, owner: IgnoreRules, prefix: bytes, *, parent: DirectoryRules | None) -> None:
        self.prefix = prefix
        self._owner = owner
        self._parent = parent
        self._groups: _Kinds[_Group] = ((), ())  # all that count here or further down, once `_here` is there
        self._any: tuple[_Any, _Any] | None = None
        self._here: tuple[_Here, _Here] | None = None

    def enter(self, name: bytes) -> DirectoryRules:
        """Return the rules for the directory `name` in this one."""
        return DirectoryRules(self._owner, self.prefix + name + b"/", parent=self)

    def ignored(self, name: bytes, *, is_directory: bool) -> bool:
        """Tell whether the entry `name` of this directory is left out."""
        group = self._deciding_group(name, is_directory)
        return group is not None and not group.negated

    def match(self, name: bytes, *, is_directory: bool) -> Rule | None:
        """Return the rule that decides about the entry `name` of this directory, or None."""
        group = self._deciding_group(name, is_directory)
        if group is None:
            return None
        matcher, path = self._owner.matcher, self.prefix + name
        return next(rule for rule in group.rules if matcher(rule)(path if rule.anchored else name))

    def _deciding_group(self, name: bytes, is_directory: bool) -> _Group | None:  # noqa: FBT001 - the hot path
        names, suffixes, prefixes, name_match, by_path, groups = (self._here or self._load())[is_directory]
        if not (
            name in names
            or name.endswith(suffixes)
            or name.startswith(prefixes)
            or by_path
            or (name_match is not None and name_match(name))
        ):
            return None  # nearly every name
        for names, suffixes, prefixes, name_match, path_match, group in groups:
            if (
                name in names
                or name.endswith(suffixes)
                or name.startswith(prefixes)
                or (name_match is not None and name_match(name))
                or (path_match is not None and path_match(self.prefix + name))
            ):
                return group
        return None

    def _load(self) -> tuple[_Here, _Here]:
        waiting = [self]
        while (parent := waiting[-1]._parent) is not None and parent._here is None:
            waiting.append(parent)
        for directory in reversed(waiting):
            directory._load_after_parent()
        assert self._here is not None
        return self._here

    def _load_after_parent(self) -> None:
        parent = self._parent
        outer = _both_kinds(self._owner.outer_rules()) if parent is None else parent._groups
        rules = self._owner.own_rules(self.prefix)
        if rules:
            own = _both_kinds(rules)
            outer = (own[0] + outer[0], own[1] + outer[1])
        self._groups = outer
        any_file, any_directory = (not rules and parent and parent._any) or (_any(outer[0]), _any(outer[1]))
        self._any = (any_file, any_directory)
        self._here = (_here(outer[0], self.prefix, any_file), _here(outer[1], self.prefix, any_directory))
        self._parent = None  # nothing more is asked of it


def open_ignore_file(path: bytes, *, follow: bool) -> BinaryIO:
    """Open an ignore file for reading; `follow` allows `path` to be a symlink.

    Raises OSError, with the reason as `strerror`, when it is missing, unreadable, neither a regular file nor a device
    such as `/dev/null`, or too large. Does not wait at a FIFO.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise OSError(errno.ELOOP, "it is a symbolic link") from error
        raise
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size < MAX_FILE_SIZE:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISCHR(status.st_mode):
        return io.BytesIO()
    if stat.S_ISREG(status.st_mode):
        raise OSError(errno.EFBIG, "it is 100 MiB or larger")
    raise OSError(errno.EINVAL, "it is not a regular file")


def _both_kinds(rules: list[Rule]) -> _Kinds[_Group]:
    """Return the groups of `rules` (the deciding one first) for files and for directories."""
    for_all = _grouped(rules)
    if not any(rule.directory_only for rule in rules):
        return for_all, for_all  # one copy of a list that may hold a line for each of 100,000 data files
    return _grouped(rule for rule in rules if not rule.directory_only), for_all


def _grouped(rules: Iterable[Rule]) -> tuple[_Group, ...]:
    return tuple(_group(tuple(run), negated=negated) for negated, run in groupby(rules, key=_sign))


def _sign(rule: Rule) -> bool:
    return rule.negated


def _group(rules: tuple[Rule, ...], *, negated: bool) -> _Group:
    names: set[bytes] = set()
    prefixes: set[bytes] = set()
    suffixes: set[bytes] = set()
    located: dict[bytes, set[bytes]] = {}
    name_expressions: list[bytes] = []
    path_expressions: list[bytes] = []
    path_heads: set[bytes] = set()
    for rule in rules:
        head, rest = literal_head(rule.glob)
        if rule.anchored:
            directory, slash, name = (rule.base + head).rpartition(b"/")
            if rest:
                path_expressions.append(expression(rule))
                path_heads.add(directory + slash)
            else:
                located.setdefault(directory + slash, set()).add(name)
        elif not rest:
            names.add(head)
        elif not rest.strip(b"*"):
            prefixes.add(head)
        elif not head and rest.startswith(b"*") and not GLOB_SPECIAL.search(rest, 1):
            suffixes.add(rest[1:])
        else:
            name_expressions.append(expression(rule))
    return _Group(
        rules,
        negated,
        frozenset(names),
        tuple(prefixes),
        tuple(suffixes),
        tuple(name_expressions),
        _any_of(name_expressions),
        {directory: frozenset(names) for directory, names in located.items()},
        _any_of(path_expressions),
        tuple(path_heads),
    )


def _any_of(expressions: list[bytes]) -> Match | None:
    return re.compile(b"|".join(expressions), re.DOTALL).fullmatch if expressions else None


def _any(groups: tuple[_Group, ...]) -> _Any:
    if len(groups) == 1:  # a line for each of 100,000 data files is not copied
        return _Any(groups[0].names, groups[0].suffixes, groups[0].prefixes, groups[0].name_match)
    return _Any(
        frozenset[bytes]().union(*(group.names for group in groups)),
        tuple({suffix for group in groups for suffix in group.suffixes}),
        tuple({prefix for group in groups for prefix in group.prefixes}),
        _any_of([each for group in groups for each in group.expressions]),
    )


def _here(groups: tuple[_Group, ...], prefix: bytes, of_all: _Any) -> _Here:
    """Return the tests of `groups` that can succeed for an entry of the directory `prefix`."""
    found: list[_Local] = []
    names = of_all.names
    for group in groups:
        located = group.located.get(prefix, frozenset())
        path_match = group.path_match if prefix.startswith(group.path_heads) else None
        if located or group.names or group.suffixes or group.prefixes or group.name_match or path_match:
            own = group.names | located if located else group.names
            found.append((own, group.suffixes, group.prefixes, group.name_match, path_match, group))
            names = names | located if located else names
    by_path = any(local[4] is not None for local in found)
    return _Here(names, of_all.suffixes, of_all.prefixes, of_all.name_match, by_path, tuple(found))
