"""Revisions and paths among the words of a command line."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dsvc.commands.context import Context
from dsvc.errors import DsvcError, RequestError, UsageError
from dsvc.history.ranges import names_a_set, resolve_set
from dsvc.history.revisions import RevisionContext, resolve
from dsvc.workspace import Workspace

_PATTERN = frozenset("*?[")


def repo_paths(context: Context, workspace: Workspace, words: Sequence[str]) -> tuple[bytes, ...]:
    """The paths inside the repository that `words` name, seen from the current folder.

    A word that looks like a pattern is warned of where it names nothing: a shell expands patterns, and dsvc none.
    """
    for word in words:
        if not _PATTERN.isdisjoint(word) and not os.path.lexists(context.directory / word):
            context.out.warn(
                f"{word} is taken as a name: dsvc expands no patterns", hint="without quotes the shell expands it"
            )
    return tuple(workspace.repo_path(word, context.directory) for word in words)


def revisions_and_paths(
    context: Context, workspace: Workspace, words: Sequence[str], *, revisions: RevisionContext
) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Tell `REV... [--] PATH...` apart as git does.

    Without `--` the words up to the first that names no revision are revisions, and all others must exist in the
    working copy or in HEAD. Raises RequestError for a word that is neither, UsageError for one that is both.
    """
    before, after = context.split_dashes(words)
    if after is not None:
        return before, repo_paths(context, workspace, after)
    for number, word in enumerate(before):
        try:
            _check_revision(revisions, word)
        except DsvcError as error:
            for path in before[number:]:
                if not _exists(context, workspace, path, revisions):
                    if number == 0 or path == word:
                        raise _neither(word, error) from error
                    raise RequestError(f"{path} is no file here", hint=f"dsvc ... -- {path}") from error
            return before[:number], repo_paths(context, workspace, before[number:])
        if ":" not in word and os.path.lexists(word):
            raise UsageError(
                f"{word} is both a revision and a file",
                hint=f"write '{word} --' for the one, '-- {word}' for the other",
            )
    return before, ()


def _check_revision(revisions: RevisionContext, word: str) -> None:
    if names_a_set(word):
        resolve_set(revisions, [word])
    else:
        resolve(revisions, word)


def _exists(context: Context, workspace: Workspace, word: str, revisions: RevisionContext) -> bool:
    if os.path.lexists(word):
        return True
    from dsvc.history.revisions import resolve_tree
    from dsvc.objects.trees import lookup

    try:
        tree = resolve_tree(revisions, "HEAD")
        return lookup(revisions.store, tree, workspace.repo_path(word, context.directory)) is not None
    except DsvcError:
        return False


def _neither(word: str, error: DsvcError) -> RequestError:
    return RequestError(
        f"{error.message}, and there is no file {word}",
        hint=f"for a file that is gone now write '-- {word}'",
        details=error.details,
    )
