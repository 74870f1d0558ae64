"""The `dsvc show` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.decorations import Decorations, decorations
from dsvc.actions.diff import DiffResult
from dsvc.actions.insidediff import content_summary
from dsvc.actions.revision import revision_context
from dsvc.actions.show import ShowResult, show, shown_changes
from dsvc.commands.arguments import revisions_and_paths
from dsvc.commands.commit_format import CommitStyle, ShownCommit
from dsvc.commands.commit_text import commit_json, commit_lines, is_one_line, person_json
from dsvc.commands.content_text import print_lines
from dsvc.commands.context import Context
from dsvc.commands.diff_options import (
    DiffForm,
    FindRenames,
    Full,
    IgnoreSpace,
    NameOnly,
    NameStatus,
    NoPatch,
    NoRenames,
    NumStat,
    Patch,
    ShortStat,
    Stat,
    Summary,
    Text,
    Unified,
    rename_minimum,
)
from dsvc.commands.diff_text import files_json, print_diff
from dsvc.commands.entry_text import entry_json, human_size
from dsvc.commands.log_options import Date, Decorate, Form, NoDecorate, OneLine, ShortIds, chosen_form, chosen_style
from dsvc.commands.options import Json, NullEnded
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.signature_text import ShowSignature, verdict_json, verdict_lines
from dsvc.contents.driver import ContentSummary
from dsvc.contents.kinds import is_binary
from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.reference import reference_of, shown_id
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.workspace import Workspace


def command(
    context: Context,
    words: Annotated[
        Sequence[str], typer.Argument(metavar="[REV]... [PATH]...", help="Commits, tags, folders or files (HEAD).")
    ] = (),
    *,
    oneline: OneLine = False,
    form: Form = None,
    patch: Patch = False,
    no_patch: NoPatch = False,
    stat: Stat = False,
    numstat: NumStat = False,
    shortstat: ShortStat = False,
    summary: Summary = False,
    name_only: NameOnly = False,
    name_status: NameStatus = False,
    first_parent: Annotated[
        bool, typer.Option("-m", "--first-parent", help="Show all that a merge changed against its first parent.")
    ] = False,
    unified: Unified = None,
    ignore_whitespace: IgnoreSpace = False,
    find_renames: FindRenames = None,
    no_renames: NoRenames = False,
    full: Full = False,
    text: Text = False,
    show_signature: ShowSignature = False,
    short_ids: ShortIds = False,
    date: Date = None,
    decorate: Decorate = False,
    no_decorate: NoDecorate = False,
    null_ended: NullEnded = False,
    json: Json = False,
) -> None:
    """Show one object.

    A commit with what it changed, a tag with what it marks, a folder (REV:DIR) as a list, a file (REV:PATH) as it is,
    an environment with what is installed. Of a merge only files are shown that it has otherwise than each of its
    parents. Binary files and texts above 8 MiB are summed up in their sizes and how much of them is new. The content
    of a file goes unchanged to a pipe or file; --summary says what is in it, which a terminal gets of notebooks,
    weights and other files that are no text to read.
    """
    diff_form = DiffForm(
        patch=not no_patch and (patch or not any((stat, numstat, shortstat, summary, name_only, name_status))),
        stat=stat,
        numstat=numstat,
        shortstat=shortstat,
        summary=summary,
        name_only=name_only,
        name_status=name_status,
        null_ended=null_ended,
        context=unified if unified is not None else context.config().get_int("diff.context"),
        ignore_whitespace=ignore_whitespace,
        full=full,
        text=text or patch,
    )
    diff_form.check()
    workspace = context.workspace()
    revisions = revision_context(workspace, directory=context.directory)
    names, paths = revisions_and_paths(context, workspace, words, revisions=revisions)
    minimum = rename_minimum(find_renames, no_renames=no_renames)

    def changes(found: ShowResult) -> DiffResult:
        assert found.commit is not None
        return shown_changes(workspace, found.commit, paths=paths, minimum=minimum, first_parent=first_parent)

    chosen = chosen_form(form, oneline=oneline)
    asked = decorate or context.out.terminal or "%d" in chosen.lower()
    refs = decorations(workspace) if json or (asked and not no_decorate) else {}
    style = chosen_style(context, date, short=short_ids or oneline, show_signature=show_signature)
    objects = show(workspace, names or ("HEAD",), context=revisions)
    if json:
        documents = [_described(workspace, found, refs, diff_form, style=style, changes=changes) for found in objects]
        context.out.json("dsvc.show", {"objects": documents})
        return
    with context.paged():
        apart = False
        for found in objects:
            if apart:
                context.out.line()
            if found.commit is not None:
                _print_commit(context, found, chosen, style, refs)
                partial = len(found.commit.parents) > 1 and not first_parent
                _print_changes(context, changes(found), diff_form, chosen, merge=partial)
            elif found.tag is not None:
                _print_tag(context, found, style)
            elif found.kind == Kind.TREE:
                _print_tree(context, workspace, found)
            elif found.kind == Kind.ENVIRONMENT:
                _print_environment(context, workspace, found)
            elif found.kind == Kind.RUN:
                _print_run(context, workspace, found)
            else:
                _print_file(context, workspace, found, diff_form)
            apart = found.kind in {Kind.COMMIT, Kind.TAG, Kind.TREE} and not is_one_line(chosen)


def _print_commit(context: Context, found: ShowResult, form: str, style: CommitStyle, refs: Decorations) -> None:
    assert found.commit is not None
    commit_id = found.id
    shown = ShownCommit(commit_id, found.commit, refs.get(commit_id, ()))  # type: ignore[arg-type,call-overload]
    for line in commit_lines(shown, form, style):
        context.out.line(line)


def _print_changes(context: Context, result: DiffResult, form: DiffForm, commit_form: str, *, merge: bool) -> None:
    if not form.any() or not result.files:
        return
    if commit_form != "oneline":
        context.out.line()
    if merge:
        context.out.note("a merge: against its first parent; -m shows all that it brought in")
    print_diff(context, result, form)


def _print_tag(context: Context, found: ShowResult, style: CommitStyle) -> None:
    tag = found.tag
    assert tag is not None
    context.out.line(context.out.paint(f"tag {tag.name}", "yellow"))
    if style.show_signature and style.verify is not None:
        verdict = style.verify(tag)
        for line in verdict_lines(verdict, context.out) if verdict.status != "none" else ():
            context.out.line(line)
    if tag.tagger is not None:
        context.out.line(f"Tagger: {tag.tagger.name} <{tag.tagger.email}>")
        context.out.line(f"Date:   {style.date_text(tag.tagger)}")
    context.out.line()
    context.out.line(tag.message.rstrip("\n"))


def _print_tree(context: Context, workspace: Workspace, found: ShowResult) -> None:
    context.out.line(context.out.paint(f"tree {found.name}", "yellow"))
    context.out.line()
    for name, entry in trees.entries(workspace.repo.store, found.id):
        context.out.line(quote_path(name + b"/" if entry.kind == EntryKind.TREE else name))


def _print_environment(context: Context, workspace: Workspace, found: ShowResult) -> None:
    from dsvc.commands.env_text import show as show_environment
    from dsvc.environments import decode_environment

    context.out.line(context.out.paint(f"environment {found.id.hex()}", "yellow"))
    show_environment(context.out, decode_environment(workspace.repo.store.get(found.id, Kind.ENVIRONMENT)))


def _print_run(context: Context, workspace: Workspace, found: ShowResult) -> None:
    from dsvc.actions.deployments import read_deployment
    from dsvc.actions.model import describe_version
    from dsvc.actions.runs import read_run
    from dsvc.commands.run_text import print_note, print_run
    from dsvc.runs.notes import Note

    version = describe_version(workspace, found.id)
    if version is not None:
        from dsvc.commands.model_text import print_version

        print_version(context, workspace, version)
        return
    deployment = read_deployment(workspace, found.id)
    if deployment is not None:
        from dsvc.commands.deploy_text import print_deployment

        print_deployment(context, deployment, found.id)
        return
    what = read_run(workspace, found.id)
    if isinstance(what, Note):
        print_note(context, what)
    else:
        print_run(context, what)


def _print_file(context: Context, workspace: Workspace, found: ShowResult, form: DiffForm) -> None:
    entry = found.resolved.entry if found.resolved is not None else None
    if entry is not None and entry.kind not in CONTENT_KINDS:
        context.out.line(f"{EntryKind(entry.kind).name.lower()} {shown_id(entry).hex()}")
        if entry.kind == EntryKind.REFERENCE:
            reference = reference_of(entry)
            said = f"{reference.address} {reference.size} {reference.etag} {reference.version}"
            context.out.line(said.rstrip())
        return
    if not form.text and (form.summary or context.out.terminal):
        summed = content_summary(workspace.repo.store, *_named_file(workspace, found))
        if isinstance(summed, ContentSummary) and (form.summary or summed.instead):
            print_lines(context.out, summed.lines)
            context.out.note(f"'dsvc cat {found.name}' writes its content, 'dsvc show --text' shows it")
            return
        if isinstance(summed, str):
            context.out.note(f"note: {summed}")
    chunks = workspace.repo.store.file_chunks(found.id)
    first = next(chunks, b"")
    if context.out.terminal and is_binary(first):
        size = human_size(workspace.repo.store.file_size(found.id))
        context.out.line(f"Binary file {found.name}, {size}, {found.id.hex()}")
        context.out.note(f"'dsvc cat {found.name} > FILE' writes its content")
        return
    context.out.raw(first)
    for chunk in chunks:
        context.out.raw(chunk)


def _named_file(workspace: Workspace, found: ShowResult) -> tuple[Entry, bytes]:
    """Return a file's entry and path; without a path it is judged by its content."""
    resolved = found.resolved
    if resolved is not None and resolved.entry is not None:
        return resolved.entry, resolved.path or b""
    return Entry(EntryKind.FILE, found.id, workspace.repo.store.file_size(found.id)), b""


def _described(
    workspace: Workspace, found: ShowResult, refs: Decorations, form: DiffForm, *, style: CommitStyle, changes: Any
) -> dict[str, Any]:
    document: dict[str, Any] = {"name": found.name, "kind": "file", "id": found.id.hex()}
    if found.commit is not None:
        shown = ShownCommit(found.id, found.commit, refs.get(found.id, ()))  # type: ignore[arg-type,call-overload]
        result = changes(found)
        files = [*files_json(result.files, result.sides, form)] if form.any() else []
        return {**document, **commit_json(shown, style), "kind": "commit", "files": files}
    if found.tag is not None:
        tag = found.tag
        tagger = person_json(tag.tagger) if tag.tagger is not None else None
        target = {"kind": tag.target_kind.name.lower(), "id": tag.target.hex()}
        if style.show_signature and style.verify is not None:
            document["signature"] = verdict_json(style.verify(tag))
        return {**document, "kind": "tag", "tag": tag.name, "tagger": tagger, "message": tag.message, "target": target}
    if found.kind == Kind.TREE:
        entries = [entry_json(name, entry) for name, entry in trees.entries(workspace.repo.store, found.id)]
        return {**document, "kind": "tree", "entries": entries}
    if found.kind == Kind.ENVIRONMENT:
        from dsvc.commands.env_text import environment_json
        from dsvc.environments import decode_environment

        environment = decode_environment(workspace.repo.store.get(found.id, Kind.ENVIRONMENT))
        return {**document, "kind": "environment", **environment_json(environment)}
    if found.kind == Kind.RUN:
        from dsvc.actions.deployments import FoundDeployment, read_deployment
        from dsvc.actions.model import describe_version
        from dsvc.actions.runs import read_run
        from dsvc.commands.run_text import found_json, note_json
        from dsvc.runs.notes import Note

        version = describe_version(workspace, found.id)
        if version is not None:
            from dsvc.commands.model_text import version_json

            return {**document, "kind": "model", **version_json(version)}
        deployment = read_deployment(workspace, found.id)
        if deployment is not None:
            from dsvc.commands.deploy_text import deployment_json

            return {**document, "kind": "deployment", **deployment_json(FoundDeployment(deployment, found.id))}
        what = read_run(workspace, found.id)
        if isinstance(what, Note):
            return {**document, "kind": "note", "run": what.run.hex(), **note_json(what)}
        return {**document, "kind": "run", **found_json(what)}
    resolved = found.resolved
    if resolved is not None and resolved.entry is not None:
        summed = content_summary(workspace.repo.store, *_named_file(workspace, found)) if form.summary else None
        content = {"content": summed.document} if isinstance(summed, ContentSummary) else {}
        return {**document, **entry_json(resolved.path or b"", resolved.entry), **content}
    return {**document, **path_json(b""), "size": workspace.repo.store.file_size(found.id)}
