"""Differences of files as text: patches in git's form, lists of names, and JSON."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from dsvc.actions.diff import DiffResult
from dsvc.actions.filediff import TEXT_LIMIT, Compared, FileDiff, Sides, compare, count_lines, new_bytes
from dsvc.actions.insidediff import Inside, inside
from dsvc.commands.content_text import print_lines
from dsvc.commands.context import Context
from dsvc.commands.diff_options import DiffForm
from dsvc.commands.diff_stat import StatRow, print_stat, print_totals, stat_name
from dsvc.commands.entry_text import git_mode, human_size, kind_word
from dsvc.commands.output import Output
from dsvc.commands.path_text import path_json, quote_path
from dsvc.contents.text_diff import TextDiff, hunk_header, quoted_name
from dsvc.history.renames import RenameLimit
from dsvc.objects.reference import shown_id
from dsvc.objects.tree import Entry, EntryKind
from dsvc.storage.snapshots import FileChange

_SHORT: Final = 10
_WIDTH: Final = 80


def print_diff(context: Context, result: DiffResult, form: DiffForm) -> None:
    """Print a difference in all the forms asked for, lists before the patch."""
    out = context.out
    if result.limit is not None:
        warn_of_limit(out, result.limit)
    if form.name_only or form.name_status:
        _print_names(out, result, form)
    if form.numstat or form.stat or form.shortstat:
        limit = None if form.full else TEXT_LIMIT
        result.sides.ahead(result.files)
        rows = [
            StatRow(f, count_lines(f, result.sides, ignore_whitespace=form.ignore_whitespace, limit=limit))
            for f in result.files
        ]
        if form.numstat:
            for row in rows:
                _print_numbers(out, row, null_ended=form.null_ended)
        if form.stat:
            print_stat(out, rows, width=_columns(context))
        elif form.shortstat:
            print_totals(out, rows)
    if form.summary:
        for file in result.files:
            _print_summary(out, file)
    if form.patch:
        if form.any_list() and result.files:
            out.line()
        result.sides.ahead(result.files)
        for file in result.files:
            print_patch(out, file, result.sides, form)


def warn_of_limit(out: Output, limit: RenameLimit) -> None:
    """Say that renames may be missing."""
    out.warn(
        f"{limit.candidates} files were candidates for renames and only {limit.limit} were compared",
        hint="some renames may be shown as a deleted and a new file; name PATHS to look at fewer",
    )


def print_patch(out: Output, file: FileDiff, sides: Sides, form: DiffForm) -> None:
    """Print the difference of one file, from its `diff --git` line on."""
    if file.status == "T":  # as git does: the old file goes, the new one comes
        print_patch(out, FileDiff("D", file.old_path, file.path, file.old, None), sides, form)
        print_patch(out, FileDiff("A", file.old_path, file.path, None, file.new), sides, form)
        return
    bold = _Painter(out, "bold")
    for line in _header(file):
        out.raw(bold(line))
    _print_content(out, file, sides, form)


def _header(file: FileDiff) -> Iterator[bytes]:
    yield b"diff --git %s %s\n" % (quoted_name(b"a/" + file.old_path), quoted_name(b"b/" + file.path))
    old, new = file.old, file.new
    if _is_folder(file):
        yield b"new empty folder\n" if new is not None else b"deleted empty folder\n"
        return
    if old is None and new is not None:
        yield b"new file mode %s\n" % _mode(new)
    elif new is None and old is not None:
        yield b"deleted file mode %s\n" % _mode(old)
    elif old is not None and new is not None and old.kind != new.kind:
        yield b"old mode %s\n" % _mode(old)
        yield b"new mode %s\n" % _mode(new)
    if file.status == "R":
        yield b"similarity index %d%%\n" % (file.score or 0)
        yield b"rename from %s\n" % quoted_name(file.old_path)
        yield b"rename to %s\n" % quoted_name(file.path)
    if not file.same_content():
        ids = b"%s..%s" % (_id(old), _id(new))
        same_mode = old is not None and new is not None and old.kind == new.kind
        yield b"index %s%s\n" % (ids, b" " + _mode(new) if same_mode and new is not None else b"")


def _print_content(out: Output, file: FileDiff, sides: Sides, form: DiffForm) -> None:
    if file.same_content() or _is_folder(file):
        return
    if file.files is not None:
        for change in file.files:
            names = " -> ".join(quote_path(path) for path in _names(file, change))
            out.line(f"{change.letter} {names}")
        return
    found = inside(file, sides, context=form.context) if not form.text else Inside()
    if found.diff is not None:
        print_lines(out, found.diff.lines)
        return
    if found.note is not None:
        out.line(out.paint(f"({found.note or 'the same content, written otherwise'})", "dim"))
    compared = Compared(None, binary=True) if found.binary else compare(
        file,
        sides,
        context=form.context,
        ignore_whitespace=form.ignore_whitespace,
        limit=None if form.full else TEXT_LIMIT,
    )
    if compared.text is not None:
        _print_hunks(out, compared.text)
        return
    if compared.purged is not None:
        out.line(f"Not shown: {compared.purged}")
        return
    old_name = quoted_name(b"a/" + file.old_path) if file.old is not None else b"/dev/null"
    new_name = quoted_name(b"b/" + file.path) if file.new is not None else b"/dev/null"
    if compared.binary:
        out.raw(b"Binary files %s and %s differ\n" % (old_name, new_name))
    else:
        out.raw(b"Files %s and %s differ; texts above 8 MiB are compared with --full\n" % (old_name, new_name))
    out.line(out.paint(f"  {size_change(file, sides)}", "dim"))


def size_change(file: FileDiff, sides: Sides) -> str:
    """The sizes of a file before and after, and how much of the new content is new to the store."""
    old = human_size(file.old.size) if file.old is not None else None
    new = human_size(file.new.size) if file.new is not None else None
    text = " -> ".join(size for size in (old, new) if size is not None)
    fresh = new_bytes(file, sides)
    if file.old is not None and file.new is not None and file.new.size and fresh is not None:
        text += f", {human_size(fresh)} of it new ({fresh * 100 / file.new.size:.0f} %)"
    return text


class _Painter:
    """Colours bytes, which need not be UTF-8; the line end stays outside of the colour."""

    __slots__ = ("_end", "_start")

    def __init__(self, out: Output, *styles: str) -> None:
        start, _, end = out.paint("\0", *styles).partition("\0")
        self._start, self._end = start.encode(), end.encode()

    def __call__(self, line: bytes) -> bytes:
        if not self._start:
            return line
        text = line.removesuffix(b"\n")
        return self._start + text + self._end + line[len(text) :]


def _print_hunks(out: Output, diff: TextDiff) -> None:
    if not diff.hunks:
        return
    bold, cyan = _Painter(out, "bold"), _Painter(out, "cyan")
    painters = {"-": _Painter(out, "red"), "+": _Painter(out, "green"), " ": _Painter(out)}
    out.raw(bold(b"--- %s\n" % _side(b"a/", diff.old_name)))
    out.raw(bold(b"+++ %s\n" % _side(b"b/", diff.new_name)))
    for hunk in diff.hunks:
        marks, at, section = hunk_header(hunk).rpartition(b"@@")
        out.raw(cyan(marks + at) + section)
        for origin, text in hunk.lines:
            out.raw(painters[origin](origin.encode() + text))
            if not text.endswith(b"\n"):
                out.raw(b"\n\\ No newline at end of file\n")


def _side(prefix: bytes, name: bytes | None) -> bytes:
    if name is None:
        return b"/dev/null"
    return quoted_name(prefix + name) + (b"\t" if b" " in name else b"")


def _mode(entry: Entry) -> bytes:
    return git_mode(entry).encode()


def _id(entry: Entry | None) -> bytes:
    return (shown_id(entry).hex()[:_SHORT] if entry is not None else "0" * _SHORT).encode()


def _names(file: FileDiff, change: FileChange) -> list[bytes]:
    """Return the path of a file in a dataset, of a renamed one the path before and the one after."""
    return [file.path + b"/" + path for path in (change.old, change.path) if path is not None]


def _named(files: Iterable[FileDiff]) -> Iterator[FileDiff]:
    """Yield differences with the files of datasets in place of these."""
    for file in files:
        if file.files is None:
            yield file
            continue
        for change in file.files:
            names = _names(file, change)
            yield FileDiff(change.letter, names[0], names[-1], None, None)


def _print_names(out: Output, result: DiffResult, form: DiffForm) -> None:
    for file in _named(result.files):
        paths = [file.old_path, file.path] if file.status == "R" and form.name_status else [file.path]
        fields = [file.status + (f"{file.score:03}" if file.score is not None else "")] if form.name_status else []
        shown = [_with_slash(file, path) for path in paths]
        if form.null_ended:
            names = [path.decode("utf-8", "surrogateescape") for path in shown]
            out.text("".join(field + "\0" for field in [*fields, *names]))
        else:
            out.line("\t".join([*fields, *map(quote_path, shown)]))


def _is_folder(file: FileDiff) -> bool:
    entry = file.new or file.old
    return entry is not None and entry.kind == EntryKind.TREE


def _with_slash(file: FileDiff, path: bytes) -> bytes:
    return path + b"/" if _is_folder(file) else path


def _print_numbers(out: Output, row: StatRow, *, null_ended: bool) -> None:
    added = "-" if row.counts.added is None else str(row.counts.added)
    removed = "-" if row.counts.removed is None else str(row.counts.removed)
    if null_ended:
        names = [row.file.path] if row.file.status != "R" else [b"", row.file.old_path, row.file.path]
        text = "\0".join(name.decode("utf-8", "surrogateescape") for name in names)
        out.text(f"{added}\t{removed}\t{text}\0")
    else:
        out.line(f"{added}\t{removed}\t{stat_name(row.file)}")


def _print_summary(out: Output, file: FileDiff) -> None:
    old, new = file.old, file.new
    if old is None and new is not None:
        out.line(f" create mode {git_mode(new)} {quote_path(file.path)}")
    elif new is None and old is not None:
        out.line(f" delete mode {git_mode(old)} {quote_path(file.path)}")
    elif old is not None and new is not None:
        if file.status == "R":
            out.line(f" rename {stat_name(file)} ({file.score}%)")
        if old.kind != new.kind:
            out.line(f" mode change {git_mode(old)} => {git_mode(new)} {quote_path(file.path)}")


def _columns(context: Context) -> int:
    columns = context.environment.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    if not context.out.terminal:
        return _WIDTH
    try:
        return os.get_terminal_size(1).columns or _WIDTH
    except OSError:
        return _WIDTH


def files_json(files: Sequence[FileDiff], sides: Sides, form: DiffForm) -> Iterator[dict[str, Any]]:
    """Yield changed files as objects of a JSON document, see `file_json`."""
    if form.stat or form.numstat or form.shortstat or form.patch:
        sides.ahead(files)
    return (file_json(file, sides, form) for file in files)


def file_json(file: FileDiff, sides: Sides, form: DiffForm) -> dict[str, Any]:
    """A changed file as an object of a JSON document; with counts and hunks where the form asks for them."""
    fields: dict[str, Any] = {**path_json(file.path), "status": file.status}
    if file.status == "R":
        fields |= {f"old_{key}": value for key, value in path_json(file.old_path).items()}
        fields["score"] = file.score
    fields["old"] = _entry_json(file.old)
    fields["new"] = _entry_json(file.new)
    if file.files is not None:
        fields["files"] = [_change_json(file, change) for change in file.files]
    if form.stat or form.numstat or form.shortstat:
        counts = count_lines(file, sides, ignore_whitespace=form.ignore_whitespace)
        fields |= {"added": counts.added, "removed": counts.removed}
    if form.patch:
        fields |= _patch_json(file, sides, form)
    return fields


def _change_json(file: FileDiff, change: FileChange) -> dict[str, Any]:
    names = _names(file, change)
    old = {f"old_{key}": value for key, value in path_json(names[0]).items()} if len(names) > 1 else {}
    return {**path_json(names[-1]), "status": change.letter, **old}


def _patch_json(file: FileDiff, sides: Sides, form: DiffForm) -> dict[str, Any]:
    compared = compare(file, sides, context=form.context, ignore_whitespace=form.ignore_whitespace)
    found = inside(file, sides, context=form.context) if not form.text else Inside()
    content = {"content": found.diff.document} if found.diff is not None else {}
    if compared.text is None:
        why = {"binary": compared.binary, "skipped": compared.skipped, "purged": compared.purged}
        return {**why, "new_bytes": new_bytes(file, sides), **content}
    hunks = [
        {
            "old_start": hunk.old_start,
            "old_lines": hunk.old_lines,
            "new_start": hunk.new_start,
            "new_lines": hunk.new_lines,
            "lines": [origin + text.decode("utf-8", "replace") for origin, text in hunk.lines],
        }
        for hunk in compared.text.hunks
    ]
    return {"binary": False, "skipped": False, "purged": None, "hunks": hunks, **content}


def _entry_json(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {"kind": kind_word(entry), "id": shown_id(entry).hex(), "size": entry.size}
